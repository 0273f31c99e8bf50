"""Answers that differ from each other: maximal marginal relevance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.ranking.ranked import Rows
    from mmsearch.types import Ids, Vectors


def mmr(
    relevance: npt.NDArray[np.floating],
    vectors: Vectors,
    ids: Ids,
    k: int,
    balance: float = 0.7,
) -> Rows:
    """(min(k, n),) rows of the chosen candidates, in the order in which they were chosen.

    Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents
    and Producing Summaries", SIGIR 1998: greedily the candidate with the largest

        balance * relevance(x) - (1 - balance) * max over chosen y of <x, y>

    `relevance` (n,) should have the scale of a cosine, such as the cosine with the query itself or
    a relevance in [0, 1]; `vectors` (n, d) are unit rows, and the similarity of the first choice
    is 0. balance 1 is the plain ranking, 0 looks at differences only. Ties by ascending id.
    O(k n d): one matrix-vector product for each choice.

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
    chosen = np.empty(min(k, n), np.intp)
    for step in range(len(chosen)):
        value = np.where(free, worth - (1.0 - balance) * nearest, -np.inf)
        best = int(np.argmax(value))
        chosen[step] = best
        free[best] = False
        similarity = rows @ rows[best]
        nearest = similarity.astype(np.float64) if step == 0 else np.maximum(nearest, similarity)
    return np.asarray(by_id[chosen], np.intp)
