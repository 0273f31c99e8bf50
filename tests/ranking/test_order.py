"""Sorting by an attribute keeps rank order among equals, and puts what has no value last."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsearch.ranking.order import by_attribute
from mmsearch.ranking.ranked import Ranked

COLUMN = st.lists(
    st.one_of(st.none(), st.integers(-3, 3), st.sampled_from(["a", "b"]), st.just([1]))
)


def world(n: int) -> Ranked:
    return Ranked(np.arange(n, dtype=np.int64), np.linspace(1, 0, n))


@given(COLUMN, st.booleans())
def test_order_is_by_value_then_by_rank(column: list[object], descending: bool) -> None:
    rows = by_attribute(world(len(column)), column, descending=descending).tolist()
    assert sorted(rows) == list(range(len(column)))
    for before, after in pairwise(rows):
        one, two = column[before], column[after]
        if type(one) is type(two) and isinstance(one, int | str) and isinstance(two, int | str):
            if one == two:
                assert before < after
            elif isinstance(one, int) and isinstance(two, int):
                assert (one > two) is descending
            else:
                assert (str(one) > str(two)) is descending
        if not isinstance(one, int | str):
            assert not isinstance(two, int | str)


_numbers = [True, False, 0, -0.0, 1, 1.0, 2.5, -3, float("inf"), float("nan"), None]
_large = [2**53 - 1, 2**53, 2**53 + 1, 2.0**53, 2**64, -(2**64), 10**400, 1e300]


@settings(max_examples=500, derandomize=True)
@given(
    st.one_of(
        st.lists(st.sampled_from(_numbers)),
        st.lists(st.sampled_from([*_numbers, *_large])),
        st.lists(st.sampled_from([*_numbers, *_large, "", "1", "a", "é", "\U0001f600", [1], {}])),
    ),
    st.booleans(),
)
def test_order_is_that_of_pairs_of_type_and_value(column: list[object], descending: bool) -> None:
    def key(row: int) -> tuple[int, Any] | None:
        value = column[row]
        if isinstance(value, str):
            return 1, value
        return (0, value) if isinstance(value, int | float) and abs(value) < math.inf else None

    ordered = [row for row in range(len(column)) if key(row) is not None]
    ordered.sort(key=lambda row: key(row) or (), reverse=descending)
    without = [row for row in range(len(column)) if key(row) is None]
    rows = by_attribute(world(len(column)), column, descending=descending)
    assert rows.tolist() == ordered + without


@pytest.mark.parametrize(("descending", "wanted"), [(False, [2, 0, 3, 1]), (True, [0, 3, 2, 1])])
def test_missing_values_come_last_in_both_directions(descending: bool, wanted: list[int]) -> None:
    rows = by_attribute(world(4), [20, None, 10.5, 20], descending=descending)
    assert rows.tolist() == wanted
