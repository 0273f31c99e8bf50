"""float16 to float32 as NumPy does it."""

from __future__ import annotations

import numpy as np
import pytest

from mmsearch import halves
from mmsearch.halves import to_float32

BITS = np.arange(-(2**15), 2**15).astype(np.int16).view(np.float16)
FINITE = BITS[np.isfinite(BITS)]


def test_every_finite_number_is_exact() -> None:
    assert len(FINITE) == 63_488
    np.testing.assert_array_equal(to_float32(FINITE), FINITE.astype(np.float32))


@pytest.mark.parametrize("block", [1, 100, 65_536])
def test_a_part_of_rows_that_are_not_together_is_converted_in_blocks(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(halves, "_BLOCK", block)
    some = FINITE.reshape(-1, 64)[::3, 1:60]
    np.testing.assert_array_equal(to_float32(some), some.astype(np.float32))
    into = np.empty(some.shape, np.float32)
    assert to_float32(some, into) is into
    np.testing.assert_array_equal(into, some.astype(np.float32))


def test_no_rows_are_no_rows() -> None:
    assert to_float32(np.empty((0, 5), np.float16)).shape == (0, 5)
