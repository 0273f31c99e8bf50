"""Bits go to the directions that an inner product depends on, and FAISS reads them as we write."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsearch.index.quantizer import BITS, GROUP, Quantizer
from tests.index.worlds import clustered


def skewed(count: int, dim: int, decay: float = 0.8, seed: int = 0) -> np.ndarray:
    """(count, dim) float32, in each further direction by `decay` less spread, turned at random."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(9).standard_normal((dim, dim)))[0]
    rows = rng.standard_normal((count, dim)) * decay ** np.arange(dim)
    return np.asarray(rows @ turn, np.float32)


def decoded(quantizer: Quantizer, codes: np.ndarray) -> np.ndarray:
    """What FAISS makes of codes: turned residuals (n, D)."""
    books = quantizer.codebooks
    product = faiss.ProductQuantizer(len(books) * GROUP, len(books), BITS)
    faiss.copy_array_to_vector(books.ravel(), product.centroids)
    return np.asarray(product.decode(codes))


def error(quantizer: Quantizer, rows: np.ndarray, queries: np.ndarray) -> float:
    """The mean squared error of inner products."""
    turned = rows @ quantizer.axes
    missing = turned - decoded(quantizer, quantizer.encode(turned))
    return float(np.square(queries @ quantizer.axes @ missing.T).mean())


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(1, 60),
    dim=st.integers(1, 40),
    decay=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    seed=st.integers(0, 1000),
)
def test_any_vectors_give_whole_bytes_that_faiss_would_have_chosen(
    count: int, dim: int, decay: float, seed: int
) -> None:
    rows = skewed(count, dim, decay, seed)
    quantizer = Quantizer(rows, [rows[:5]])
    width = quantizer.axes.shape[1]
    assert (quantizer.bits.reshape(-1, GROUP).sum(axis=1) == BITS).all()
    turned = rows @ quantizer.axes
    np.testing.assert_allclose(turned @ turned.T, rows @ rows.T, atol=1e-3)
    codes = quantizer.encode(turned)
    assert (codes.shape, codes.dtype) == ((count, width // 8), np.dtype(np.uint8))
    # No other code of a group stands for numbers that are nearer (by more than rounding).
    books = quantizer.codebooks
    groups = turned.reshape(count, -1, 1, GROUP)
    nearest = np.square(groups - books).sum(axis=3).min(axis=2)
    chosen = np.square(turned - decoded(quantizer, codes)).reshape(count, -1, GROUP).sum(axis=2)
    np.testing.assert_allclose(chosen, nearest, rtol=1e-3, atol=1e-6)


def test_bits_go_to_directions_in_which_vectors_differ() -> None:
    quantizer = Quantizer(skewed(2_000, 64, 0.9), [np.eye(64, dtype=np.float32)])
    spread = (skewed(2_000, 64, 0.9, seed=1) @ quantizer.axes).std(axis=0)
    means = [spread[quantizer.bits == bits].mean() for bits in range(BITS)]
    assert means == sorted(means)
    assert 3 * means[0] < means[2]


def test_bits_go_to_directions_that_queries_look_along() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((5_000, 64), np.float32) * np.linspace(1, 1.5, 64, dtype=np.float32)
    narrow = np.zeros((50, 64), np.float32)
    narrow[:, :8] = np.random.default_rng(1).standard_normal((50, 8))
    narrow /= np.linalg.norm(narrow, axis=1, keepdims=True)
    everywhere = np.eye(64, dtype=np.float32)
    asked, unasked = Quantizer(rows, [narrow]), Quantizer(rows, [everywhere])
    assert error(asked, rows[:500], narrow) < 0.7 * error(unasked, rows[:500], narrow)


def test_groups_of_queries_count_alike_whatever_their_number() -> None:
    rows = skewed(1_000, 32)
    first, second = clustered(4, 32), clustered(400, 32, seed=3)
    many = Quantizer(rows, [np.tile(first, (100, 1)), second])
    np.testing.assert_array_equal(many.bits, Quantizer(rows, [first, second]).bits)


@pytest.mark.parametrize(("decay", "least"), [(1.0, 0.9), (0.95, 2), (0.8, 8)])
def test_the_more_vectors_lean_the_more_is_gained_over_signs(decay: float, least: float) -> None:
    rows, queries = skewed(4_000, 64, decay), clustered(50, 64)
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((64, 64)))[0].astype(np.float32)
    signs = np.sign(rows @ turn)
    signs *= np.abs(rows @ turn).mean(axis=1, keepdims=True)  # the best length for each
    missing = rows @ turn - signs
    of_signs = np.square(queries @ turn @ missing.T).mean()
    assert of_signs / error(Quantizer(rows, [queries]), rows, queries) > least


def test_vectors_that_are_all_the_same_have_a_code() -> None:
    quantizer = Quantizer(np.zeros((5, 16), np.float32), [np.eye(16, dtype=np.float32)])
    codes = quantizer.encode(np.zeros((2, 16), np.float32))
    np.testing.assert_allclose(decoded(quantizer, codes), 0, atol=1e-12)
