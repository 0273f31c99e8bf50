"""What was made of an array is remembered by the array, as long as nobody can change it."""

from __future__ import annotations

import numpy as np

from mmsearch.last import Last


def test_the_same_read_only_array_is_known_again() -> None:
    last: Last[int] = Last()
    ids, equal = np.array([1, 2]), np.array([1, 2])
    ids.flags.writeable = equal.flags.writeable = False
    made = [last.of(ids, lambda _: 1), last.of(ids, lambda _: 2), last.of(equal, lambda _: 3)]
    assert made == [1, 1, 3]


def test_an_array_that_may_change_is_not() -> None:
    last: Last[int] = Last()
    ids = np.array([1, 2])
    assert [last.of(ids, lambda found: int(found.sum())), last.of(ids, lambda _: 9)] == [3, 9]
