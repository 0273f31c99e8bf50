"""Vectors to index, in a real vector file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog.vectors import VectorFile
from mmsearch.index.engine import EngineIndex

if TYPE_CHECKING:
    from mmsearch.types import Ids, Vectors


def clustered(count: int, dim: int = 32, *, seed: int = 1, clusters: int = 40) -> Vectors:
    """(count, dim) unit rows around `clusters` centres that share a direction, as CLIP's do."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((clusters, dim))
    rows = 4.0 + 1.5 * centres[rng.integers(0, clusters, count)]
    rows = rows + rng.standard_normal((count, dim))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32)


class Stored:
    """An EngineIndex as a VectorIndex: vectors that are added go into its vector file first."""

    def __init__(self, index: EngineIndex, store: VectorFile) -> None:
        self.index = index
        self.store = store
        self.head = store.path.stat().st_size // (2 * store.dim) if store.path.exists() else 0

    @property
    def seq(self) -> int:
        return self.index.seq

    def __len__(self) -> int:
        return len(self.index)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        if len(ids):
            self.store.append(self.head, vectors)
        self.index.add_rows(ids, np.arange(self.head, self.head + len(ids)))
        self.head += len(ids)

    def remove(self, ids: Ids) -> None:
        self.index.remove(ids)

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        return self.index.search(queries, k, allowed)


def store_of(folder: Path, vectors: Vectors) -> VectorFile:
    """A vector file of these rows."""
    store = VectorFile(folder / "vectors.f16", vectors.shape[1])
    store.append(0, vectors)
    return store
