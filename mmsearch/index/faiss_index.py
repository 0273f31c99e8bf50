"""The exact index: FAISS behind the VectorIndex protocol.

Exact inner product over float16 codes: the same numbers as the vector file, half the memory of
float32, and adds, removals and filters that never cost a result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from mmsearch.halves import to_float32
from mmsearch.index import products
from mmsearch.index.engine import KindName, Plan
from mmsearch.index.stored import ROUNDING, RowStore, top_k
from mmsearch.last import Last

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
# So many more than k are fetched: of vectors that equal the k-th, as titles of variants do, FAISS
# keeps any, so all must be seen before the smaller ids are taken. A scan of 100,000 x 512 takes 1 %
# longer for these (2026-11); where they do not suffice, another one looks for more.
SPARE = 32
MORE_SPARE = 16  # times as many


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
        self._row_of: npt.NDArray[np.int64] | None = None
        self._last: Last[npt.NDArray[np.int64]] = Last()  # the rows of the last candidates
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

    def add_rows(self, ids: Ids, rows: npt.NDArray[np.int64]) -> None:
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
        scores = np.empty(len(ids), np.float32)
        if len(ids):  # FAISS refuses to find nothing
            copy = self._copy_of(faiss.downcast_index(self._index.index), self._known(ids))
            found, places = copy.search(np.ascontiguousarray(query[None], np.float32), len(ids))
            scores[places[0]] = found[0]
        return scores

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
            return self._among_all(flat, ids, queries, k)
        if plan.way == "copied":
            return _best(self._copy_of(flat, rows), ids[rows], queries, k, plan.candidates)
        bits = np.zeros(plan.size, np.bool_)
        bits[rows] = True
        selector = faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))
        return _best(flat, ids, queries, k, plan.candidates, faiss.SearchParameters(sel=selector))

    def _among_all(
        self, flat: Any, ids: Ids, queries: Vectors, k: int, spare: int = SPARE
    ) -> tuple[Vectors, Ids]:
        """What `_best` gives: a query has the same answer alone as among many."""
        size = len(self)
        if len(queries) < products.FEWEST or size <= MAX_COPIED or spare > MAX_COPIED:
            return _best(flat, ids, queries, k, size, spare=spare)
        some = min(k + spare, size)
        rounded, nearest = products.nearest(self._codes(flat).view(np.float16), queries, some)
        scores = np.empty((len(queries), k), np.float32)
        found = np.empty((len(queries), k), np.int64)
        for number, own in enumerate(np.sort(nearest, axis=1)):
            query = queries[number : number + 1]
            scores[number], found[number] = _best(
                self._copy_of(flat, own), ids[own], query, k, some
            )
        # A product is rounded in another way: what was left out may be as good as the k-th.
        unsure = np.flatnonzero(rounded[:, -1] >= scores[:, -1] - ROUNDING)
        if some < size and len(unsure):
            again = self._among_all(flat, ids, queries[unsure], k, MORE_SPARE * spare)
            scores[unsure], found[unsure] = again
        return scores, found

    def _plan(self, rows: npt.NDArray[np.int64] | None) -> Plan:
        size = len(self)
        if rows is None or len(rows) == size:
            return Plan("all", size, size)
        return Plan("copied" if len(rows) <= MAX_COPIED else "bitmap", len(rows), size)

    def _rows(self, allowed: Ids) -> npt.NDArray[np.int64]:
        """Ascending rows of the allowed items that are here."""
        if self._row_of is None:
            self._last = Last()
        return self._last.of(allowed, self._find_rows)

    def _find_rows(self, allowed: Ids) -> npt.NDArray[np.int64]:
        row_of = self._places()
        rows = row_of[allowed[(allowed >= 0) & (allowed < len(row_of))]]
        rows = rows[rows >= 0]
        if len(rows) <= MAX_COPIED:
            return np.unique(rows)
        chosen = np.zeros(len(self), np.bool_)  # quicker than sorting many
        chosen[rows] = True
        return np.flatnonzero(chosen)

    def _known(self, ids: Ids) -> npt.NDArray[np.int64]:
        """The rows of ids that are here."""
        rows = self._places()[ids]
        assert rows.min(initial=0) >= 0, "an id that is not in the index"
        return rows

    def _places(self) -> npt.NDArray[np.int64]:
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

    def _copy_of(self, flat: Any, rows: npt.NDArray[np.int64]) -> Any:
        """An index of these rows alone, with the same codes."""
        copy = faiss.IndexScalarQuantizer(flat.d, flat.sq.qtype, flat.metric_type)
        copy.add_sa_codes(np.ascontiguousarray(self._codes(flat)[rows]))
        return copy


def _best(
    index: Any,
    ids: Ids,
    queries: Vectors,
    k: int,
    size: int,
    params: Any = None,
    spare: int = SPARE,
) -> tuple[Vectors, Ids]:
    """Scores and ids, each (n, k), of an index whose rows are `ids`: best first, ties by ascending
    id. `params` pick `size` of the rows, k or more.

    A scan of FAISS scores equal rows equally, wherever they stand: where the last one fetched is
    below the k-th, all that equal it are there.
    """
    fetched = min(k + spare, size)
    scores, rows = index.search(queries, fetched, params=params)
    best, found = top_k(scores, ids[rows], k)
    if fetched < size:
        for number in np.flatnonzero(scores[:, -1] == best[:, -1]):
            query = queries[number : number + 1]
            again = _best(index, ids, query, k, size, params, MORE_SPARE * spare)
            best[number], found[number] = again
    return best, found
