"""One ranking out of several: by reciprocal rank, or by weighted calibrated scores.

Neither ever adds raw scores of two lists: BM25, cosines with pictures and cosines with texts have
different scales and different backgrounds. A rank has none, and a calibrated score (a relevance,
`calibrate.py`, or a standard score, `late.py`) means the same in every list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import UsageError
from mmsearch.ranking.ranked import Ranked, best_first

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.ranking.ranked import Floats
    from mmsearch.types import Ids

# Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
# Learning Methods", SIGIR 2009: fixed at 60 in a pilot study, and not critical.
RRF_K = 60


@dataclass(frozen=True)
class Part:
    """What one list gave to an item's score. `rank` counts from 1; None: the list lacks the item,
    and `score` is None too."""

    source: str
    rank: int | None
    score: float | None
    contribution: float


@dataclass(frozen=True, eq=False)
class Fused:
    """The fused ranking of m items from s lists, and where each score comes from.

    `ids` (m,) int64 and `scores` (m,) float64, best first; `contributions` (m, s) float64, whose
    rows sum to `scores`; `ranks` (m, s) int64, 0 where a list lacks the item; `given` (m, s)
    float64, the lists' own scores, NaN there.
    """

    sources: tuple[str, ...]
    ids: Ids
    scores: Floats
    contributions: Floats
    ranks: npt.NDArray[np.int64]
    given: Floats

    @property
    def ranking(self) -> Ranked:
        return Ranked(self.ids, self.scores)

    def explain(self, row: int) -> tuple[Part, ...]:
        """One part for each list, in their order, of the item at `row` (0 is the best)."""
        cells = zip(
            self.sources,
            self.ranks[row].tolist(),
            self.given[row].tolist(),
            self.contributions[row].tolist(),
            strict=True,
        )
        return tuple(
            Part(source, rank or None, score if rank else None, contribution)
            for source, rank, score, contribution in cells
        )


@dataclass(frozen=True, eq=False)
class Source:
    """One list to fuse: its name, its ranking, and the weight that it has."""

    name: str
    ranking: Ranked
    weight: float = 1.0


def reciprocal_rank(sources: Sequence[Source], constant: float = RRF_K) -> Fused:
    """score(x) = sum over lists that hold x of weight / (constant + rank of x), ranks from 1.

    The formula of Cormack et al. (see RRF_K), with weights; a list without x adds 0. Items of
    equal score in a list still have different ranks there, by the tie rule of `ranked.py`.

    Raises UsageError for no list, a weight that is not positive, or a constant below 0.
    """
    if not constant >= 0:
        raise UsageError(f"the constant of rank fusion must be at least 0, not {constant}")
    return _fuse(sources, lambda _, ranks: 1.0 / (constant + ranks), 0.0)


def weighted(sources: Sequence[Source], missing: float = 0.0) -> Fused:
    """score(x) = sum over lists of weight * score of x there, weights scaled to sum to 1.

    The convex combination of Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid
    Retrieval", ACM TOIS 42(1), 2023. The scores must be calibrated: equal scores, equal meaning.
    A list that lacks x counts as `missing`: 0 for relevances, which are near 0 below a list's end.

    Raises UsageError for no list, or a weight that is not positive.
    """
    return _fuse(sources, lambda scores, _: scores, missing, normalise=True)


def _fuse(
    sources: Sequence[Source],
    value: Callable[[Floats, Floats], Floats],
    missing: float,
    normalise: bool = False,
) -> Fused:
    """`value(scores, ranks)` of each list, weighted and summed over the union of the ids."""
    if not sources:
        raise UsageError("there is no ranking to fuse: give at least one")
    for source in sources:
        if not (np.isfinite(source.weight) and source.weight > 0):
            raise UsageError(
                f"the weight of {source.name!r} must be a number above 0, not {source.weight}: "
                "leave a list out to ignore it"
            )
    weights = np.array([source.weight for source in sources], np.float64)
    if normalise:
        weights /= weights.sum()
    ids = np.unique(np.concatenate([source.ranking.ids for source in sources]))  # (m,) ascending
    shape = (len(ids), len(sources))
    contributions = np.tile(weights * missing, (len(ids), 1))  # (m, s)
    ranks = np.zeros(shape, np.int64)
    given = np.full(shape, np.nan)
    for column, source in enumerate(sources):
        rows = np.searchsorted(ids, source.ranking.ids)
        ranks[rows, column] = np.arange(1, len(rows) + 1)
        given[rows, column] = source.ranking.scores
        worth = value(source.ranking.scores, ranks[rows, column].astype(np.float64))
        contributions[rows, column] = weights[column] * worth
    scores = contributions.sum(axis=1)
    order = best_first(scores, ids)
    return Fused(
        tuple(source.name for source in sources),
        ids[order],
        scores[order],
        contributions[order],
        ranks[order],
        given[order],
    )
