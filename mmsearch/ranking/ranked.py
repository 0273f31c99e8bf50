"""A ranking: ids with their scores, best first. Ties go to the smaller id, which is the older item.

Every module of this room follows this one tie rule, so that equal input gives equal answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids, Vectors

    Floats = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Ranked:
    """`ids` (n,) int64, each once, and `scores` (n,) float64, best first."""

    ids: Ids
    scores: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def head(self, k: int) -> Ranked:
        """The best `k`."""
        return Ranked(self.ids[:k], self.scores[:k])


def score(vectors: Vectors, query: Vectors) -> Vectors:
    """(n,) float32 inner products of rows (n, d) with the query (d,).

    Equal rows have equal scores, wherever they stand: not so with a matrix product.
    """
    scores: Vectors = np.einsum("nd,d->n", vectors, query)
    return scores


def best_first(scores: npt.NDArray[np.floating], ids: Ids) -> Rows:
    """(n,) rows in the order of descending score, ties by ascending id.

    Raises UsageError for a score that is not a number: it has no place in an order.
    """
    if np.isnan(scores).any():
        item = int(ids[np.isnan(scores)][0])
        raise UsageError(f"item {item} has no score (NaN), so it cannot be ranked: leave it out")
    order: Rows = np.lexsort((ids, -scores))
    return order


def ranked(scores: npt.NDArray[np.floating], ids: Ids, k: int | None = None) -> Ranked:
    """The best `k` (None: all) of `ids` (n,) by `scores` (n,)."""
    rows = best_first(scores, ids)[:k]
    return Ranked(np.asarray(ids, np.int64)[rows], np.asarray(scores, np.float64)[rows])


def distinct(ids: Ids) -> Ids:
    """(n,) -> (m,) ascending, each once: np.unique, which imports NumPy's masked arrays (25 ms)."""
    ids = np.sort(ids)
    first = np.ones(len(ids), np.bool_)
    first[1:] = ids[1:] != ids[:-1]
    return ids[first]


def among(ids: Ids, known: Ids) -> npt.NDArray[np.bool_]:
    """(n,) which of the ids (n,) are among the known ones (m,), ascending."""
    if not len(known):
        return np.zeros(len(ids), np.bool_)
    places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    there: npt.NDArray[np.bool_] = known[places] == ids
    return there
