"""The searcher of the space that answers queries now, whoever moves the collection meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo
from mmsearch.errors import CorruptionError, MmsearchError
from mmsearch.layout import Layout
from mmsearch.loading import Encoders
from mmsearch.search.candidates import Candidates
from mmsearch.search.concepts import Concepts
from mmsearch.search.defaults import Defaults
from mmsearch.search.indexes import Indexes
from mmsearch.search.searcher import Searcher
from mmsearch.types import MODALITIES, Answer, Hit, ImageEncoder, OnProgress, Progress, Query

# Replaying this many changes costs a reader about 50 ms; a snapshot rewrites the whole index.
CHANGES_PER_SNAPSHOT = 10_000

_T = TypeVar("_T")


class Answers:
    """Keeps one Searcher, for as long as its space is the current one.

    What items hold is in no space: `candidates` stay when the collection moves.
    """

    def __init__(self, catalog: Catalog, layout: Layout, encoders: Encoders) -> None:
        self._catalog = catalog
        self._layout = layout
        self._encoders = encoders
        self.concepts = Concepts(layout.concepts)
        self._candidates = Candidates(catalog)
        self._searcher: tuple[EncoderInfo, Searcher] | None = None

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """See Searcher.search; nothing is found where nothing was ever indexed."""
        nothing: list[list[Hit]] = [[] for _ in queries]
        return self._ask(lambda searcher: searcher.search(queries), nothing)

    def answer(self, query: Query) -> Answer:
        """See Searcher.answer; nothing is found where nothing was ever indexed."""
        return self._ask(lambda searcher: searcher.answer(query), Answer(()))

    def answer_many(self, queries: Sequence[Query]) -> list[Answer | MmsearchError]:
        """See Searcher.answer_many; nothing is found where nothing was ever indexed."""
        nothing: list[Answer | MmsearchError] = [Answer(()) for _ in queries]
        return self._ask(lambda searcher: searcher.answer_many(queries), nothing)

    def suggest(self, prefix: str, k: int) -> list[tuple[str, int]]:
        """See Searcher.suggest; nothing where nothing was ever indexed."""
        nothing: list[tuple[str, int]] = []
        return self._ask(lambda searcher: searcher.suggest(prefix, k), nothing)

    def defaults(self) -> Defaults | None:
        """What queries are answered with where they leave it open; None before the first index."""
        info = self._catalog.encoder()
        return None if info is None else self._of(info).defaults()

    def reached(self) -> int | None:
        """See Indexes.reached; None before the first query."""
        return None if self._searcher is None else self._searcher[1].reached()

    def load_image_tower(self) -> None:
        """See Collection.load_image_tower."""
        info = self._catalog.encoder()
        if info is not None:
            self._image_encoder(info)

    def keep_image_tower(self, on_note: Callable[[str], None]) -> bool:
        """See Collection.keep_image_tower."""
        info = self._catalog.encoder()
        if info is None:
            return False
        own = self._catalog.spaces.precision(info.fingerprint)
        return self._encoders.keep_image_tower(info, own, on_note)

    def _ask(self, ask: Callable[[Searcher], _T], nothing: _T) -> _T:
        info = self._catalog.encoder()
        while info is not None:
            try:
                answer = ask(self._of(info))
            except CorruptionError:
                if self._catalog.encoder() == info:
                    raise
                answer = nothing
            # The collection may have moved to another encoder while the query was under way.
            now = self._catalog.encoder()
            if now == info:
                return answer
            info = now
        return nothing

    def save_snapshots(
        self, on_progress: OnProgress | None = None, info: EncoderInfo | None = None
    ) -> None:
        """Write the index of both modalities, of `info` or else of the current encoder.

        Raises StorageError.
        """
        info = info or self._catalog.encoder()
        if info is None:
            return
        searcher = self._of(info)
        for modality in MODALITIES:
            searcher.save(modality)
            if on_progress:
                on_progress(Progress(f"snapshot of {modality}"))
        # Brings the encoders, which a query by another process has not to wait for.
        from mmsearch.quick.prepare import prepare

        prepare(self._catalog, info, self._layout.vector_file(info), self._layout.root / "index")
        # Or the first query would have to, which also says what stands in the way.
        with suppress(MmsearchError):
            searcher.measure()

    def save_old_snapshots(self, on_progress: OnProgress | None = None) -> None:
        """Write them if there are none, or readers that start now would have much to replay."""
        info = self._catalog.encoder()
        if info is None:
            return
        seqs = [self._layout.snapshots(info, modality).newest_seq() for modality in MODALITIES]
        if not min(seqs) or self._catalog.count_changes(min(seqs)) >= CHANGES_PER_SNAPSHOT:
            self.save_snapshots(on_progress)

    def start_afresh(self) -> None:
        """Forget indexes and columns in memory: the next query loads or rebuilds them."""
        self._searcher = None
        self._candidates = Candidates(self._catalog)

    def _image_encoder(self, info: EncoderInfo) -> ImageEncoder:
        own = self._catalog.spaces.precision(info.fingerprint)
        return self._encoders.image_tower_of(info, own)

    def _of(self, info: EncoderInfo) -> Searcher:
        if self._searcher is None or self._searcher[0] != info:
            vectors = self._layout.vector_file(info)
            indexes = Indexes(
                self._catalog,
                info,
                vectors,
                lambda modality: self._layout.snapshots(info, modality),
                lambda: self._encoders.text_tower_at_hand(info),
            )
            searcher = Searcher(
                self._catalog,
                info,
                vectors,
                indexes,
                lambda: self._encoders.text_tower_of(info),
                lambda: self._image_encoder(info),
                self._candidates,
                self.concepts,
                # Beside the index, and named so that they go when the encoder's vectors go.
                lambda of, to: (
                    self._layout.root / "index" / f"{info.fingerprint}-{of}-{to}.relevance.json"
                ),
            )
            self._searcher = info, searcher
        return self._searcher[1]
