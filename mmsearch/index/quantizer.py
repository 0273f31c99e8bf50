"""Few bits for a vector: some of its directions get several of them, and many get none.

The directions are the principal ones. How far the inner product with a query is off, squared, is
expected to be the sum over directions of E[query^2] E[error^2], and each next bit goes where it
lessens that most (Huang and Schultheiss 1963, "Block quantization of correlated Gaussian random
variables"). Embeddings differ in few directions, and queries look along few: of 15,716 pictures 50
candidates hold 0.990 of a text's ten nearest; with a bit for each number's sign, after a random
rotation (RaBitQ: Gao and Long 2024, arXiv:2405.12497), 0.909 (docs/index.md).

Four directions share four bits, so that a table of sixteen numbers says what a query makes of them:
such tables fit into registers (PQ FastScan: Andre, Kermarrec and Le Scouarnec 2015, "Cache locality
is not enough").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.blas import one_thread

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Vectors

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float64]

GROUP = 4  # directions that share
BITS = 4
PER_BYTE = 8 // BITS
# Of numbers with a normal distribution: what so many bits leave of the variance, and the step of
# the even levels that do best, in deviations (Max 1960, "Quantizing for minimum distortion").
LEFT = np.array([1, 0.3634, 0.1188, 0.03744, 0.01154])
STEPS = np.array([0, 1.5957, 0.9957, 0.5860, 0.3352])


class Quantizer:
    """Codes of residuals: vectors (n, d) less the centroids of their lists.

    `axes` (d, D) float32 turn a vector, D being d rounded up to whole bytes of codes; inner
    products stay as they are. Turned residuals are what is encoded.
    """

    def __init__(self, residuals: Vectors, asked: Sequence[Vectors]) -> None:
        """`asked`: queries (n, d) as users may ask them, in groups that count alike."""
        count, dim = residuals.shape
        with one_thread():
            variances, axes = np.linalg.eigh(residuals.T @ residuals / np.float32(count))
        # What few vectors say of variances is drawn towards the mean of them.
        variances = np.maximum(variances, 0) + variances.mean() * dim / count
        variances = np.maximum(variances, np.finfo(np.float32).tiny)
        looks = np.mean([np.square(group @ axes).mean(axis=0) for group in asked], axis=0)
        # A group is a sample: half as if its queries looked along all directions alike.
        worth = variances * (looks * dim + 1) / 2
        order, self.bits = _shared(worth)
        self.axes = np.ascontiguousarray(_padded(axes, len(order))[:, order], np.float32)
        self._steps = STEPS[self.bits] * np.sqrt(_padded(variances, len(order))[order])
        self._per_step = np.divide(
            1, self._steps, where=self._steps > 0, out=np.zeros(len(order))
        ).astype(np.float32)
        self._levels = (2.0**self.bits).astype(np.float32)
        before = np.cumsum(self.bits.reshape(-1, GROUP), axis=1) - self.bits.reshape(-1, GROUP)
        self._shifts = before.astype(np.uint8).ravel()

    @property
    def codebooks(self) -> Vectors:
        """(D / GROUP, 2^BITS, GROUP) float32: the residual that each code of a group stands for."""
        bits, shifts, steps = (
            array.reshape(-1, 1, GROUP) for array in (self.bits, self._shifts, self._steps)
        )
        levels = (np.arange(2**BITS)[:, None] >> shifts) & ((1 << bits) - 1)
        return np.asarray((levels - ((1 << bits) - 1) / 2) * steps, np.float32)

    def encode(self, turned: Vectors) -> Bytes:
        """(n, D / 8) bytes of turned residuals (n, D), two groups a byte."""
        levels = turned * self._per_step
        levels += self._levels / 2
        np.maximum(levels, 0, out=levels)  # np.clip takes three times as long
        np.minimum(levels, self._levels - 1, out=levels)
        shifted = levels.astype(np.uint8) << self._shifts
        codes = shifted[:, 0::GROUP].copy()
        for place in range(1, GROUP):
            codes |= shifted[:, place::GROUP]
        packed: Bytes = codes[:, 0::PER_BYTE] | codes[:, 1::PER_BYTE] << BITS
        return packed


def _shared(worth: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The order in which directions stand, in groups of GROUP, and the bits of each.

    The best meet the worst. Numbers past those of `worth` are worth nothing.
    """
    whole = GROUP * PER_BYTE
    padded = _padded(worth, -(-len(worth) // whole) * whole)
    places = np.argsort(-padded, kind="stable").reshape(GROUP, -1)
    places[1::2] = places[1::2, ::-1].copy()
    order = places.T.ravel()
    of_group = padded[order].reshape(-1, GROUP)
    bits = np.zeros(of_group.shape, np.int64)
    groups = np.arange(len(bits))
    gain = -np.diff(LEFT, append=LEFT[-1])  # of the next bit
    for _ in range(BITS):
        bits[groups, (of_group * gain[bits]).argmax(axis=1)] += 1
    return order, bits.ravel()


def _padded(array: Floats, length: int) -> Floats:
    """The last axis with zeros up to `length`."""
    more = [(0, 0)] * (array.ndim - 1) + [(0, length - array.shape[-1])]
    return np.pad(array, more)
