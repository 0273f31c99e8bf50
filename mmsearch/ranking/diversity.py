"""Answers that differ from each other: maximal marginal relevance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids, Vectors


def mmr(
    relevance: npt.NDArray[np.floating], vectors: Vectors, ids: Ids, balance: float = 0.7
) -> Iterator[int]:
    """The rows of all n candidates, each as it is chosen: no more is computed than is taken.

    Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents
    and Producing Summaries", SIGIR 1998: greedily the candidate with the largest

        balance * relevance(x) - (1 - balance) * max over chosen y of <x, y>

    `relevance` (n,) should have the scale of a cosine, such as the cosine with the query itself or
    a relevance in [0, 1]; `vectors` (n, d) are unit rows, and the similarity of the first choice
    is 0. balance 1 is the plain ranking, 0 looks at differences only. Ties by ascending id.
    O(n d) for each choice: a matrix-vector product.

    Raises UsageError for a balance outside [0, 1].
    """
    if not 0.0 <= balance <= 1.0:
        raise UsageError(f"the balance of diversity must be between 0 and 1, not {balance}")
    n = len(ids)
    by_id = np.argsort(ids, kind="stable")  # argmax takes the first of equals: the smallest id
    rows = np.ascontiguousarray(vectors[by_id])  # (n, d)
    worth = balance * np.asarray(relevance, np.float64)[by_id]  # (n,)
    nearest = np.zeros(n)  # (n,) largest similarity with a chosen one
    free = np.ones(n, bool)
    for step in range(n):
        value = np.where(free, worth - (1.0 - balance) * nearest, -np.inf)
        best = int(np.argmax(value))
        yield int(by_id[best])
        free[best] = False
        similarity = rows @ rows[best]
        nearest = similarity.astype(np.float64) if step == 0 else np.maximum(nearest, similarity)
