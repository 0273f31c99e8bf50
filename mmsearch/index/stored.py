"""Exact scores from the stored vectors, for the answers of every index that only sketches them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from mmsearch.ranking.ranked import score

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids, Vectors

    Rows = npt.NDArray[np.int64]

ROWS_AT_A_TIME = 8_192  # 16 MB of float32 at d = 512
ELEMENTS_AT_A_TIME = 8_000_000  # 32 MB of float32
# By so much two ways to multiply unit vectors in float32 may differ; 2e-7 was seen (2026-11).
ROUNDING = 1e-6


class RowStore(Protocol):
    """Where the vectors are: catalog.vectors.VectorFile, memory-mapped."""

    dim: int

    def read(self, rows: Rows) -> Vectors:
        """(n, d) float32 rows in the order asked. Raises CorruptionError."""
        ...


def top_k(scores: Vectors, ids: Ids, k: int) -> tuple[Vectors, Ids]:
    """The k best of each row: scores (n, m), ids (n, m) or (m,) -> both (n, k), k <= m.

    Best first, ties by ascending id, also where the k-th is one of many equals.
    """
    best = np.empty((len(scores), k), np.float32)
    found = np.empty((len(scores), k), np.int64)
    for number, (row, names) in enumerate(
        zip(scores, np.broadcast_to(ids, scores.shape), strict=True)
    ):
        least = np.partition(row, -k)[-k]
        places = np.flatnonzero(row >= least)  # few: sorting all would take ten times as long
        places = places[np.lexsort((names[places], -row[places]))[:k]]
        best[number], found[number] = row[places], names[places]
    return best, found


def nearest(store: RowStore, queries: Vectors, ids: Ids, rows: Rows, k: int) -> tuple[Vectors, Ids]:
    """The k best of the items `ids` (m,), ascending, whose vectors are `rows` (m,); k <= m."""
    scores = np.empty((len(queries), k), np.float32)
    found = np.empty((len(queries), k), np.int64)
    step = max(1, ELEMENTS_AT_A_TIME // len(ids))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        # (step, m): all scores of a few queries, so that ties are seen whole.
        every = np.empty((len(queries[part]), len(ids)), np.float32)
        for first in range(0, len(ids), ROWS_AT_A_TIME):
            some = slice(first, first + ROWS_AT_A_TIME)
            every[:, some] = queries[part] @ store.read(rows[some]).T
        for number, row in enumerate(every, start):
            # Only those that may be among the best are scored as a query alone scores them.
            near = np.flatnonzero(row >= np.partition(row, -k)[-k] - ROUNDING)
            parts = np.split(rows[near], range(ROWS_AT_A_TIME, len(near), ROWS_AT_A_TIME))
            own = np.concatenate([score(store.read(one), queries[number]) for one in parts])
            (scores[number],), (found[number],) = top_k(own[None], ids[near], k)
    return scores, found


def scores_of(store: RowStore, queries: Vectors, candidates: Ids, row_of: Rows) -> Vectors:
    """(n, m) float32: each query (n, d) times its own candidates' vectors; -inf where id is -1.

    `row_of[id]` is the row of the item's vector.
    """
    scores = np.full(candidates.shape, -np.inf, np.float32)
    for own, ids, query in zip(scores, candidates, queries, strict=True):
        there = ids >= 0
        own[there] = score(store.read(row_of[ids[there]]), query)
    return scores
