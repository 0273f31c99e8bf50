"""FAISS as the VectorIndex, and its snapshots on disk.

Exact inner product over float16 codes: the same numbers as the vector file, half the memory of
float32, and adds, removals and filters that never cost a result.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import faiss
import numpy as np

from mmsearch.durable import sync_directory
from mmsearch.errors import StorageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids, Vectors

KIND = "exact float16 (IndexScalarQuantizer, inner product)"
# Up to so many candidates their codes are copied together and searched alone; more are picked by
# a bitmap while FAISS walks the whole index. ms of processor time for one query, k = 100, over
# 100,000 x 384, one thread of a busy machine (faiss 1.14, 2026-11):
#     candidates    100  1,000  3,000  10,000  30,000  90,000     all
#     copied       0.07   0.45    2.7     7.5      22     114
#     bitmap       0.52   0.88    2.4     5.7      10      13      13
MAX_COPIED = 2_000


@dataclass(frozen=True)
class Plan:
    """How a search will honour its candidates; each way gives the same exact answer.

    `candidates` of the `size` items in the index are allowed: "copied" together and searched
    alone, picked by a "bitmap", or "all" of them, with nothing to honour.
    """

    way: Literal["all", "copied", "bitmap"]
    candidates: int
    size: int


class FaissIndex:
    """See the VectorIndex protocol. `seq` is the catalog's sequence number it has reached."""

    def __init__(self, dim: int, index: Any = None, seq: int = 0) -> None:
        self.seq = seq
        self._row_of: npt.NDArray[np.int64] | None = None
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
            self._row_of = None
            self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)

    def remove(self, ids: Ids) -> None:
        if len(ids) and len(self):
            self._row_of = None
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

    def plan(self, allowed: Ids | None) -> Plan:
        """What `search` does with these candidates."""
        rows = None if allowed is None else self._rows(allowed)
        return self._plan(rows)

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        rows = None if allowed is None else self._rows(allowed)
        plan = self._plan(rows)
        k = min(k, plan.candidates)
        if k == 0:
            empty = np.empty((len(queries), 0))
            return empty.astype(np.float32), empty.astype(np.int64)
        queries = np.ascontiguousarray(queries, np.float32)
        ids = faiss.vector_to_array(self._index.id_map)
        flat = faiss.downcast_index(self._index.index)
        if rows is None or plan.way == "all":
            scores, found = flat.search(queries, k)
        elif plan.way == "copied":
            scores, places = self._copy_of(flat, rows).search(queries, k)
            found = rows[places]
        else:
            bits = np.zeros(plan.size, np.bool_)
            bits[rows] = True
            selector = faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))
            scores, found = flat.search(queries, k, params=faiss.SearchParameters(sel=selector))
        found = ids[found]
        order = np.lexsort((found, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(found, order, axis=1)

    def _plan(self, rows: npt.NDArray[np.int64] | None) -> Plan:
        size = len(self)
        if rows is None or len(rows) == size:
            return Plan("all", size, size)
        return Plan("copied" if len(rows) <= MAX_COPIED else "bitmap", len(rows), size)

    def _rows(self, allowed: Ids) -> npt.NDArray[np.int64]:
        """Ascending rows of the allowed items that are here."""
        if self._row_of is None:
            ids = faiss.vector_to_array(self._index.id_map)
            row_of = np.full(int(ids.max(initial=-1)) + 1, -1, np.int64)
            row_of[ids] = np.arange(len(ids))
            self._row_of = row_of
        inside = allowed[(allowed >= 0) & (allowed < len(self._row_of))]
        rows = self._row_of[inside]
        chosen = np.zeros(len(self), np.bool_)
        chosen[rows[rows >= 0]] = True
        return np.flatnonzero(chosen)

    @staticmethod
    def _copy_of(flat: Any, rows: npt.NDArray[np.int64]) -> Any:
        """An index of these rows alone, with the same codes."""
        size = flat.codes.size() // max(flat.ntotal, 1)
        codes = faiss.rev_swig_ptr(flat.codes.data(), flat.codes.size()).reshape(-1, size)
        copy = faiss.IndexScalarQuantizer(flat.d, flat.sq.qtype, flat.metric_type)
        copy.add_sa_codes(np.ascontiguousarray(codes[rows]))
        return copy


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
