"""The searcher of one encoder's space: plain queries in one batch, all others one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo
from mmsearch.catalog.vectors import VectorFile
from mmsearch.errors import MmsearchError, UsageError
from mmsearch.index.engine import EngineIndex
from mmsearch.search.defaults import Defaults
from mmsearch.search.hits import hit_of
from mmsearch.search.indexes import Indexes
from mmsearch.search.request import validate
from mmsearch.search.terms import TermVectors, sum_parts
from mmsearch.types import MODALITIES, Answer, Hit, ImageEncoder, Modality, Query

if TYPE_CHECKING:
    from mmsearch.encoders.text_cache import TextCache
    from mmsearch.search.answering import Answering
    from mmsearch.search.candidates import Candidates
    from mmsearch.search.concepts import Concepts
    from mmsearch.search.relevance import Relevance
    from mmsearch.types import Vectors


class Searcher:
    """Answers queries over one collection; keeps one index per modality, current by replay."""

    def __init__(
        self,
        catalog: Catalog,
        info: EncoderInfo,
        vectors: VectorFile,
        indexes: Indexes,
        text_encoder: Callable[[], TextCache],
        image_encoder: Callable[[], ImageEncoder],
        candidates: Candidates,
        concepts: Concepts,
        background: Callable[[Modality, Modality], Path],
    ) -> None:
        self._catalog = catalog
        self._info = info
        self._indexes = indexes
        self._terms = TermVectors(catalog, info, vectors, text_encoder, image_encoder)
        self._text_encoder = text_encoder
        self._candidates = candidates
        self._concepts = concepts
        self._background = background
        self._answering: Answering | None = None
        self._measured: Relevance | None = None
        self._counts: tuple[int, Defaults, int] | None = None

    def index(self, modality: Modality) -> EngineIndex:
        """The index of one modality, caught up with the catalog."""
        self._indexes.refresh()
        return self._indexes.get(modality)

    def reached(self) -> int | None:
        """See Indexes.reached."""
        return self._indexes.reached()

    def save(self, modality: Modality) -> None:
        """Snapshot the caught-up index. Raises StorageError."""
        self._indexes.refresh()
        self._indexes.save(modality)

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """One ranking per query, best first, ties by age of the item.

        Raises UsageError, FilterError, ItemNotFoundError, ImageError, ModelError.
        """
        for query in queries:
            validate(query)
        self._indexes.refresh()
        answers: list[list[Hit]] = [[] for _ in queries]
        groups: dict[tuple[Modality, int], list[int]] = {}
        for number, query in enumerate(queries):
            modality = self._plain(query)
            if modality is None:
                answer = self._full.answer(query, judged=False)
                answers[number] = list(answer.hits)
            else:
                groups.setdefault((modality, query.k), []).append(number)
        vectors = self._encode(queries, groups)
        for (modality, k), members in groups.items():
            rows = np.stack([vectors[member] for member in members])
            scores, ids = self._indexes.get(modality).search(rows, k)
            found = self._catalog.items(set(ids.ravel().tolist()))
            for member, row_scores, row_ids in zip(members, scores, ids, strict=True):
                pairs = zip(row_ids.tolist(), row_scores.tolist(), strict=True)
                # An item removed since the index caught up is left out, not invented.
                live = [(found[i], score) for i, score in pairs if i in found]
                answers[member] = [
                    hit_of(rank, score, item, modality)
                    for rank, (item, score) in enumerate(live, 1)
                ]
        return answers

    def answer(self, query: Query) -> Answer:
        """Everything that one query asks for. Raises as `search` does."""
        validate(query)
        self._indexes.refresh()
        return self._full.answer(query)

    def answer_many(self, queries: Sequence[Query]) -> list[Answer | MmsearchError]:
        """Each query's answer, or what `answer` would raise for it.

        All texts go through the encoder in one batch, and all queries that may find any item
        through each index in one.
        """
        self._indexes.refresh()
        valid: list[Query] = []
        results: list[Answer | MmsearchError | None] = []
        for query in queries:
            try:
                validate(query)
            except UsageError as error:
                results.append(error)
            else:
                results.append(None)
                valid.append(query)
        self._terms.encode_together(valid)
        answers = iter(self._full.answer_many(valid))
        return [next(answers) if result is None else result for result in results]

    def suggest(self, prefix: str, k: int) -> list[tuple[str, int]]:
        """What a search box may offer for `prefix`; see `Columns.suggest`."""
        self._indexes.refresh()
        return self._full.suggest(prefix, k)

    def defaults(self) -> Defaults:
        """What the collection answers with where a query leaves it open."""
        self._indexes.refresh()
        return self._counted()[0]

    def measure(self) -> None:
        """Measure what a score is worth, of texts and of pictures with all that there is, unless
        that is known. Raises ModelError."""
        self._indexes.refresh()
        there = [modality for modality in MODALITIES if len(self._indexes.get(modality))]
        # Words come first: torch, if it encodes them, is slower while NumPy's threads still spin.
        for of in reversed(MODALITIES):
            for to in there:
                self._relevance.background(of, to)

    # ---- inside

    def _counted(self) -> tuple[Defaults, int]:
        """The defaults, and how many live items there are; counted once per change."""
        seq = self._indexes.seq
        if self._counts is None or self._counts[0] != seq:
            counts = self._catalog.counts()
            self._counts = seq, Defaults.of(counts), counts["items"]
        return self._counts[1:]

    def _plain(self, query: Query) -> Modality | None:
        """The modality, if all that is asked for is the nearest vectors of one modality."""
        plain = Query(
            query.terms, k=query.k, to=query.to, mode=query.mode, templates=query.templates
        )
        if not query.terms or query != plain or any(term.concept for term in query.terms):
            return None
        defaults = self._counted()[0] if query.to is None or query.mode is None else None
        to = query.to or (defaults.to if defaults else None)
        mode = query.mode or ("vector" if query.to else defaults.mode if defaults else None)
        return to if to in ("image", "text") and mode == "vector" else None

    def _encode(
        self, queries: Sequence[Query], groups: dict[tuple[Modality, int], list[int]]
    ) -> dict[int, Vectors]:
        """Number of a plain query -> its (d,) float32 unit vector; all texts in one batch."""
        to = {number: modality for (modality, _), many in groups.items() for number in many}
        vectors: dict[int, Vectors] = {}
        by_templates: dict[tuple[str, ...], list[int]] = {}
        for number in to:
            by_templates.setdefault(queries[number].templates or (), []).append(number)
        for templates, numbers in by_templates.items():
            terms = [term for number in numbers for term in queries[number].terms]
            texts = self._terms.texts(terms, templates)
            for number in numbers:
                parts = [self._terms.part(term, texts) for term in queries[number].terms]
                vectors[number] = sum_parts(parts, to[number], self._spread)
        return vectors

    def _spread(self, of: Modality, to: Modality) -> float:
        return self._relevance.spread(of, to)

    @property
    def _relevance(self) -> Relevance:
        if self._measured is None:
            from mmsearch.search.relevance import Relevance

            self._measured = Relevance(self._indexes, self._text_encoder, self._background)
        return self._measured

    @property
    def _full(self) -> Answering:
        # The parts of the full way are imported by queries that go it.
        if self._answering is None:
            from mmsearch.search.answering import Answering
            from mmsearch.search.plan import Planner
            from mmsearch.search.prepare import Preparation
            from mmsearch.search.rank import Rankings
            from mmsearch.search.show import Showing

            catalog, indexes, candidates = self._catalog, self._indexes, self._candidates
            planner = Planner(indexes, self._terms, self._relevance, self._concepts.get)
            rankings = Rankings(catalog, indexes, self._relevance)
            self._answering = Answering(
                indexes,
                candidates,
                Preparation(catalog, indexes, candidates, planner, rankings, self._counted),
                rankings,
                Showing(catalog, indexes, candidates, self._info.dim),
            )
        return self._answering
