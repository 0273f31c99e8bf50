"""An index of short codes: it finds candidates among codes and scores them on the stored vectors.

A code says in one bit a number where an item's vector stands beside the centroid of its list
(quantizer.py). With one list every code is read on each query; with many lists (IVF) those of the
`probes` centroids nearest to the query. The answers' scores are those of the stored vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from mmsearch.index.codes import Probe, centroids_of, codebooks_of, without_lists
from mmsearch.index.engine import KindName, Plan
from mmsearch.index.lists import are_mapped, copy_lists
from mmsearch.index.stored import ROWS_AT_A_TIME, RowStore, nearest, scores_of, top_k
from mmsearch.index.threads import threads_for
from mmsearch.ranking.ranked import score

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.index.engine import Rows
    from mmsearch.types import Ids, Vectors

# Up to so many allowed items are scored on their stored vectors, all of them, and one more for so
# many codes that would have to be read: 0.7 us and 0.009 of a million (2026-11).
MAX_COPIED = 1_000
CODES_PER_VECTOR = 70
# Where candidates would be a quarter of all, reading codes first saves nothing.
LEAST_GAIN = 4
K = 10  # what Effort.candidates is for


@dataclass(frozen=True)
class Effort:
    """How far a search looks: into `probes` lists, at `candidates` stored vectors for k = 10."""

    probes: int
    candidates: int

    def depth(self, k: int) -> int:
        """Candidates for the k best: k, and a margin that grows as the noise of a rank does."""
        return k + math.ceil((self.candidates - K) * math.sqrt(max(k, K) / K))


class CodedIndex:
    """See the EngineIndex protocol. `codes` is a trained IndexIVFPQFastScan, `axes` (d, D)
    are those of its Quantizer.

    `rows[id]` is the row of an item's stored vector, -1 for none: the items of the index. They and
    the lists may be a snapshot's, which is only read: the first change makes them the index's own.
    """

    def __init__(
        self,
        store: RowStore,
        codes: Any,
        axes: Vectors,
        effort: Effort,
        *,
        rows: Rows | None = None,
        size: int = 0,
        seq: int = 0,
        why: str = "",
        built_for: int = 0,
        measured_for: int = 0,
    ) -> None:
        self.seq = seq
        self.effort = effort
        self.axes = axes
        self.why = why
        self.built_for = built_for  # as many vectors as it was trained for
        self.measured_for = measured_for  # as many as there were when its effort was found
        self.codes = codes
        self._probe = Probe(codes)
        self._store = store
        self._rows = np.empty(0, np.int64) if rows is None else rows
        self._size = size

    @property
    def kind(self) -> KindName:
        return "codes" if self.lists == 1 else "ivf"

    @property
    def lists(self) -> int:
        return int(self.codes.nlist)

    def __len__(self) -> int:
        return self._size

    @property
    def rows(self) -> Rows:
        """(largest id + 1,) int64: the row of each item's stored vector, -1 for none."""
        return self._rows

    @property
    def ids(self) -> Ids:
        return np.flatnonzero(self._rows >= 0)

    def vectors(self, ids: Ids) -> Vectors:
        return self._store.read(self._rows[ids])

    def scores(self, query: Vectors, ids: Ids) -> Vectors:
        return score(self.vectors(ids), query)

    # ---- changing

    def add_rows(self, ids: Ids, rows: Rows) -> None:
        if not len(ids):
            return
        self.remove(ids)
        self._own(int(ids.max()) + 1)
        for start in range(0, len(ids), ROWS_AT_A_TIME):
            part = slice(start, start + ROWS_AT_A_TIME)
            turned = self._store.read(rows[part]) @ self.axes
            self.codes.add_with_ids(turned, np.ascontiguousarray(ids[part], np.int64))
        self._rows[ids] = rows
        self._size += len(ids)

    def remove(self, ids: Ids) -> None:
        there = np.unique(self._known(ids))
        if len(there):
            self._own(len(self._rows))
            _remove(self.codes, there)
            self._rows[there] = -1
            self._size -= len(there)

    def _known(self, ids: Ids) -> Ids:
        known: Ids = np.ascontiguousarray(ids[self._has(ids)], np.int64)
        return known

    def _has(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Which of `ids`, of any shape, are items of the index."""
        there = (ids >= 0) & (ids < len(self._rows))
        there[there] = self._rows[ids[there]] >= 0
        return there

    def _own(self, length: int) -> None:
        """Make lists and rows changeable, with room for ids below `length`."""
        if are_mapped(self.codes):
            own = without_lists(centroids_of(self.codes), codebooks_of(self.codes))
            copy_lists(self.codes, own)
            self.codes, self._probe = own, Probe(own)
        if not self._rows.flags.writeable:
            self._rows = np.array(self._rows)
        if len(self._rows) < length:
            # Half as much again: adding one by one stays linear.
            more = max(length, len(self._rows) * 3 // 2) - len(self._rows)
            self._rows = np.concatenate([self._rows, np.full(more, -1, np.int64)])

    # ---- searching

    def plan(self, allowed: Ids | None) -> Plan:
        return self._plan(self._size if allowed is None else int(self._mask(allowed).sum()))

    def _plan(self, candidates: int) -> Plan:
        if candidates == self._size:
            return Plan("all", self._size, self._size)
        share = min(1, self._probes(candidates) / self.lists)
        few = candidates <= MAX_COPIED + share * self._size / CODES_PER_VECTOR
        return Plan("copied" if few else "bitmap", candidates, self._size)

    def _probes(self, candidates: int) -> int:
        """Lists that hold as many allowed items as those that are searched without a filter do."""
        return math.ceil(self.effort.probes * self._size / max(candidates, 1))

    def _mask(self, allowed: Ids) -> npt.NDArray[np.bool_]:
        """By id, which items of the index are allowed."""
        mask = np.zeros(len(self._rows), np.bool_)
        mask[self._known(allowed)] = True
        return mask

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        mask = None if allowed is None else self._mask(allowed)
        plan = self._plan(self._size if mask is None else int(mask.sum()))
        k = min(k, plan.candidates)
        if k == 0:
            empty = np.empty((len(queries), 0))
            return empty.astype(np.float32), empty.astype(np.int64)
        queries = np.ascontiguousarray(queries, np.float32)
        depth = self.effort.depth(k)
        if plan.way == "copied" or depth * LEAST_GAIN >= plan.candidates:
            return self._exact(queries, k, mask)
        selector = None
        probes = self.effort.probes
        if mask is not None and plan.way == "bitmap":
            selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
            probes = self._probes(plan.candidates)
        found = self.candidates(queries, depth, probes, selector)
        scores, ids = top_k(scores_of(self._store, queries, found, self._rows), found, k)
        short = ids[:, -1] < 0
        if short.any():  # their lists hold too few
            scores[short], ids[short] = self._exact(queries[short], k, mask)
        return scores, ids

    def candidates(self, queries: Vectors, depth: int, probes: int, selector: Any = None) -> Ids:
        """(n, depth) ids by their estimated scores, best first; -1 where `probes` lists hold less.

        `queries` (n, d) are contiguous float32.
        """
        with threads_for(len(queries)):
            found = self._probe(queries @ self.axes, depth, probes, selector)
        # A file that is damaged may hold anything: what is no item counts as not found.
        found[~self._has(found)] = -1
        return found

    def _exact(
        self, queries: Vectors, k: int, mask: npt.NDArray[np.bool_] | None
    ) -> tuple[Vectors, Ids]:
        ids = self.ids if mask is None else np.flatnonzero(mask)
        return nearest(self._store, queries, ids, self._rows[ids], k)


def _remove(codes: Any, ids: Ids) -> None:
    """Take the codes of `ids` out of their lists.

    Codes lie in blocks of 32, and FAISS 1.15 adds one by `or` to what its slot holds. It does not
    clear the slots that a removal frees at the end of a list: of what is added there afterwards,
    a fifth would not be found.
    """
    lists = faiss.downcast_InvertedLists(codes.invlists)
    before = [lists.list_size(number) for number in range(lists.nlist)]
    codes.remove_ids(faiss.IDSelectorBatch(ids))
    packer = lists.packer
    nothing = np.zeros(packer.code_size, np.uint8)
    for number, size in enumerate(before):
        left = lists.list_size(number)
        block_end = -(-left // packer.nvec) * packer.nvec
        for slot in range(left, min(size, block_end)):
            packer.pack_1_c(faiss.swig_ptr(nothing), slot, lists.get_codes(number))
