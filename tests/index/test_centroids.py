"""The nearest centroid of a vector, by either product."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.index import centroids
from mmsearch.index.centroids import MANY, Nearest, k_means
from mmsearch.index.int8_product import LEFT, RIGHT, ZERO, int8_product, left, right
from tests.index.worlds import clustered

Floats = npt.NDArray[np.float32]


def distances(rows: Floats, to: Floats) -> npt.NDArray[np.float64]:
    """(n, m) squared."""
    found: npt.NDArray[np.float64] = np.square(rows[:, None] - to, dtype=np.float64).sum(axis=2)
    return found


@pytest.fixture(scope="module")
def rows() -> Floats:
    return clustered(3_000, 64, clusters=300)


@pytest.fixture(scope="module")
def middles(rows: Floats) -> Floats:
    return k_means(rows, MANY)


def test_nearest_centroid_in_float32_is_the_nearest(
    rows: Floats, middles: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(centroids, "int8_product", lambda: None)
    every = distances(rows, middles)
    found = every[np.arange(len(rows)), Nearest(middles)(rows)]
    np.testing.assert_allclose(found, every.min(axis=1), rtol=1e-5)


def test_centroid_found_in_int8_is_hardly_further_away(rows: Floats, middles: Floats) -> None:
    assert int8_product() is not None
    every = distances(rows, middles)
    found = every[np.arange(len(rows)), Nearest(middles)(rows)]
    assert np.mean(found == every.min(axis=1)) > 0.9
    assert np.max(found - every.min(axis=1)) < 0.01
    assert np.mean(found) < 1.001 * np.mean(every.min(axis=1))


def test_rows_are_found_whether_alone_or_among_others(rows: Floats) -> None:
    few = rows[: MANY - 1]
    assert np.array_equal(Nearest(few)(few), np.arange(len(few)))


@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3), seed=st.integers(0, 2**32 - 1), full=st.booleans()
)
def test_product_in_int8_is_that_of_the_integers(
    shape: tuple[int, int, int], seed: int, full: bool
) -> None:
    """Also where every pair of products is as large as can be."""
    n, d, m = shape
    rng = np.random.default_rng(seed)
    one = rng.integers(-LEFT, LEFT + 1, (n, d))
    other = rng.integers(-RIGHT, RIGHT + 1, (d, m))
    if full:
        one, other = np.full_like(one, LEFT), np.full_like(other, RIGHT)
    product = int8_product()
    assert product is not None
    got = product((one + ZERO).astype(np.uint8), other.astype(np.int8))
    assert np.array_equal(got, one @ other)


@given(seed=st.integers(0, 2**32 - 1), size=st.floats(1e-3, 1e3))
def test_matrices_in_int8_are_theirs_to_half_a_step(seed: int, size: float) -> None:
    matrix = np.random.default_rng(seed).standard_normal((5, 7)).astype(np.float32)
    matrix *= np.float32(size)
    for made, scale in (left(matrix), right(matrix)):
        again = made.astype(np.float64) - (ZERO if made.dtype == np.uint8 else 0)
        assert np.abs(again - matrix * scale).max() < 0.501


def test_nothing_but_zeros_stays_nothing() -> None:
    assert set(left(np.zeros((2, 3), np.float32))[0].flat) == {ZERO}
    assert set(right(np.zeros((2, 3), np.float32))[0].flat) == {0}
