"""The ranking by pictures, texts and words, with the very parts of the ordinary way."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mmsearch.lexical import fts
from mmsearch.ranking.calibrate import no_match
from mmsearch.ranking.ranked import among
from mmsearch.search.arrange import Stream
from mmsearch.search.defaults import WEIGHTS, modalities_of
from mmsearch.search.rank import DEPTH, Rankings, Search
from mmsearch.search.relevance import Relevance

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from mmsearch.quick.index import QuickIndex
    from mmsearch.quick.reader import Asked
    from mmsearch.ranking.calibrate import Background
    from mmsearch.search.defaults import Defaults
    from mmsearch.types import Ids, Modality, TextEncoder


class UnmeasuredError(ValueError):
    """What a score is worth was not measured yet."""


class Best(NamedTuple):
    """The best items: ids, scores and relevances (None: unknown), best first; what to say if none
    of them is a match; and the modalities that were compared."""

    ids: list[int]
    scores: list[float]
    relevances: list[float | None]
    no_match: str | None
    modalities: tuple[Modality, ...]


def best(
    asked: Asked,
    defaults: Defaults,
    get: Callable[[Modality], QuickIndex],
    catalog: sqlite3.Connection,
    background: Callable[[Modality, Modality], Path],
) -> Best:
    """What `Collection.answer` gives where the collection searches by words too.

    Raises UnmeasuredError, UsageError.
    """
    indexes = _Indexes(get)
    modalities = tuple(
        one for one in modalities_of(defaults.to) if defaults.to != "both" or len(indexes.get(one))
    )
    search = Search(
        vectors=dict.fromkeys(modalities, asked.vector),
        of=asked.of,
        words=asked.words,
        weights=WEIGHTS,
        fusion="relevance",
        depth=max(DEPTH, 2 * asked.k),
        allowed=asked.allowed,
    )
    rankings = Rankings(_Words(catalog), indexes, _Measured(indexes, _no_encoder, background))
    stream = Stream(rankings.blocks(search))
    head, block = stream.head(), stream.upto(asked.k)
    nothing = None
    if head.relevance is not None and head.least is not None and len(head.ids):
        nothing = no_match(float(head.relevance.max()), head.least)
    relevances: list[float | None] = [None] * len(block.ids)
    if block.relevance is not None:
        relevances = block.relevance.tolist()
    return Best(block.ids.tolist(), block.scores.tolist(), relevances, nothing, modalities)


class _Indexes:
    """search.protocols.VectorSources."""

    def __init__(self, get: Callable[[Modality], QuickIndex]) -> None:
        self.get = get

    def ids(self, modality: Modality) -> Ids:
        return self.get(modality).ids

    def has(self, modality: Modality, ids: Ids) -> npt.NDArray[np.bool_]:
        return among(ids, self.ids(modality))


class _Words:
    """search.protocols.WordSource, by FTS5 itself: postings in memory are not worth one query."""

    def __init__(self, catalog: sqlite3.Connection) -> None:
        self._catalog = catalog

    def lexical_search(
        self, text: str, k: int, allowed: Ids | None = None
    ) -> list[tuple[int, float]]:
        return fts.search(self._catalog, fts.asked(text), k, allowed)

    def word_coverage(self, text: str, ids: Ids) -> npt.NDArray[np.float64]:
        return fts.coverage(self._catalog, fts.asked(text), ids)


class _Measured(Relevance):
    """What was measured before, and nothing new."""

    def _measure(self, of: Modality, to: Modality) -> Background | None:
        raise UnmeasuredError(f"scores of {of}s with {to}s")


def _no_encoder() -> TextEncoder:
    raise UnmeasuredError("nothing is encoded here")
