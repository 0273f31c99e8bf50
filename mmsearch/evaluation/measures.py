"""The measures: names, definitions, and their values from the ranks of the relevant items.

Every one of them follows from the ranks and grades of a query's relevant items alone, so a whole
dataset is a few operations on flat arrays. The definitions are trec_eval's, and a property test
holds the values to trec_eval's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import UsageError
from mmsearch.evaluation.result import MEDIAN_RANK

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.evaluation.result import PerQuery

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Definition:
    """What a measure is. `name` is that of one query's value, `mean_name` that of the mean."""

    name: str
    mean_name: str
    formula: str
    convention: str
    source: str
    cut: bool | None  # True: always with @k, False: never, None: both are defined


_TREC = "trec_eval 9, usnistgov/trec_eval"
_RELEVANT = "relevant: grade of at least 1; R counts them all, also those the gallery lacks"

# rel_i: grade of the item at rank i; r_1 < r_2 < ... < r_R: ranks of the relevant items.
DEFINITIONS: dict[str, Definition] = {
    one.name: one
    for one in (
        Definition(
            "hit",
            "hit",
            "hit@k = 1 if r_1 <= k else 0",
            "what papers on CLIP call R@k or recall@k; it asks for one right item, not for all",
            f"success_k of {_TREC}",
            True,
        ),
        Definition(
            "recall",
            "recall",
            "recall@k = |{j : r_j <= k}| / R",
            f"found of all that is relevant; {_RELEVANT}",
            f"recall_k of {_TREC}",
            True,
        ),
        Definition(
            "precision",
            "precision",
            "precision@k = |{j : r_j <= k}| / k",
            "divides by k also where fewer items are returned or relevant",
            f"P_k of {_TREC}",
            True,
        ),
        Definition(
            "AP",
            "mAP",
            "AP = (1 / R) * sum over j of j / r_j; AP@k: only over r_j <= k, still divided by R",
            f"an item never returned adds 0; {_RELEVANT}",
            f"map and map_cut_k of {_TREC}; Buckley and Voorhees, SIGIR 2000",
            None,
        ),
        Definition(
            "nDCG",
            "nDCG",
            "nDCG = DCG / ideal DCG, DCG = sum over i of rel_i / log2(i + 1); @k: i <= k in both",
            "the gain is the grade itself, not 2^grade - 1; the ideal ranks all judged items",
            f"ndcg and ndcg_cut_k of {_TREC}; Järvelin and Kekäläinen, TOIS 20(4), 2002",
            None,
        ),
        Definition(
            "RR",
            "MRR",
            "RR = 1 / r_1, 0 if nothing relevant is returned",
            "over the whole ranking, without a cut",
            f"recip_rank of {_TREC}; Voorhees, TREC-8 question answering track, 1999",
            False,
        ),
        Definition(
            "R-precision",
            "R-precision",
            "R-precision = |{j : r_j <= R}| / R",
            _RELEVANT,
            f"Rprec of {_TREC}",
            False,
        ),
        Definition(
            MEDIAN_RANK,
            MEDIAN_RANK,
            "the median over the queries of r_1",
            "smaller is better; infinite where nothing relevant is returned",
            "Kiros, Salakhutdinov and Zemel, arXiv 1411.2539, 2014",
            False,
        ),
        Definition(
            "accuracy",
            "accuracy",
            "1 if the item's own label is the nearest one, else 0",
            "zero-shot: labels are the mean of their templates' unit embeddings, renormalised",
            "Radford et al., arXiv 2103.00020, 2021, section 3.1",
            False,
        ),
    )
}


@dataclass(frozen=True, order=True)
class Measure:
    """One measure, with its cut-off if it has one; `str` gives its name, such as nDCG@10."""

    base: str
    k: int | None = None

    def __str__(self) -> str:
        return self.base if self.k is None else f"{self.base}@{self.k}"

    @property
    def definition(self) -> Definition:
        return DEFINITIONS[self.base]

    @property
    def mean_name(self) -> str:
        """What the figure over all queries is called: mAP@10 for AP@10."""
        name = self.definition.mean_name
        return name if self.k is None else f"{name}@{self.k}"


# Not R@k: it means recall to some and hit to the papers on CLIP.
_ALIASES = {"map": "AP", "mrr": "RR", "p": "precision", "success": "hit", "rprec": "R-precision"}
_NAMES = {name.casefold(): name for name in DEFINITIONS if name != "accuracy"} | _ALIASES


def parse_measure(text: str) -> Measure:
    """`nDCG@10`, `mAP`, `hit@1` ... in any case. Raises UsageError."""
    found = re.fullmatch(r"\s*([a-z -]+?)\s*(?:@\s*([0-9]{1,6}))?\s*", text, re.IGNORECASE)
    base = _NAMES.get(found[1].casefold()) if found else None
    if found is None or base is None:
        raise UsageError(f"no measure is called {text!r}: choose among {', '.join(_NAMES)}")
    k = int(found[2]) if found[2] else None
    cut = DEFINITIONS[base].cut
    if (k is None and cut is True) or k == 0:
        raise UsageError(f"the measure {text!r} needs a cut-off of at least 1: {base}@10")
    if k is not None and cut is False:
        raise UsageError(f"the measure {base} has no cut-off: leave @{k} out")
    return Measure(base, k)


DEFAULT_MEASURES: tuple[Measure, ...] = tuple(
    parse_measure(name)
    for name in (
        *("hit@1", "hit@5", "hit@10", "recall@1", "recall@5", "recall@10"),
        *("precision@1", "precision@5", "precision@10", "AP", "AP@10", "nDCG@10"),
        *("RR", "R-precision", MEDIAN_RANK),
    )
)


@dataclass(frozen=True)
class RelevantRanks:
    """Where the relevant items of q queries came, flat: those of query i are starts[i]:starts[i+1].

    `ranks` (n,) from 1, inf for an item that was not returned; ascending within each query.
    `grades` (n,) at least 1, of the same items; `entries` (n,) where each stood before sorting.
    `starts` (q + 1,).
    """

    starts: Ints
    ranks: Floats
    grades: Floats
    entries: Ints

    @classmethod
    def of(cls, starts: Ints, ranks: Floats, grades: Floats) -> RelevantRanks:
        """The same in the order that the measures need."""
        query = np.repeat(np.arange(len(starts) - 1), np.diff(starts))  # (n,)
        order = np.lexsort((ranks, query))
        return cls(starts, ranks[order], grades[order], order)

    @property
    def query(self) -> Ints:
        """(n,) the query of each entry."""
        return np.repeat(np.arange(len(self.starts) - 1), self.relevant)

    @property
    def relevant(self) -> Ints:
        """(q,) R, the number of relevant items."""
        return np.diff(self.starts)

    @property
    def place(self) -> Floats:
        """(n,) j from 1: the how manieth relevant item of its query each entry is."""
        return np.arange(len(self.ranks), dtype=np.float64) - self.starts[self.query] + 1

    @property
    def first(self) -> PerQuery:
        """(q,) rank of the first relevant item, inf where there is none."""
        first = np.full(len(self.relevant), np.inf)
        some = self.relevant > 0
        first[some] = self.ranks[self.starts[:-1][some]]
        return first


def per_query(found: RelevantRanks, measures: Sequence[Measure]) -> dict[str, PerQuery]:
    """measure name -> (q,) float64. A query without relevant items scores 0, as in trec_eval."""
    return {str(measure): _VALUES[measure.base](found, measure.k) for measure in measures}


def _sum(found: RelevantRanks, values: Floats) -> Floats:
    """(n,) -> (q,)"""
    total = np.bincount(found.query, weights=values, minlength=len(found.relevant))
    return total.astype(np.float64, copy=False)


def _ratio(above: Floats, below: Floats | Ints) -> Floats:
    """above / below, 0 where that is 0 / 0."""
    return np.divide(above, below, out=np.zeros(len(above)), where=np.asarray(below) > 0)


def _within(found: RelevantRanks, k: int | None) -> npt.NDArray[np.bool_]:
    return found.ranks <= (np.finfo(np.float64).max if k is None else k)


def _hit(found: RelevantRanks, k: int | None) -> PerQuery:
    return (found.first <= (k or 1)).astype(np.float64)


def _recall(found: RelevantRanks, k: int | None) -> PerQuery:
    return _ratio(_sum(found, _within(found, k).astype(np.float64)), found.relevant)


def _precision(found: RelevantRanks, k: int | None) -> PerQuery:
    return _sum(found, _within(found, k).astype(np.float64)) / (k or 1)


def _average_precision(found: RelevantRanks, k: int | None) -> PerQuery:
    gains = np.where(_within(found, k), found.place / found.ranks, 0.0)
    return _ratio(_sum(found, gains), found.relevant)


def _ndcg(found: RelevantRanks, k: int | None) -> PerQuery:
    gains = np.where(_within(found, k), found.grades / np.log2(found.ranks + 1), 0.0)
    best_first = np.lexsort((-found.grades, found.query))
    place = found.place
    ideal = found.grades[best_first] / np.log2(place + 1)
    if k is not None:
        ideal = np.where(place <= k, ideal, 0.0)
    return _ratio(_sum(found, gains), _sum(found, ideal))


def _reciprocal_rank(found: RelevantRanks, k: int | None) -> PerQuery:
    return 1.0 / found.first


def _r_precision(found: RelevantRanks, k: int | None) -> PerQuery:
    inside = found.ranks <= found.relevant[found.query]
    return _ratio(_sum(found, inside.astype(np.float64)), found.relevant)


def _first_rank(found: RelevantRanks, k: int | None) -> PerQuery:
    return found.first


_VALUES = {
    "hit": _hit,
    "recall": _recall,
    "precision": _precision,
    "AP": _average_precision,
    "nDCG": _ndcg,
    "RR": _reciprocal_rank,
    "R-precision": _r_precision,
    MEDIAN_RANK: _first_rank,
}


def precision_at_recall(found: RelevantRanks) -> Floats:
    """(11,) interpolated precision at recall 0, 0.1 ... 1, averaged over the queries.

    The greatest precision at any rank with at least that recall; iprec_at_recall of trec_eval,
    which takes the recall as reached by int(0.9 + level * R) relevant items.
    """
    levels = np.arange(11) / 10
    # The best precision from each entry on, per query: a running maximum from the back, in which a
    # query's offset keeps the values of the queries after it out.
    offset = 2.0 * (len(found.relevant) - found.query)
    running = np.maximum.accumulate((found.place / found.ranks + offset)[::-1])[::-1]
    best = np.append(running - offset, 0.0)  # (n + 1,), the last stands for "no relevant item"
    needed = (0.9 + levels[:, None] * found.relevant[None]).astype(np.int64)  # (11, q)
    entry = found.starts[:-1] + np.maximum(needed, 1) - 1
    entry = np.where(found.relevant > 0, entry, len(found.ranks))
    values: Floats = best[entry].mean(axis=1)
    return values
