"""Named tensors of a safetensors file, memory-mapped: what is not used is not read.

int8 tensors may have a companion `NAME.scale` with one factor per row, as written by
`mmsearch.models.weights`.
"""

from __future__ import annotations

import json
import math
import mmap
import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt  # 20 ms, for annotations alone

    Floats = npt.NDArray[np.float32]

_DTYPES: dict[str, Any] = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "I64": np.int64}
SCALE_SUFFIX = ".scale"
# Numbers converted at a time: 300 kB of float32 stay in a core's cache (128 kB to 600 kB are as
# good, a whole matrix of 2.4 MB takes 1.5 times as long; 2026-11).
_BLOCK = 73_728
# Of so few rows, those of one query, OpenBLAS multiplies in half the time where the weights come
# first (32 rows: two thirds, 64: as long; 2026-11).
_FEW = 32


class TensorFile:
    """Read-only view of a safetensors file with F32, F16 and row-scaled I8 tensors."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, and ValueError for a file that is not safetensors or is cut off."""
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        length = int.from_bytes(self._map[:8], "little")
        left = len(self._map) - 8 - length
        if left < 0:
            raise ValueError(f"{path}: not a safetensors file")
        try:
            self._header: dict[str, Any] = json.loads(self._map[8 : 8 + length])
            self._header.pop("__metadata__", None)
            whole = all(_lies_within(left, entry) for entry in self._header.values())
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"{path}: not a safetensors file ({exc})") from exc
        if not whole:
            raise ValueError(f"{path}: cut off, or its header does not fit its tensors")
        self._start = 8 + length
        self._cache: dict[str, Floats] = {}
        self._seen: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._header

    def names(self) -> list[str]:
        """All tensor names, scales included."""
        return list(self._header)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._header[name]["shape"])

    def raw(self, name: str) -> npt.NDArray[Any]:
        """The stored tensor, in its stored type, without a copy."""
        entry = self._header[name]
        shape = tuple(entry["shape"])
        return np.frombuffer(
            self._map,
            dtype=_DTYPES[entry["dtype"]],
            count=int(np.prod(shape, dtype=np.int64)),
            offset=self._start + entry["data_offsets"][0],
        ).reshape(shape)

    def whole(self, name: str) -> Floats:
        """The tensor as float32. Converted once, then kept; float32 stays mapped."""
        found = self._cache.get(name)
        if found is None:
            found = self._cache[name] = self._scaled(name, self.raw(name), slice(None))
        return found

    def product(self, x: Floats, name: str) -> Floats:
        """x @ W.T for rows x (n, in) and the tensor W (out, in): (n, out) float32.

        Who encodes one text and goes needs each tensor once, so the first product converts a few
        rows at a time and keeps nothing; the second one keeps the whole tensor as float32.
        """
        stored = self.raw(name)
        if name in self._seen or stored.dtype == np.float32:
            return product(x, self.whole(name))
        self._seen.add(name)
        out = np.empty((len(x), len(stored)), np.float32)
        step = max(1, _BLOCK // stored.shape[1])
        for start in range(0, len(stored), step):
            rows = stored[start : start + step].astype(np.float32)
            out[:, start : start + step] = product(x, rows)
        if stored.dtype == np.int8:
            out *= self.raw(name + SCALE_SUFFIX).astype(np.float32)
        return out

    def rows(self, name: str, ids: npt.NDArray[np.int64]) -> Floats:
        """Rows `ids` of any shape as float32, (*ids.shape, width); no other row is converted."""
        return self._scaled(name, self.raw(name)[ids], ids)

    def _scaled(self, name: str, stored: npt.NDArray[Any], ids: Any) -> Floats:
        values: Floats = stored.astype(np.float32, copy=False)
        if stored.dtype != np.int8:
            return values
        scale = self.raw(name + SCALE_SUFFIX)[ids].astype(np.float32)
        column = scale.reshape(scale.shape + (1,) * (values.ndim - scale.ndim))
        scaled: Floats = values * column
        return scaled


def _lies_within(size_bytes: int, entry: Any) -> bool:
    """Whether a tensor's place is of its size and within the file's data. What raises is junk."""
    *shape, begin, end = map(operator.index, (*entry["shape"], *entry["data_offsets"]))
    dtype = _DTYPES.get(entry["dtype"])  # None: of a type that `raw` does not read
    fits = dtype is None or math.prod(shape) * np.dtype(dtype).itemsize == end - begin
    return fits and 0 <= begin <= end <= size_bytes and min(shape, default=0) >= 0


def product(x: Floats, weight: Floats) -> Floats:
    """x @ weight.T for rows x (n, in) and weight (out, in): (n, out)."""
    if len(x) > _FEW:
        return x @ weight.T
    out: Floats = np.ascontiguousarray((weight @ x.T).T)
    return out
