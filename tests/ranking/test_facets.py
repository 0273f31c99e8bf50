"""Counts of values and ranges equal counting by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.errors import UsageError
from mmsearch.ranking.facets import Bucket, count_ranges, count_values

NUMBERS = st.lists(st.one_of(st.none(), st.integers(-5, 15), st.floats(-5, 15)))


def test_values_are_counted_most_frequent_first_ties_by_text() -> None:
    facet = count_values("colour", ["red", "blue", "red", None, "blue", "green", ["red", "gold"]])
    assert facet.buckets == (
        Bucket("red", 3),
        Bucket("blue", 2),
        Bucket("gold", 1),
        Bucket("green", 1),
    )
    assert (facet.missing, facet.others) == (1, 0)


def test_an_item_counts_once_for_a_value_that_it_has_twice() -> None:
    assert count_values("tag", [["a", "a", "b"]]).buckets == (Bucket("a", 1), Bucket("b", 1))


def test_true_is_not_one_and_one_is_one_point_zero() -> None:
    facet = count_values("x", [True, 1, 1.0, "1", {"a": 1}, float("nan"), []])
    assert [(type(b.value), b.count) for b in facet.buckets] == [(int, 2), (str, 1), (bool, 1)]
    assert facet.missing == 3


@given(st.lists(st.one_of(st.none(), st.sampled_from("abcdef"))), st.integers(1, 4))
def test_every_item_is_in_a_bucket_or_missing_or_among_the_others(
    column: list[str | None], top: int
) -> None:
    facet = count_values("x", column, top)
    assert sum(b.count for b in facet.buckets) + facet.missing + facet.others == len(column)
    for bucket in facet.buckets:
        assert bucket.count == column.count(str(bucket.value))
    smallest = min((b.count for b in facet.buckets), default=0)
    shown = {b.value for b in facet.buckets}
    assert all(column.count(v) <= smallest for v in set("abcdef") - shown)


@given(NUMBERS, st.lists(st.integers(-4, 14), min_size=1, max_size=5, unique=True))
def test_ranges_hold_their_lower_bound_and_not_their_upper_one(
    column: list[float | None], bounds: list[int]
) -> None:
    facet = count_ranges("price", column, sorted(bounds))
    assert facet.missing == column.count(None)
    assert sum(b.count for b in facet.buckets) + facet.missing == len(column)
    for bucket in facet.buckets:
        assert bucket.count == sum(
            value is not None
            and (bucket.low is None or value >= bucket.low)
            and (bucket.high is None or value < bucket.high)
            for value in column
        )


def test_a_list_counts_once_in_each_range() -> None:
    facet = count_ranges("size", [[36, 37, 44], "big", True], [40])
    assert [bucket.count for bucket in facet.buckets] == [1, 1]
    assert facet.missing == 2


@pytest.mark.parametrize("bounds", [[], [2, 1], [1, 1], [float("nan")], [0, float("inf")]])
def test_bounds_that_make_no_ranges_are_refused(bounds: list[float]) -> None:
    with pytest.raises(UsageError, match="'price'"):
        count_ranges("price", [1], bounds)


def test_a_facet_shows_at_least_one_value() -> None:
    with pytest.raises(UsageError, match="at least one"):
        count_values("x", ["a"], 0)
