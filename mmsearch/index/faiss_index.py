"""The exact index: FAISS behind the VectorIndex protocol.

Exact inner product over float16 codes: the same numbers as the vector file, half the memory of
float32, and adds, removals and filters that never cost a result.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from mmsearch.halves import to_float32
from mmsearch.index import products
from mmsearch.index.engine import KindName, Plan
from mmsearch.index.stored import ROUNDING, ROWS_AT_A_TIME, RowStore, top_k
from mmsearch.index.threads import threads_for
from mmsearch.last import Last
from mmsearch.ranking.ranked import score

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from mmsearch.types import Ids, Vectors

    Halves = npt.NDArray[np.float16]
    Rows = npt.NDArray[np.int64]
    # Queries (n, d) and a count -> scores and rows, each (n, count), best first.
    Scan = Callable[[Vectors, int], tuple[Vectors, Rows]]

KIND = "exact float16 (IndexScalarQuantizer, inner product)"
# Up to so many candidates their codes are copied together and searched alone; more are picked by
# a bitmap while FAISS walks the whole index. ms of processor time for one query, k = 100, over
# 100,000 x 384, one thread of a busy machine (faiss 1.14, 2026-11):
#     candidates    100  1,000  3,000  10,000  30,000  90,000     all
#     copied       0.07   0.45    2.7     7.5      22     114
#     bitmap       0.52   0.88    2.4     5.7      10      13      13
MAX_COPIED = 2_000
# So many more than k are fetched: of vectors that equal the k-th, as titles of variants do, FAISS
# keeps any, so all must be seen before the smaller ids are taken. A scan of 100,000 x 512 takes 1 %
# longer for these (2026-11); where they do not suffice, another one looks for more.
SPARE = 32
MORE_SPARE = 16  # times as many
# Of one product no more than so many are asked for: its heap would take longer than scans.
MOST_OF_MANY = 2_000


class FaissIndex:
    """See the VectorIndex and EngineIndex protocols.

    `seq` is the catalog's sequence number it has reached. `add_rows` reads the `store`; who adds
    vectors of his own needs none.
    """

    kind: KindName = "exact"

    def __init__(
        self,
        dim: int,
        index: Any = None,
        seq: int = 0,
        *,
        store: RowStore | None = None,
        why: str = KIND,
    ) -> None:
        self.seq = seq
        self.why = why
        self._store = store
        self._row_of: Rows | None = None
        self._last: Last[Rows] = Last()  # the rows of the last candidates
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
            self._own()
            self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)

    def add_rows(self, ids: Ids, rows: Rows) -> None:
        assert self._store is not None, "an index without a store has no rows to read"
        self.add(ids, self._store.read(rows))

    def remove(self, ids: Ids) -> None:
        if len(ids) and len(self):
            self._own()
            self._index.remove_ids(faiss.IDSelectorBatch(np.ascontiguousarray(ids, np.int64)))

    def _own(self) -> None:
        """Before a change: copy a mapped file, which FAISS would end the process for touching."""
        self._row_of = None
        if not faiss.downcast_index(self._index.index).codes.is_owned:
            self._index = faiss.deserialize_index(faiss.serialize_index(self._index))

    @property
    def file(self) -> Any:
        """The FAISS index, to be written to disk."""
        return self._index

    @property
    def ids(self) -> Ids:
        """(n,) int64 of all items in the index, in no order that means anything."""
        ids: Ids = faiss.vector_to_array(self._index.id_map)
        return ids

    def vectors(self, ids: Ids) -> Vectors:
        """(n, d) float32 rows of `ids`, each of which must be in the index."""
        codes = self._codes(faiss.downcast_index(self._index.index))
        return to_float32(codes[self._known(ids)].view(np.float16))

    def scores(self, query: Vectors, ids: Ids) -> Vectors:
        if not len(ids):
            return np.empty(0, np.float32)
        parts = np.split(ids, range(ROWS_AT_A_TIME, len(ids), ROWS_AT_A_TIME))
        return np.concatenate([score(self.vectors(part), query) for part in parts])

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
        with threads_for(len(queries)):
            return self._search(np.ascontiguousarray(queries, np.float32), k, rows, plan)

    def _search(
        self, queries: Vectors, k: int, rows: Rows | None, plan: Plan
    ) -> tuple[Vectors, Ids]:
        flat = faiss.downcast_index(self._index.index)
        halves = self._codes(flat).view(np.float16)
        if rows is None or plan.way == "all":
            return _best(_scan_of_all(flat, halves), halves, self.ids, queries, k)
        if plan.way == "copied":
            halves = np.ascontiguousarray(halves[rows])
            copy = faiss.IndexScalarQuantizer(flat.d, flat.sq.qtype, flat.metric_type)
            copy.add_sa_codes(halves.view(np.uint8))
            return _best(copy.search, halves, self.ids[rows], queries, k)
        bits = np.zeros(plan.size, np.bool_)
        bits[rows] = True
        chosen = faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))
        scan = partial(flat.search, params=faiss.SearchParameters(sel=chosen))
        return _best(scan, halves, self.ids, queries, k, plan.candidates)

    def _plan(self, rows: Rows | None) -> Plan:
        size = len(self)
        if rows is None or len(rows) == size:
            return Plan("all", size, size)
        return Plan("copied" if len(rows) <= MAX_COPIED else "bitmap", len(rows), size)

    def _rows(self, allowed: Ids) -> Rows:
        """Ascending rows of the allowed items that are here."""
        if self._row_of is None:
            self._last = Last()
        return self._last.of(allowed, self._find_rows)

    def _find_rows(self, allowed: Ids) -> Rows:
        row_of = self._places()
        rows = row_of[allowed[(allowed >= 0) & (allowed < len(row_of))]]
        rows = rows[rows >= 0]
        if len(rows) <= MAX_COPIED:
            return np.unique(rows)
        chosen = np.zeros(len(self), np.bool_)  # quicker than sorting many
        chosen[rows] = True
        return np.flatnonzero(chosen)

    def _known(self, ids: Ids) -> Rows:
        """The rows of ids that are here."""
        rows = self._places()[ids]
        assert rows.min(initial=0) >= 0, "an id that is not in the index"
        return rows

    def _places(self) -> Rows:
        """The row of each id, -1 of one that is not here."""
        if self._row_of is None:
            ids = self.ids
            row_of = np.full(int(ids.max(initial=-1)) + 1, -1, np.int64)
            row_of[ids] = np.arange(len(ids))
            self._row_of = row_of
        return self._row_of

    @staticmethod
    def _codes(flat: Any) -> npt.NDArray[np.uint8]:
        """(n, 2 d), as they lie in the index."""
        codes = faiss.rev_swig_ptr(flat.codes.data(), flat.codes.size())
        rows: npt.NDArray[np.uint8] = codes.reshape(-1, flat.code_size)
        return rows


def _scan_of_all(flat: Any, halves: Halves) -> Scan:
    """Many queries, of which not much is asked, go through one product."""

    def scan(queries: Vectors, count: int) -> tuple[Vectors, Rows]:
        if len(queries) < products.FEWEST or len(halves) <= MAX_COPIED or count > MOST_OF_MANY:
            scores, rows = flat.search(queries, count)
            return scores, rows
        return products.nearest(halves, queries, count)

    return scan


def _best(
    scan: Scan,
    halves: Halves,
    ids: Ids,
    queries: Vectors,
    k: int,
    size: int | None = None,
    spare: int = SPARE,
) -> tuple[Vectors, Ids]:
    """Scores and ids, each (n, k): best first, ties by ascending id.

    `ids` (m,) and `halves` (m, d) are those of the rows that `scan` finds; it looks at `size` of
    them (None: all), k or more. What it finds is scored as every other answer is, so that a query
    alone, among many, under a filter and in a new process has the same scores.
    """
    size = len(ids) if size is None else size
    fetched = min(k + spare, size)
    rounded, rows = scan(queries, fetched)
    best = np.empty((len(queries), k), np.float32)
    found = np.empty((len(queries), k), np.int64)
    for number, own in enumerate(rows):
        scores = score(to_float32(halves[own]), queries[number])
        (best[number],), (found[number],) = top_k(scores[None], ids[own], k)
    if fetched < size:
        # A scan is rounded in another way: what was left out may be as good as the k-th.
        unsure = np.flatnonzero(rounded[:, -1] >= best[:, -1] - ROUNDING)
        if len(unsure):
            again = _best(scan, halves, ids, queries[unsure], k, size, MORE_SPARE * spare)
            best[unsure], found[unsure] = again
    return best, found
