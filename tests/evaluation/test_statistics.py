"""Intervals and tests agree with SciPy's, with textbook answers, and with their own laws."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mmsearch.errors import UsageError
from mmsearch.evaluation import resampling, statistics
from mmsearch.evaluation.result import MEDIAN_RANK, Evaluation
from mmsearch.evaluation.statistics import (
    bootstrap_intervals,
    compare,
    compare_all,
    evaluation_intervals,
    evaluation_significance,
    holm,
)


def skewed(count: int, seed: int) -> np.ndarray:
    """Values in [0, 1] as average precision has them: many near 0, some at 1."""
    return np.random.default_rng(seed).beta(0.4, 0.9, count)


def evaluation(**changes: object) -> Evaluation:
    base = Evaluation(
        dataset="shop",
        split=None,
        direction="text to image",
        model="m",
        fingerprint="f",
        preprocess="p",
        index_kind="exact",
        gallery_size=3,
        queries=("a", "b", "c"),
        query_texts=(None, None, None),
        clusters=("a", "b", "c"),
        measures={"AP": np.array([0.1, 0.5, 0.9])},
        first_relevant=np.array([9.0, 2.0, 1.0]),
        precision_at_recall=np.ones(11),
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type] # names are the caller's


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_interval_of_a_mean_is_scipys(method: str) -> None:
    values = skewed(60, 3)
    ours = bootstrap_intervals({"AP": values}, method=method, seed=1)["AP"]  # type: ignore[arg-type]
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=9_999, method=method, rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours.estimate == pytest.approx(values.mean())
    # The ends of two independent bootstraps differ by Monte Carlo error, under 4 % of the width.
    tolerance = 0.04 * (theirs.high - theirs.low)
    assert ours.low == pytest.approx(theirs.low, abs=tolerance)
    assert ours.high == pytest.approx(theirs.high, abs=tolerance)


def test_bca_moves_the_interval_of_skewed_values_as_scipys_does() -> None:
    values = np.random.default_rng(0).lognormal(sigma=1.2, size=40)
    bca = bootstrap_intervals({"x": values}, method="bca")["x"]
    percentile = bootstrap_intervals({"x": values}, method="percentile")["x"]
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=9_999, method="bca", rng=np.random.default_rng(2)
    ).confidence_interval
    assert bca.high > percentile.high
    assert bca.high == pytest.approx(theirs.high, rel=0.04)
    assert bca.low == pytest.approx(theirs.low, rel=0.04)


def test_interval_of_a_median_is_scipys_percentile_interval() -> None:
    ranks = np.random.default_rng(5).geometric(0.1, 101).astype(float)
    ours = bootstrap_intervals({MEDIAN_RANK: ranks}, medians=(MEDIAN_RANK,))[MEDIAN_RANK]
    theirs = stats.bootstrap(
        (ranks,),
        np.median,
        n_resamples=9_999,
        method="percentile",
        batch=500,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert ours.method == "percentile"
    assert ours.estimate == np.median(ranks)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1)


@settings(deadline=None, max_examples=60)
@given(queries=st.integers(1, 60), levels=st.integers(1, 80), seed=st.integers(0, 10_000))
def test_median_of_each_resample_is_numpys(queries: int, levels: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(0, levels, queries).astype(float)
    values[random.random(queries) < 0.2] = math.inf
    clusters = random.integers(1, queries + 1)
    of_query = np.concatenate([np.arange(clusters), random.integers(0, clusters, queries)])
    of_query = of_query[:queries]
    times = random.multinomial(clusters, np.full(clusters, 1 / clusters), 20).astype(float)
    expected = [np.median(np.repeat(values, row[of_query].astype(int))) for row in times]
    got = resampling.medians_of(times, of_query, values)
    np.testing.assert_array_equal(got, expected)


def test_median_rank_of_queries_that_found_nothing_may_be_infinite() -> None:
    ranks = np.array([1.0, 2, 3, math.inf, math.inf])
    interval = bootstrap_intervals({MEDIAN_RANK: ranks, "MRR": 1 / ranks}, medians=(MEDIAN_RANK,))
    assert interval[MEDIAN_RANK].estimate == 3
    assert interval[MEDIAN_RANK].high == math.inf
    assert math.isfinite(interval["MRR"].high)


def test_clusters_of_one_query_change_nothing() -> None:
    values = {"AP": skewed(50, 1)}
    assert bootstrap_intervals(values) == bootstrap_intervals(values, list(range(50)))


def test_five_equal_captions_per_picture_are_worth_one() -> None:
    """Copies add no knowledge: the clustered interval is that of the pictures alone."""
    pictures = skewed(80, 4)
    captions, labels = np.repeat(pictures, 5), np.repeat(np.arange(80), 5).tolist()
    alone = bootstrap_intervals({"AP": pictures})["AP"]
    clustered = bootstrap_intervals({"AP": captions}, labels)["AP"]
    naive = bootstrap_intervals({"AP": captions})["AP"]
    assert clustered.low == pytest.approx(alone.low, abs=1e-12)
    assert clustered.high == pytest.approx(alone.high, abs=1e-12)
    ratio = (clustered.high - clustered.low) / (naive.high - naive.low)
    assert ratio == pytest.approx(math.sqrt(5), rel=0.05)


def test_clustered_interval_is_scipys_ratio_of_sums() -> None:
    random = np.random.default_rng(6)
    labels = random.integers(0, 30, 100).tolist()
    values = np.clip(skewed(100, 6) + 0.3 * random.normal(size=30)[labels], 0, 1)
    sums = np.array([values[np.array(labels) == c].sum() for c in range(30)])
    sizes = np.array([labels.count(c) for c in range(30)])
    ours = bootstrap_intervals({"AP": values}, labels)["AP"]

    def ratio(s: np.ndarray, n: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(s.sum(axis=axis) / n.sum(axis=axis))

    theirs = stats.bootstrap(
        (sums, sizes), ratio, paired=True, vectorized=True, rng=np.random.default_rng(2)
    ).confidence_interval
    tolerance = 0.04 * (theirs.high - theirs.low)
    assert ours.low == pytest.approx(theirs.low, abs=tolerance)
    assert ours.high == pytest.approx(theirs.high, abs=tolerance)


def test_intervals_cover_the_true_mean_as_often_as_they_say() -> None:
    """Of 300 samples of a beta law with a known mean, about 95 % of the intervals hold it."""
    truth = 0.4 / 1.3
    held = 0
    for seed in range(300):
        one = bootstrap_intervals({"AP": skewed(100, seed)}, resamples=999, seed=seed)["AP"]
        held += one.low <= truth <= one.high
    # Binomial(300, 0.95) has standard deviation 3.8 around 285; 0.93 is what n = 100 costs.
    assert 267 <= held <= 297


def test_values_without_spread_give_a_degenerate_interval() -> None:
    one = bootstrap_intervals({"hit@10": np.ones(30)})["hit@10"]
    assert (one.low, one.estimate, one.high, one.degenerate) == (1, 1, 1, True)


def test_equal_seeds_give_equal_intervals_and_chunks_do_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = {"AP": skewed(40, 0)}
    whole = bootstrap_intervals(values, seed=3)
    assert bootstrap_intervals(values, seed=3) == whole
    assert bootstrap_intervals(values, seed=4) != whole
    monkeypatch.setattr(resampling, "CHUNK_ELEMENTS", 400)
    assert bootstrap_intervals(values, seed=3) == whole


@settings(deadline=None, max_examples=40)
@given(
    values=st.lists(st.floats(0, 1), min_size=2, max_size=30),
    groups=st.integers(1, 10),
    seed=st.integers(0, 99),
)
def test_interval_of_a_mean_stays_within_the_values(
    values: list[float], groups: int, seed: int
) -> None:
    labels = [number % groups for number in range(len(values))]
    one = bootstrap_intervals({"x": np.array(values)}, labels, resamples=200, seed=seed)["x"]
    assert min(values) - 1e-9 <= one.low <= one.high <= max(values) + 1e-9


@pytest.mark.parametrize("count", [5, 10, 60])
def test_paired_test_is_scipys_permutation_test(count: int) -> None:
    random = np.random.default_rng(count)
    first = skewed(count, 1)
    second = np.clip(first + random.normal(0.05, 0.15, count), 0, 1)
    ours = compare({"AP": first}, {"AP": second})["AP"]

    def mean_difference(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray((b - a).mean(axis=axis))

    theirs = stats.permutation_test(
        (first, second),
        mean_difference,
        permutation_type="samples",
        vectorized=True,
        n_resamples=9_999,
        rng=np.random.default_rng(7),
    )
    assert ours.exact == (2**count <= 9_999)
    assert ours.difference.estimate == pytest.approx(theirs.statistic)
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=1e-9 if ours.exact else 0.015)


def test_paired_test_of_signs_alone_is_the_binomial_test() -> None:
    """Equal sizes of all differences leave only their signs: 11 wins of 12 has a known p."""
    first = np.zeros(12)
    second = np.array([0.25] * 11 + [-0.25])
    result = compare({"x": first}, {"x": second})["x"]
    assert result.exact
    assert result.p_value == pytest.approx(stats.binomtest(11, 12).pvalue, abs=1e-12)


def test_false_alarms_come_as_often_as_alpha_says() -> None:
    alarms = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        first, second = random.random(30), random.random(30)
        p = compare({"x": first}, {"x": second}, resamples=499, seed=seed)["x"].p_value
        alarms += p <= 0.05
    # Binomial(400, 0.05): 20 and a standard deviation of 4.4.
    assert 7 <= alarms <= 35


def test_copied_queries_do_not_make_a_difference_significant() -> None:
    random = np.random.default_rng(11)
    first = skewed(12, 2)
    second = np.clip(first + random.normal(0.04, 0.1, 12), 0, 1)
    alone = compare({"AP": first}, {"AP": second})["AP"]
    labels = np.repeat(np.arange(12), 40).tolist()
    before, after = ({"AP": np.repeat(values, 40)} for values in (first, second))
    assert compare(before, after, labels)["AP"].p_value == pytest.approx(alone.p_value)
    assert compare(before, after)["AP"].p_value < alone.p_value


def test_swapping_the_runs_changes_signs_only() -> None:
    first, second = skewed(30, 1), skewed(30, 2)
    there = compare({"AP": first}, {"AP": second})["AP"]
    back = compare({"AP": second}, {"AP": first})["AP"]
    assert there.p_value == back.p_value
    assert there.difference.estimate == pytest.approx(-back.difference.estimate)
    assert there.effect_size == pytest.approx(-(back.effect_size or 0))
    assert there.difference.low == pytest.approx(-back.difference.high, abs=0.01)


def test_effect_size_is_the_paired_t_statistic_over_root_n() -> None:
    first, second = skewed(30, 1), skewed(30, 2)
    result = compare({"AP": first}, {"AP": second})["AP"]
    t = stats.ttest_rel(second, first).statistic
    assert result.effect_size == pytest.approx(t / math.sqrt(30))


def test_a_run_against_itself_shows_nothing() -> None:
    values = {"AP": skewed(30, 1)}
    result = compare(values, values)["AP"]
    assert result.p_value == 1
    assert (result.difference.low, result.difference.high) == (0, 0)
    assert result.effect_size is None


def test_holm_corrects_a_known_family() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.7]) == [0.7]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.2))
def test_holm_rejects_what_its_step_down_procedure_rejects(p: list[float], alpha: float) -> None:
    adjusted = holm(p)
    rejected = set()
    for step, number in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[number] * (len(p) - step) > alpha:
            break
        rejected.add(number)
    assert {number for number, value in enumerate(adjusted) if value <= alpha} == rejected
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    assert all(a <= min(1, b * len(p)) + 1e-12 for a, b in zip(adjusted, p, strict=True))


def test_marks_name_the_runs_that_are_beaten() -> None:
    base = skewed(40, 1)
    runs = {
        "weak": {"AP": base},
        "same": {"AP": base[::-1].copy()},
        "strong": {"AP": np.clip(base + 0.3, 0, 1)},
    }
    table = compare_all(runs)
    assert table.alpha == 0.05
    assert table.letters() == {"weak": "a", "same": "b", "strong": "c"}
    assert [table.marks("AP", label) for label in runs] == ["", "", "a,b"]
    assert table.marks("AP", "weak", smaller_is_better=True) == "c"
    family = [pair for pair in table.pairs if pair.measure == "AP"]
    assert len(family) == 3
    assert all(pair.adjusted_p >= pair.comparison.p_value for pair in family)


def test_letters_go_on_after_z() -> None:
    table = statistics.Significance(tuple(map(str, range(28))), (), 0.05, 999, False)
    assert list(table.letters().values())[24:] == ["y", "z", "aa", "ab"]


def test_evaluations_are_compared_query_by_query_whatever_their_order() -> None:
    one = evaluation()
    turned = evaluation(queries=("c", "b", "a"), measures={"AP": np.array([0.9, 0.5, 0.1])})
    (pair,) = evaluation_significance({"one": one, "turned": turned}).pairs
    assert pair.comparison.p_value == 1
    with pytest.raises(UsageError, match="other queries than one"):
        evaluation_significance({"one": one, "two": evaluation(queries=("a", "b", "x"))})


def test_intervals_of_an_evaluation_take_its_clusters_and_its_median() -> None:
    measures = {"AP": np.array([0.1, 0.5, 0.9]), MEDIAN_RANK: np.array([9.0, 2.0, 1.0])}
    one = evaluation(measures=measures, clusters=("x", "x", "x"))
    intervals = evaluation_intervals(one)
    assert intervals["AP"].degenerate  # one cluster: nothing to resample
    assert intervals[MEDIAN_RANK].estimate == 2


@pytest.mark.parametrize(
    ("values", "clusters", "message"),
    [
        ({}, None, "no measure"),
        ({"AP": np.empty(0)}, None, "no queries"),
        ({"AP": np.array([1, np.nan])}, None, "number 1 is nan"),
        ({"AP": np.array([1, np.inf])}, None, "number 1 is inf"),
        ({"AP": np.ones(2), "MRR": np.ones(3)}, None, "shapes"),
        ({"AP": np.ones(2)}, ["a"], "1 cluster labels for 2 queries"),
    ],
)
def test_values_that_cannot_be_resampled_are_refused(
    values: dict[str, np.ndarray], clusters: list[object] | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        bootstrap_intervals(values, clusters)


def test_runs_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(UsageError, match="no measure in common"):
        compare({"AP": np.ones(3)}, {"MRR": np.ones(3)})
    with pytest.raises(UsageError, match="one run has 3, the other 4"):
        compare({"AP": np.ones(3)}, {"AP": np.ones(4)})
    with pytest.raises(UsageError, match=r"confidence is 95"):
        compare({"AP": np.ones(3)}, {"AP": np.ones(3)}, confidence=95)
    with pytest.raises(UsageError, match="3 resamples"):
        bootstrap_intervals({"AP": np.ones(3)}, resamples=3)
