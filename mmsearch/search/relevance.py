"""What a score is worth in this collection: one background per direction, measured when needed.

A background is kept beside the index, and measured again when the collection has grown by half or
lost half. It is a cache: one that cannot be read or written is measured again by the next process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.errors import UsageError
from mmsearch.ranking.calibrate import DEPTH, FEWEST, SIZE_CHANGED, Background, fit

if TYPE_CHECKING:
    from mmsearch.ranking.late import Scale
    from mmsearch.ranking.ranked import Floats, Ranked
    from mmsearch.search.protocols import VectorSources
    from mmsearch.types import Ids, Modality, TextEncoder, Vectors

# Medians of 300 queries are good to a tenth of a deviation; 5,000 items hold the best thirty of
# a hundred topics. Together 0.2 s on one core (2026-11).
BANK = 300
CORPUS = 5_000
SAMPLE = 500  # of vectors, for the mean and deviation of one query's scores


class Relevance:
    """Backgrounds and scales of one encoder's space.

    `size_changed`: measured again when a collection is beyond these shares of what it was.
    """

    size_changed = SIZE_CHANGED

    def __init__(
        self,
        indexes: VectorSources,
        text_encoder: Callable[[], TextEncoder],
        path: Callable[[Modality, Modality], Path],
    ) -> None:
        self._indexes = indexes
        self._text_encoder = text_encoder
        self._path = path
        self._known: dict[tuple[Modality, Modality], tuple[int, Background | None]] = {}
        self._samples: dict[Modality, tuple[int, Vectors]] = {}

    def background(self, of: Modality, to: Modality) -> Background | None:
        """How scores of queries of one modality with items of another are read.

        None: the collection is too small to measure it (calibrate.FEWEST), or all is alike.
        """
        size = len(self._indexes.get(to))
        known = self._known.get((of, to)) or self._load(of, to)
        if known is None or not self._still_good(known[0], size):
            known = size, self._measure(of, to)
            self._save(of, to, *known)
        self._known[of, to] = known
        return known[1]

    def spread(self, of: Modality, to: Modality) -> float:
        """How wide the scores of this direction spread.

        Where the collection is too small for a background: their plain deviation, over the pairs
        that there are; 1 where there are none.
        """
        background = self.background(of, to)
        if background is not None:
            return background.spread
        from_, onto = self.sample(of), self.sample(to)
        deviation = float((from_ @ onto.T).std()) if len(from_) and len(onto) else 0.0
        return deviation if deviation > 1e-6 else 1.0

    def scale(self, query: Vectors, to: Modality) -> Scale:
        """Mean and deviation of the scores of a query (d,) with the items of a modality."""
        from mmsearch.ranking.late import Scale, scale_of

        sample = self.sample(to)
        # One item, or none, has no deviation: its score is compared with nothing.
        return scale_of(query, sample) if len(sample) > 1 else Scale(0.0, 1.0)

    def of_ranked(
        self, query: Vectors, ranked: Ranked, of: Modality, to: Modality
    ) -> tuple[Floats, float] | None:
        """(n,) relevances of a whole ranking by cosine, and the least one that counts as a match.

        The ranking begins with the best there is. None: see `background`.
        """
        background = self.background(of, to)
        if background is None:
            return None
        best = self._indexes.get(to).vectors(ranked.ids[:DEPTH])
        return background.relevance(query, ranked.scores, best), background.least

    def sample(self, modality: Modality, size: int = SAMPLE) -> Vectors:
        """(<= size, d) float32 of the items' vectors, evenly spaced by age."""
        index = self._indexes.get(modality)
        known = self._samples.get(modality)
        if known is None or known[0] != index.seq or size != SAMPLE:
            rows = index.vectors(_spaced(self._indexes.ids(modality), size))
            if size != SAMPLE:
                return rows
            known = self._samples[modality] = index.seq, rows
        return known[1]

    # ---- inside

    def _measure(self, of: Modality, to: Modality) -> Background | None:
        index = self._indexes.get(to)
        if len(index) < FEWEST:
            return None
        ids = _spaced(self._indexes.ids(to), CORPUS)
        bank_ids: Ids | None = None
        if len(self._indexes.get(of)) >= FEWEST:
            bank_index = self._indexes.get(of)
            bank_ids = _spaced(self._indexes.ids(of), BANK)
            bank = bank_index.vectors(bank_ids)
        elif of == "text":
            from mmsearch.search.bank import TYPICAL_QUERIES

            bank = self._text_encoder().encode_texts(list(TYPICAL_QUERIES))
        else:
            return None
        own = None
        if of == to and bank_ids is not None:
            places = np.minimum(np.searchsorted(ids, bank_ids), len(ids) - 1)
            own = np.where(ids[places] == bank_ids, places, -1)
        try:
            return fit(bank, index.vectors(ids), own)
        except UsageError:
            # All items, or all of the collection's own texts, are alike: no score tells anything.
            return None

    def _still_good(self, measured: int, size: int) -> bool:
        low, high = self.size_changed
        return measured * low <= size <= measured * high

    def _load(self, of: Modality, to: Modality) -> tuple[int, Background | None] | None:
        try:
            stored = json.loads(self._path(of, to).read_text(encoding="utf-8"))
            background = stored["background"]
            known = int(stored["size"]), background and Background.from_json(background)
        except (OSError, ValueError, KeyError, TypeError, UsageError):
            return None
        return known

    def _save(self, of: Modality, to: Modality, size: int, background: Background | None) -> None:
        path = self._path(of, to)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        stored: dict[str, Any] = {"size": size, "background": background and background.to_json()}
        try:
            path.parent.mkdir(exist_ok=True)
            temporary.write_text(json.dumps(stored), encoding="utf-8")
            os.replace(temporary, path)
        except OSError:  # a read-only collection is searched all the same
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _spaced(ids: Ids, count: int) -> Ids:
    """At most `count` of `ids`, evenly spaced."""
    return ids[np.linspace(0, len(ids) - 1, min(len(ids), count)).astype(np.intp)]
