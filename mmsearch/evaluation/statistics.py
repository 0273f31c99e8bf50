"""How sure a figure is: bootstrap intervals over queries, paired randomisation tests, Holm.

A measure of a run is the mean of its values per query, and the queries are a sample: another sample
would have given another mean. Everything here resamples queries, never documents.

Queries that share an image are not independent. Five captions of one picture succeed and fail
together, so that an interval over the 25,000 captions of COCO's 5,000 test pictures is too narrow.
Give `clusters`, a label per query (the picture's id): whole clusters are then drawn, or swapped,
together (Field and Welsh 2007, "Bootstrapping clustered data", J. R. Stat. Soc. B 69:369-390).

All randomness comes from `seed`: equal inputs give equal figures.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np

from mmsearch.errors import UsageError
from mmsearch.evaluation.resampling import Groups, bootstrap_draws, sign_flip_test
from mmsearch.evaluation.result import MEDIAN_RANK

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.evaluation.result import Evaluation

    Floats = npt.NDArray[np.float64]

Method = Literal["bca", "percentile"]

# Efron and Tibshirani 1993, section 14.3, ask for 1,000 or more for intervals; with ten times as
# many the ends of an interval move by less than the digits that a report prints.
RESAMPLES = 9_999
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """`estimate` from all queries, and the ends of its confidence interval.

    When every query has the same value, low = high = estimate: the bootstrap sees no spread, which
    does not mean that there is none (`degenerate`).
    """

    estimate: float
    low: float
    high: float
    confidence: float
    method: Method

    @property
    def degenerate(self) -> bool:
        return self.low == self.high


@dataclass(frozen=True)
class Comparison:
    """Second run minus first, on the same queries.

    `effect_size` is Cohen's d_z = mean(d) / sd(d) of the differences per query, sd with n - 1
    (Cohen 1988, section 2.3.5; Lakens 2013, doi:10.3389/fpsyg.2013.00863, eq. 6); None when all the
    differences are equal. `exact` says that every assignment was counted and none drawn.
    """

    first: float
    second: float
    difference: Interval
    p_value: float
    effect_size: float | None
    queries: int
    exact: bool


@dataclass(frozen=True)
class PairTest:
    """One comparison of a family; `adjusted_p` is its p value after Holm's correction."""

    measure: str
    first: str
    second: str
    comparison: Comparison
    adjusted_p: float


@dataclass(frozen=True)
class Significance:
    """All pairs of several runs. The family that Holm corrects is the pairs of one measure.

    Measures are not corrected for one another: they are different questions to the same rankings,
    and a reader who picks the one that pleases should know it.
    """

    labels: tuple[str, ...]
    pairs: tuple[PairTest, ...]
    alpha: float
    resamples: int
    clustered: bool

    def letters(self) -> dict[str, str]:
        """A letter for each run, in order: a, b, ... z, then aa."""
        return {label: _letter(number) for number, label in enumerate(self.labels)}

    def marks(self, measure: str, label: str, *, smaller_is_better: bool = False) -> str:
        """The letters of the runs that `label` beats significantly in `measure`, as in "a,c"."""
        letters = self.letters()
        beaten = []
        for pair in self.pairs:
            if pair.measure != measure or pair.adjusted_p >= self.alpha:
                continue
            gain = pair.comparison.difference.estimate * (-1 if smaller_is_better else 1)
            winner, loser = (pair.second, pair.first) if gain > 0 else (pair.first, pair.second)
            if winner == label:
                beaten.append(letters[loser])
        return ",".join(sorted(beaten))


def bootstrap_intervals(
    values: Mapping[str, Floats],
    clusters: Sequence[object] | None = None,
    *,
    medians: Collection[str] = (),
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
    method: Method = "bca",
) -> dict[str, Interval]:
    """A confidence interval for the mean of each measure; for those in `medians`, for the median.

    `values` maps a measure to its (q,) values per query; all measures share the same resamples.
    Each resample draws as many clusters as there are, with replacement, and takes

        theta* = sum_i c_i S_i / sum_i c_i n_i

    with c_i how often cluster i was drawn, S_i the sum of its values and n_i its queries; without
    `clusters` each query is one. Method "percentile" takes the quantiles of theta* (Efron 1979).
    "bca" (Efron 1987, "Better bootstrap confidence intervals", JASA 82:171-185) corrects them:

        z0 = Phi^-1(share of theta* below theta, ties half)
        a  = sum_i u_i^3 / (6 (sum_i u_i^2)^1.5),  u_i = mean of the jackknife - theta without i
        quantile = Phi(z0 + (z0 + z) / (1 - a (z0 + z)))  for z = Phi^-1((1 -+ confidence) / 2)

    A median always gets the percentile interval: its jackknife is inconsistent (Efron and
    Tibshirani 1993, section 11.6). It may be of infinite values (the rank of what was not found).
    Raises UsageError for values that are missing, not finite or of different lengths, and for a
    confidence outside (0, 1).
    """
    _check(confidence, resamples)
    names, matrix = _matrix(values, infinite=medians)
    is_median = [name in medians for name in names]
    groups = Groups.of(np.where(is_median, 0.0, matrix), clusters)
    draws = bootstrap_draws(groups, matrix, is_median, resamples, seed)
    intervals = {}
    for column, name in enumerate(names):
        if is_median[column]:
            estimate, jackknife = float(np.median(matrix[:, column])), None
        else:
            estimate, jackknife = float(matrix[:, column].mean()), groups.jackknife(column)
        use: Method = "percentile" if is_median[column] else method
        intervals[name] = _interval(draws[:, column], estimate, jackknife, confidence, use)
    return intervals


def compare(
    first: Mapping[str, Floats],
    second: Mapping[str, Floats],
    clusters: Sequence[object] | None = None,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Comparison]:
    """The paired test of two runs on the same queries, for each measure that both have.

    Fisher's randomisation test (Smucker, Allan and Carterette, CIKM 2007): if the runs were alike,
    swapping their two values for a query would change nothing but the sign of the difference d_i.
    With s_i = -1 or 1 for each query (with `clusters`: for each cluster),

        T(s) = mean_i(s_i d_i),   p = share of the sign vectors with |T(s)| >= |T(1, ..., 1)|.

    If there are no more than `resamples` sign vectors all are counted; otherwise that many are
    drawn and p = (1 + hits) / (1 + resamples) (Phipson and Smyth 2010,
    doi:10.2202/1544-6115.1585), so that it is never 0. With n clusters p cannot fall below
    2 / 2^n: fewer than six never reach 0.05.

    The tested value is the mean; a measure that is reported as a median (median rank) has no place
    here. The interval of the difference is a BCa bootstrap. Raises UsageError as
    `bootstrap_intervals` does, and for runs without a common measure or of different lengths.
    """
    _check(confidence, resamples)
    common = [name for name in first if name in second]
    if not common:
        raise UsageError(
            f"the two runs have no measure in common: {sorted(first)} and {sorted(second)}"
        )
    _, before = _matrix({name: first[name] for name in common})
    _, after = _matrix({name: second[name] for name in common})
    if before.shape != after.shape:
        raise UsageError(
            f"a paired test needs the same queries: one run has {len(before)}, the other "
            f"{len(after)}; evaluate both on the same split"
        )
    difference = after - before  # (q, m)
    groups = Groups.of(difference, clusters)
    p_values, exact = sign_flip_test(groups, resamples, seed)
    means = [False] * len(common)
    draws = bootstrap_draws(groups, difference, means, resamples, seed)
    results = {}
    for column, name in enumerate(common):
        one = difference[:, column]
        spread = float(one.std(ddof=1)) if len(one) > 1 else 0.0
        # Equal differences leave rounding noise behind, not spread.
        noise = 1e-12 * float(np.abs(one).max())
        results[name] = Comparison(
            first=float(before[:, column].mean()),
            second=float(after[:, column].mean()),
            difference=_interval(
                draws[:, column], float(one.mean()), groups.jackknife(column), confidence, "bca"
            ),
            p_value=float(p_values[column]),
            effect_size=float(one.mean()) / spread if spread > noise else None,
            queries=len(one),
            exact=exact,
        )
    return results


def compare_all(
    runs: Mapping[str, Mapping[str, Floats]],
    clusters: Sequence[object] | None = None,
    *,
    alpha: float = 1 - CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Significance:
    """`compare` for each pair of labelled runs, corrected by Holm within each measure.

    Raises UsageError as `compare` does, and for an alpha outside (0, 1).
    """
    alpha = round(alpha, 12)  # 1 - 0.95 is not 0.05
    found: dict[str, list[tuple[str, str, Comparison]]] = {}
    for (first, a), (second, b) in itertools.combinations(runs.items(), 2):
        tests = compare(a, b, clusters, confidence=1 - alpha, resamples=resamples, seed=seed)
        for measure, comparison in tests.items():
            found.setdefault(measure, []).append((first, second, comparison))
    pairs = []
    for measure, family in found.items():
        adjusted = holm([comparison.p_value for _, _, comparison in family])
        pairs += [
            PairTest(measure, first, second, comparison, p)
            for (first, second, comparison), p in zip(family, adjusted, strict=True)
        ]
    return Significance(tuple(runs), tuple(pairs), alpha, resamples, clusters is not None)


def evaluation_intervals(evaluation: Evaluation, *, seed: int = 0) -> dict[str, Interval]:
    """`bootstrap_intervals` of each measure of `evaluation`, over its clusters of queries."""
    return bootstrap_intervals(
        evaluation.measures, evaluation.clusters, medians=(MEDIAN_RANK,), seed=seed
    )


def evaluation_significance(
    evaluations: Mapping[str, Evaluation], *, seed: int = 0
) -> Significance:
    """`compare_all` of labelled evaluations of the same queries, in whatever order they have them.

    Median ranks are left out; see `compare`. Raises UsageError when the queries are not the same.
    """
    runs: dict[str, dict[str, Floats]] = {}
    clusters: Sequence[object] | None = None
    wanted: tuple[str, ...] = ()
    for label, evaluation in evaluations.items():
        position = {query: number for number, query in enumerate(evaluation.queries)}
        if clusters is None:
            wanted, clusters = evaluation.queries, evaluation.clusters
        if position.keys() != set(wanted):
            raise UsageError(
                f"{label} answered other queries than {next(iter(evaluations))} "
                f"({len(position)} and {len(wanted)}): only runs of one dataset, split and "
                "direction can be compared"
            )
        order = [position[query] for query in wanted]
        runs[label] = {
            name: values[order]
            for name, values in evaluation.measures.items()
            if name != MEDIAN_RANK
        }
    return compare_all(runs, clusters, seed=seed)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected for their number, in the given order.

    Holm 1979, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6:65-70:
    with p_(1) <= ... <= p_(m) the adjusted values are max_{j <= i} min(1, (m - j + 1) p_(j)). The
    chance of one or more false alarms in the family stays below alpha whatever the tests share.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(steps)
    return [float(value) for value in adjusted]


def _interval(
    draws: Floats, estimate: float, jackknife: Floats | None, confidence: float, method: Method
) -> Interval:
    """The interval of one measure from its (resamples,) draws; `jackknife` is for "bca" only."""
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    if method == "bca" and jackknife is not None:
        normal = NormalDist()
        below = (np.mean(draws < estimate) + np.mean(draws <= estimate)) / 2
        # No draw on one side of the estimate counts as half a draw: Phi^-1 stays finite.
        edge = 0.5 / len(draws)
        bias = normal.inv_cdf(min(max(float(below), edge), 1 - edge))
        pull = jackknife.mean() - jackknife if len(jackknife) else jackknife
        scale = float((pull**2).sum()) ** 1.5
        skew = float((pull**3).sum()) / (6 * scale) if scale > 0 else 0.0
        shifted = [bias + normal.inv_cdf(tail) for tail in tails]
        low, high = (normal.cdf(bias + z / (1 - skew * z)) for z in shifted)
        tails = (min(low, high), max(low, high))
    least, most = float(draws.min()), float(draws.max())
    if least == most or most - least <= 1e-12 * max(1.0, abs(estimate)):
        return Interval(estimate, estimate, estimate, confidence, method)
    # Medians may be infinite, and between two of those nothing can be interpolated.
    ends = np.quantile(draws, tails, method="linear" if np.isfinite(most) else "inverted_cdf")
    return Interval(estimate, float(ends[0]), float(ends[1]), confidence, method)


def _matrix(
    values: Mapping[str, Floats], *, infinite: Collection[str] = ()
) -> tuple[list[str], Floats]:
    """The names of the measures and their values as the columns of a (q, m) matrix.

    Those in `infinite` may hold inf; NaN is never a value.
    """
    if not values:
        raise UsageError("no measure to resample: give at least one array of values per query")
    columns = {name: np.asarray(one, np.float64) for name, one in values.items()}
    lengths = {name: one.shape for name, one in columns.items()}
    if len(set(lengths.values())) > 1 or any(len(shape) != 1 for shape in lengths.values()):
        raise UsageError(f"each measure needs one value a query, the shapes are {lengths}")
    for name, one in columns.items():
        if not len(one):
            raise UsageError(f"{name} has no values: there are no queries to resample")
        wrong = np.isnan(one) if name in infinite else ~np.isfinite(one)
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise UsageError(
                f"{name} of query number {at} is {one[at]}: give a query without a result its "
                "worst value, or leave it out of all runs"
            )
    return list(columns), np.stack(list(columns.values()), axis=1)


def _check(confidence: float, resamples: int) -> None:
    if not 0 < confidence < 1:
        raise UsageError(f"confidence is {confidence}; it lies between 0 and 1, for example 0.95")
    if resamples < 100:
        raise UsageError(f"{resamples} resamples cannot carry an interval; use 1000 or more")


def _letter(number: int) -> str:
    high, low = divmod(number, 26)
    return (_letter(high - 1) if high else "") + chr(ord("a") + low)
