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
        a, b = len(self.left), len(self.right)
        half = (rows.reshape(-1, b) @ self.right).reshape(-1, a, b)  # (n, a, b)
        flat = half.transpose(0, 2, 1).reshape(-1, a)  # (n b, a)
        # (n, b a): the numbers come in another order than one might expect, which is of no account.
        return np.asarray((flat @ self.left).reshape(-1, a * b), np.float32)


def _orthogonal(rng: np.random.Generator, size: int) -> Floats:
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    # The signs make the distribution uniform over rotations (Mezzadri 2007, math-ph/0609050).
    turned: Floats = np.asarray(q * np.sign(np.diagonal(r)), np.float32)
    return turned
