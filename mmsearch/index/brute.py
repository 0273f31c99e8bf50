"""The obvious index: one matrix product. The contract tests hold every other index to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mmsearch.types import Ids, Vectors


class BruteForceIndex:
    """Exact search over a float32 matrix; see the VectorIndex protocol."""

    def __init__(self, dim: int) -> None:
        self.seq = 0
        self._rows: dict[int, Vectors] = {}
        self._dim = dim

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        self._rows.update(zip(ids.tolist(), vectors, strict=True))

    def remove(self, ids: Ids) -> None:
        for item in ids.tolist():
            self._rows.pop(item, None)

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        chosen = set(self._rows) if allowed is None else set(self._rows) & set(allowed.tolist())
        ids = np.array(sorted(chosen), dtype=np.int64)
        matrix = np.array([self._rows[i] for i in ids.tolist()], np.float32)
        scores = queries @ matrix.reshape(-1, self._dim).T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, best, axis=1), ids[best]
