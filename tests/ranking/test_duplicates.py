"""Groups of near duplicates are the connected parts of all pairs, whatever the block size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.errors import UsageError
from mmsearch.ranking.duplicates import duplicate_groups, duplicate_pairs, like_first


def world(n: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Unit rows around a few centres, some of them exact copies, with ids in no order."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(4, 8))
    rows = centres[random.integers(0, 4, n)] + random.choice([0.0, 0.1, 0.3], (n, 1)) * (
        random.normal(size=(n, 8))
    )
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), random.permutation(10 * n)[:n].astype(np.int64)


def test_end_of_a_chain_is_less_like_its_first_than_the_threshold() -> None:
    angles = np.radians([0.0, 15.0, 30.0, 0.0])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    (group,) = duplicate_groups(rows, np.arange(4), 0.95)
    cosines, alike = like_first(rows, 0.95)
    assert group.ids == (0, 1, 2, 3)
    assert cosines == pytest.approx(np.cos(angles), abs=1e-3)
    assert alike.tolist() == [True, True, False, True]
    assert like_first(rows, 1.0)[1].tolist() == [True, False, False, True]


@given(st.integers(1, 40), st.integers(0, 1000), st.sampled_from([0.9, 0.99]), st.integers(1, 50))
def test_groups_are_the_connected_parts(n: int, seed: int, threshold: float, block: int) -> None:
    rows, ids = world(n, seed)
    near = {
        (i, j): float(rows[i] @ rows[j])
        for i in range(n)
        for j in range(i + 1, n)
        if float(rows[i] @ rows[j]) >= threshold - 1e-6
    }
    pairs = list(duplicate_pairs(rows, ids, threshold, block))
    assert sorted((a, b) for a, b, _ in pairs) == sorted(
        tuple(sorted((int(ids[i]), int(ids[j])))) for i, j in near
    )
    assert sorted(c for *_, c in pairs) == pytest.approx(sorted(near.values()), abs=1e-5)

    # The obvious way: grow each group until nothing is added.
    left, wanted = set(range(n)), []
    while left:
        group = {left.pop()}
        while more := {r for i, j in near for r in (i, j) if {i, j} & group} - group:
            group |= more
        left -= group
        if len(group) > 1:
            wanted.append(tuple(sorted(int(ids[row]) for row in group)))
    got = duplicate_groups(rows, ids, threshold, block)
    assert [group.ids for group in got] == sorted(wanted)
    assert all(group.representative == min(group.ids) for group in got)


def test_a_thousand_equal_pictures_are_one_group() -> None:
    rows = np.tile(np.array([[0.6, 0.8]], np.float16), (1000, 1))
    (group,) = duplicate_groups(rows, np.arange(1000)[::-1], 1.0, block=64)
    assert group.ids == tuple(range(1000))


def test_float16_rows_find_what_float32_rows_find() -> None:
    rows, ids = world(200, 4)
    assert duplicate_groups(rows.astype(np.float16), ids, 0.95) == duplicate_groups(rows, ids, 0.95)


def test_nothing_is_its_own_duplicate() -> None:
    assert duplicate_groups(np.eye(5, dtype=np.float32), np.arange(5), 0.5, block=2) == []
    assert duplicate_groups(np.empty((0, 5), np.float32), np.arange(0), 0.5) == []


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, float("nan")])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(UsageError, match="threshold"):
        duplicate_groups(np.eye(2, dtype=np.float32), np.arange(2), threshold)
