"""A random rotation: it spreads what a vector says evenly over its numbers.

One bit a number is a good sketch only where no number says more than others (RaBitQ: Gao and Long
2024, arXiv:2405.12497, section 3.1.2). Embeddings of CLIP models have a few numbers that are ten
times the others.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Vectors

    Floats = npt.NDArray[np.float32]

SEED = 20_260_101
ROWS_AT_A_TIME = 512  # 1 MB at d = 512: what is between stays in the processor's cache


class Rotation:
    """The Kronecker product of two random rotations, `left` (a, a) and `right` (b, b), d = a b.

    It is orthogonal, each number of its result draws on all d of the input, and it costs a + b
    multiplications a number where a full one costs d: 48 and not 512 (d = 512). On CLIP vectors of
    ViT-B/32 both find the same candidates, 0.97 of the ten best among 800, no rotation 0.89 (texts
    searched in 50,000 pictures, 2026-11).
    """

    def __init__(self, left: Floats, right: Floats) -> None:
        self.left = left
        self.right = right

    @classmethod
    def random(cls, dim: int, seed: int = SEED) -> Rotation:
        """One for vectors of `dim` numbers; the same seed gives the same."""
        rng = np.random.default_rng(seed)
        a = max(one for one in range(1, math.isqrt(dim) + 1) if dim % one == 0)
        return cls(_orthogonal(rng, a), _orthogonal(rng, dim // a))

    def __call__(self, rows: Vectors) -> Vectors:
        """(n, d) float32 -> (n, d) float32 with the same inner products."""
        # Products as small as (a, b) times (b, b) stay in one thread and in its cache.
        squares = rows.reshape(-1, len(self.left), len(self.right))  # (n, a, b)
        turned = np.empty(squares.shape, np.float32)
        for start in range(0, len(rows), ROWS_AT_A_TIME):
            part = slice(start, start + ROWS_AT_A_TIME)
            np.matmul(self.left, squares[part] @ self.right, out=turned[part])
        return turned.reshape(rows.shape)


def _orthogonal(rng: np.random.Generator, size: int) -> Floats:
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    # The signs make the distribution uniform over rotations (Mezzadri 2007, math-ph/0609050).
    turned: Floats = np.asarray(q * np.sign(np.diagonal(r)), np.float32)
    return turned
