"""A query's journey: encode its terms, catch the index up, search, hydrate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo, StoredItem
from mmsearch.catalog.vectors import VectorFile
from mmsearch.index.faiss_index import FaissIndex, Snapshots
from mmsearch.search.indexes import Indexes
from mmsearch.search.request import validate
from mmsearch.search.terms import TermVectors, combine, flat_terms
from mmsearch.types import Encoder, Hit, Modality, Query, TextEncoder

if TYPE_CHECKING:
    from mmsearch.search.concepts import Concepts
    from mmsearch.types import Vectors


class Searcher:
    """Answers queries over one collection; keeps one index per modality, current by replay."""

    def __init__(
        self,
        catalog: Catalog,
        info: EncoderInfo,
        vectors: VectorFile,
        snapshots: Callable[[Modality], Snapshots],
        text_encoder: Callable[[], TextEncoder],
        image_encoder: Callable[[], Encoder],
    ) -> None:
        self._catalog = catalog
        self._info = info
        self._indexes = Indexes(catalog, info, vectors, snapshots)
        self._terms = TermVectors(catalog, info, vectors, text_encoder, image_encoder)

    def index(self, modality: Modality) -> FaissIndex:
        """The index of one modality, caught up with the catalog."""
        return self._indexes.get(modality)

    def save(self, modality: Modality) -> None:
        """Snapshot the caught-up index. Raises StorageError."""
        self._indexes.save(modality)

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """One ranking per query, best first, ties by age of the item.

        Raises UsageError, ItemNotFoundError, ImageError, ModelError.
        """
        for query in queries:
            validate(query)
        vectors = self._encode(queries)
        answers: list[list[Hit]] = [[] for _ in queries]
        default = self._default_target()
        groups: dict[tuple[Modality, int], list[int]] = {}
        for number, query in enumerate(queries):
            groups.setdefault((query.to or default, query.k), []).append(number)
        for (modality, k), members in groups.items():
            scores, ids = self.index(modality).search(vectors[members], k)
            found = self._catalog.items(set(ids.ravel().tolist()))
            for member, row_scores, row_ids in zip(members, scores, ids, strict=True):
                pairs = zip(row_ids.tolist(), row_scores.tolist(), strict=True)
                # An item removed since the index caught up is left out, not invented.
                live = [(found[i], score) for i, score in pairs if i in found]
                answers[member] = [
                    hit_of(rank, score, item, modality) for rank, (item, score) in enumerate(live, 1)
                ]
        return answers

    def _default_target(self) -> Modality:
        return "image" if self._catalog.counts()["images"] else "text"

    def _encode(self, queries: Sequence[Query]) -> Vectors:
        """(n, d) float32 unit rows: the weighted sum of unit term vectors, renormalised."""
        texts = self._terms.texts(term for query in queries for term in query.terms)
        rows = []
        for query in queries:
            parts = [self._terms.part(term, texts) for term in query.terms]
            rows.append(combine([(part.weight, part.vector) for part in parts]))
        return np.stack(rows) if rows else np.empty((0, self._info.dim), np.float32)


def hit_of(rank: int, score: float, item: StoredItem, modality: Modality) -> Hit:
    return Hit(
        rank,
        round(score, 6),
        item.key,
        modality,
        item.path,
        item.text,
        item.group,
        item.attributes,
    )
