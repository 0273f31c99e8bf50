"""Each choice of MMR is the best one left, by its formula; ties go to the smaller id."""

from __future__ import annotations

from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.errors import UsageError
from mmsearch.ranking.diversity import mmr

Floats = npt.NDArray[np.float64]


def unit(n: int, d: int, seed: int) -> npt.NDArray[np.float32]:
    # Few different rows, so that ties are common.
    rows = np.random.default_rng(seed).integers(-1, 2, (n, d)).astype(np.float32)
    rows[~rows.any(axis=1), 0] = 1
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def worths(relevance: Floats, rows: Floats, chosen: list[int], balance: float) -> dict[int, float]:
    """What each free row would be worth after `chosen`, by the formula, one by one."""
    return {
        row: balance * relevance[row]
        - (1 - balance) * max((rows[row] @ rows[other] for other in chosen), default=0.0)
        for row in range(len(rows))
        if row not in chosen
    }


@given(st.integers(1, 12), st.integers(0, 1000), st.integers(1, 15), st.sampled_from([0.0, 0.5, 1]))
def test_each_choice_is_the_best_one_left(n: int, seed: int, k: int, balance: float) -> None:
    rows = unit(n, 3, seed)
    random = np.random.default_rng(seed)
    relevance = random.integers(0, 3, n) / 4
    ids = random.permutation(100)[:n].astype(np.int64)
    got = list(islice(mmr(relevance, rows, ids, balance), k))
    assert len(set(got)) == len(got) == min(k, n)
    for step, row in enumerate(got):
        free = worths(relevance, rows.astype(np.float64), got[:step], balance)
        assert free[row] >= max(free.values()) - 1e-5


def test_full_balance_is_the_plain_ranking_with_ties_by_id() -> None:
    rows = unit(5, 3, 1)
    got = mmr(np.array([0.5, 0.9, 0.5, 0.1, 0.9]), rows, np.array([7, 9, 3, 1, 8]), 1.0)
    assert list(got) == [4, 1, 2, 0, 3]


def test_a_copy_comes_after_something_else() -> None:
    rows = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    got = mmr(np.array([0.9, 0.9, 0.5]), rows, np.arange(3), 0.6)
    assert list(got) == [0, 2, 1]


@pytest.mark.parametrize("balance", [-0.1, 1.1, float("nan")])
def test_a_balance_outside_its_range_is_refused(balance: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        next(mmr(np.ones(1), np.ones((1, 1), np.float32), np.arange(1), balance))
