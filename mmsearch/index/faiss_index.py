"""FAISS as the VectorIndex, and its snapshots on disk.

Exact inner product over float16 codes: the same numbers as the vector file, half the memory of
float32, and adds, removals and filters that never cost a result.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from mmsearch.durable import sync_directory
from mmsearch.errors import StorageError

if TYPE_CHECKING:
    from mmsearch.types import Ids, Vectors

KIND = "exact float16 (IndexScalarQuantizer, inner product)"


class FaissIndex:
    """See the VectorIndex protocol. `seq` is the catalog's sequence number it has reached."""

    def __init__(self, dim: int, index: Any = None, seq: int = 0) -> None:
        self.seq = seq
        self._index = index or faiss.IndexIDMap2(
            faiss.IndexScalarQuantizer(
                dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
            )
        )

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        if len(self):
            self.remove(ids)
        if len(ids):
            self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)

    def remove(self, ids: Ids) -> None:
        if len(ids) and len(self):
            self._index.remove_ids(faiss.IDSelectorBatch(np.ascontiguousarray(ids, np.int64)))

    @property
    def ids(self) -> Ids:
        """(n,) int64 of all items in the index, in no order that means anything."""
        ids: Ids = faiss.vector_to_array(self._index.id_map)
        return ids

    def vectors(self, ids: Ids) -> Vectors:
        """(n, d) float32 rows of `ids`, each of which must be in the index."""
        rows: Vectors = self._index.reconstruct_batch(np.ascontiguousarray(ids, np.int64))
        return rows

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        size = len(self)
        parameters = None
        if allowed is not None:
            present = np.intersect1d(faiss.vector_to_array(self._index.id_map), allowed)
            size = len(present)
            selector = faiss.IDSelectorBatch(present)
            parameters = faiss.SearchParameters(sel=selector)
        k = min(k, size)
        if k == 0:
            empty = np.empty((len(queries), 0))
            return empty.astype(np.float32), empty.astype(np.int64)
        queries = np.ascontiguousarray(queries, np.float32)
        scores, ids = self._index.search(queries, k, params=parameters)
        order = np.lexsort((ids, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)


class Snapshots:
    """Files `STEM.SEQ.faiss` in one directory: a cache that may vanish at any time.

    One from before the sequence number `oldest` cannot be replayed and counts as absent.
    """

    def __init__(self, directory: Path, stem: str, dim: int, oldest: int = 0) -> None:
        self.directory = directory
        self._stem = stem
        self._dim = dim
        self._oldest = oldest

    def load(self, newest: int) -> FaissIndex | None:
        """The latest readable snapshot not ahead of `newest`; None when there is none."""
        for seq, path in sorted(self._files(), reverse=True):
            if seq > newest or seq < self._oldest:
                continue  # of a catalog that was restored from a backup, or of another stay here
            try:
                index = faiss.read_index(str(path))
            except RuntimeError:  # cut short or not ours: an older one, or a rebuild, will do
                continue
            if index.d == self._dim and isinstance(index, faiss.IndexIDMap2):
                return FaissIndex(self._dim, index, seq)
        return None

    def save(self, index: FaissIndex) -> None:
        """Write atomically; older snapshots go last. Raises StorageError."""
        path = self.directory / f"{self._stem}.{index.seq}.faiss"
        temporary = path.with_suffix(".tmp")
        try:
            self.directory.mkdir(exist_ok=True)
            faiss.write_index(index._index, str(temporary))
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_directory(self.directory)
            for seq, old in self._files():
                if seq != index.seq:
                    old.unlink(missing_ok=True)
        except (OSError, RuntimeError) as error:
            raise StorageError(
                f"cannot write the index snapshot {path}: {error}; nothing is lost, queries "
                "rebuild it from the catalog"
            ) from error

    def newest_seq(self) -> int:
        """The sequence number of the latest snapshot that counts; 0 when there is none."""
        return max((seq for seq, _ in self._files() if seq >= self._oldest), default=0)

    def clear(self) -> None:
        for _, path in self._files():
            path.unlink(missing_ok=True)

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for _, path in self._files())

    def _files(self) -> list[tuple[int, Path]]:
        pattern = re.compile(re.escape(self._stem) + r"\.(\d+)\.faiss")
        found = self.directory.iterdir() if self.directory.is_dir() else ()
        return [(int(m[1]), p) for p in found if (m := pattern.fullmatch(p.name))]
