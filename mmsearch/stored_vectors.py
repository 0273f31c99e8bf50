"""The vectors of a collection's items, on disk until they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mmsearch.catalog.vectors import Rows, VectorFile
    from mmsearch.types import Ids, Vectors

# Stored vectors that are read and brought to length 1 at a time: no copy of all beside the result.
VECTORS_AT_ONCE = 8_192


@dataclass(frozen=True, eq=False)
class StoredVectors:
    """`ids` (n,) of items, ascending, and `rows` (n,): where in `file` each one's vector stands."""

    file: VectorFile
    ids: Ids
    rows: Rows

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, places: Ids | None = None) -> Vectors:
        """(m, d) float32 unit rows of the items at `places` (m,) in `ids`; None: of all.

        Raises CorruptionError.
        """
        rows = self.rows if places is None else self.rows[places]
        unit = np.empty((len(rows), self.file.dim), np.float32)
        for start in range(0, len(rows), VECTORS_AT_ONCE):
            stored = self.file.read(rows[start : start + VECTORS_AT_ONCE])
            norms = np.linalg.norm(stored, axis=1, keepdims=True)
            np.divide(stored, norms, out=unit[start : start + VECTORS_AT_ONCE])
        return unit
