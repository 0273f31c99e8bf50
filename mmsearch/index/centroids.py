"""The centroids of an index's lists, and which of them is nearest to a vector.

NumPy's matrix product does it: the one that FAISS brings along does not know every processor and
took four times as long on an Intel with AVX-512 (faiss 1.15, 2026-11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mmsearch.types import Ids, Vectors

# Of k-means; the 0.1 % of recall that 25 rounds gain costs as much time as all the rest (2026-11).
ROUNDS = 6
SEED = 1234
ROWS_AT_A_TIME = 1_024  # their scores stay in the processor's cache


def nearest_centroids(rows: Vectors, centroids: Vectors) -> Ids:
    """(n,) int64: the number of the centroid (of (m, d)) that is nearest to each row (n, d)."""
    # |r - c|^2 = |r|^2 - 2 (r c - |c|^2 / 2): the least distance is the greatest of the brackets.
    half = np.einsum("md,md->m", centroids, centroids) / 2
    nearest = np.empty(len(rows), np.int64)
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        part = slice(start, start + ROWS_AT_A_TIME)
        scores = rows[part] @ centroids.T  # (some, m)
        scores -= half
        nearest[part] = scores.argmax(axis=1)
    return nearest


def k_means(rows: Vectors, count: int) -> Vectors:
    """(count, d) float32 centroids of `rows` (n, d), n >= count; the same rows give the same."""
    rng = np.random.default_rng(SEED)
    centroids = rows[rng.permutation(len(rows))[:count]].copy()
    for _ in range(ROUNDS):
        nearest = nearest_centroids(rows, centroids)
        sizes = np.bincount(nearest, minlength=count)
        taken = np.flatnonzero(sizes)
        starts = (np.cumsum(sizes) - sizes)[taken]
        by_centroid = rows[np.argsort(nearest, kind="stable")]  # (n, d)
        centroids[taken] = np.add.reduceat(by_centroid, starts) / sizes[taken, None]
        # One that is nearest to nothing starts again from some row.
        empty = np.flatnonzero(sizes == 0)
        centroids[empty] = rows[rng.integers(0, len(rows), len(empty))]
    return centroids
