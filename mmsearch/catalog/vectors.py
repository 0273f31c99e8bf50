"""Append-only float16 rows on disk, memory-mapped by every reader."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmsearch.durable import sync_directory
from mmsearch.errors import CorruptionError, StorageError
from mmsearch.halves import to_float32

if TYPE_CHECKING:
    from mmsearch.types import Vectors

Rows = npt.NDArray[np.int64]


class VectorFile:
    """One encoder's vectors: a headerless `(n, dim)` float16 file.

    The catalog says how many rows are committed; rows past that head are the debris of a crash
    and the next append overwrites them. float16 moves a cosine by at most 5e-5.
    """

    def __init__(self, path: Path, dim: int) -> None:
        self.path = path
        self.dim = dim
        self._row_bytes = 2 * dim
        self._map: npt.NDArray[np.float16] | None = None

    def append(self, head: int, vectors: Vectors) -> bytes:
        """Write `(n, dim)` rows from row `head` on, fsync them, and return their checksum.

        Raises StorageError when the disk is full or read-only; the file is then as committed.
        """
        rows = np.ascontiguousarray(vectors, dtype=np.float16)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.exists()
            with open(self.path, "r+b" if not new else "w+b") as file:
                file.truncate(head * self._row_bytes)
                file.seek(head * self._row_bytes)
                file.write(rows.tobytes())
                file.flush()
                os.fsync(file.fileno())
            if new:
                sync_directory(self.path.parent)
        except OSError as error:
            raise StorageError(
                f"cannot write vectors to {self.path}: {error.strerror or error}; what was "
                "committed before is safe. Free space or fix permissions and run the same "
                "command again"
            ) from error
        return checksum(rows)

    def require(self, rows: int) -> None:
        """Raises CorruptionError when the file is shorter than so many rows."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < rows * self._row_bytes:
            raise CorruptionError(
                f"{self.path} holds {size // self._row_bytes} vectors but the catalog speaks "
                f"of {rows}: it was cut short. Run `mmsearch check --repair`"
            )

    def read(self, rows: Rows) -> Vectors:
        """`(n, dim)` float32 rows in the order asked.

        Raises CorruptionError when the file is shorter than a row it should hold.
        """
        if len(rows) == 0:
            return np.empty((0, self.dim), dtype=np.float32)
        mapped = self._mapped(int(rows.max()) + 1)
        return to_float32(mapped[rows])

    def checksum(self, first: int, count: int) -> bytes:
        """Checksum of rows `first` to `first + count`, as `append` returned it."""
        return checksum(self._mapped(first + count)[first : first + count])

    def _mapped(self, needed: int) -> npt.NDArray[np.float16]:
        mapped = self._map  # another thread may exchange it
        if mapped is None or len(mapped) < needed:
            self.require(needed)
            size = self.path.stat().st_size
            mapped = self._map = np.memmap(
                self.path, dtype=np.float16, mode="r", shape=(size // self._row_bytes, self.dim)
            )
        return mapped


def checksum(rows: npt.NDArray[np.float16]) -> bytes:
    """blake2b-16 of the rows' bytes."""
    return hashlib.blake2b(np.ascontiguousarray(rows).tobytes(), digest_size=16).digest()
