"""The centroids of an index's lists, and which of them is nearest to a vector.

A matrix product does it: in int8 where there are many centroids and that can be had, which takes
another one than the nearest for 2 of 100 vectors, one that is hardly further away (squared
distances grow by 0.02 %), and otherwise NumPy's. The one that FAISS brings along does not know
every processor and took four times as long as NumPy's on an Intel with AVX-512 (faiss 1.15,
2026-11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmsearch.index.int8_product import int8_product, left, right

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids, Vectors

# Of k-means; the 0.1 % of recall that 25 rounds gain costs as much time as all the rest (2026-11).
ROUNDS = 6
SEED = 1234
ROWS_AT_A_TIME = 1_024  # their scores stay in the processor's cache
MANY = 256  # centroids; with fewer the product takes less time than the rest of an index


class Nearest:
    """Says which of some centroids (m, d) is nearest; in any number of threads."""

    def __init__(self, centroids: Vectors) -> None:
        self._half = half_squares(centroids)
        self._columns = centroids.T
        self._product = int8_product() if len(centroids) >= MANY else None
        if self._product:
            self._in_int8, self._scale = right(self._columns)

    def __call__(self, rows: Vectors) -> Ids:
        """(n,) int64: the number of the centroid that is nearest to each row (n, d)."""
        nearest = np.empty(len(rows), np.int64)
        for start in range(0, len(rows), ROWS_AT_A_TIME):
            part = slice(start, start + ROWS_AT_A_TIME)
            nearest[part] = self._brackets(rows[part]).argmax(axis=1)
        return nearest

    def _brackets(self, rows: Vectors) -> npt.NDArray[np.float32] | npt.NDArray[np.int32]:
        """(n, m), up to a factor."""
        if self._product is None:
            brackets = rows @ self._columns
            brackets -= self._half
            return brackets
        in_int8, scale = left(rows)
        products = self._product(in_int8, self._in_int8)
        products -= np.rint(self._half * (scale * self._scale)).astype(np.int32)
        return products


def half_squares(centroids: Vectors) -> Vectors:
    """(m,) |c|^2 / 2 of centroids (m, d): the nearest has the greatest bracket in
    |r - c|^2 = |r|^2 - 2 (r c - |c|^2 / 2).
    """
    return np.asarray(np.einsum("md,md->m", centroids, centroids) / 2, np.float32)


def k_means(rows: Vectors, count: int) -> Vectors:
    """(count, d) float32 centroids of `rows` (n, d), n >= count; the same rows give the same."""
    rng = np.random.default_rng(SEED)
    centroids = rows[rng.permutation(len(rows))[:count]].copy()
    for _ in range(ROUNDS):
        nearest = Nearest(centroids)(rows)
        sizes = np.bincount(nearest, minlength=count)
        taken = np.flatnonzero(sizes)
        starts = (np.cumsum(sizes) - sizes)[taken]
        by_centroid = rows[np.argsort(nearest, kind="stable")]  # (n, d)
        centroids[taken] = np.add.reduceat(by_centroid, starts) / sizes[taken, None]
        # One that is nearest to nothing starts again from some row.
        empty = np.flatnonzero(sizes == 0)
        centroids[empty] = rows[rng.integers(0, len(rows), len(empty))]
    return centroids
