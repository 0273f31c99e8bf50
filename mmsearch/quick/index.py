"""The vectors of one modality for a query in a new process: codes, and what changed since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.halves import to_float32
from mmsearch.quick.codes import Codes, score_rows
from mmsearch.ranking.ranked import among

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from mmsearch.types import Ids, Vectors

    Halves = npt.NDArray[np.float16]


class QuickIndex:
    """The part of an EngineIndex that a ranking asks (search.protocols.VectorSource).

    `changes`: item -> row of its vector, or None without one, of all that changed since the codes
    were written. `halves` (n, d) are the rows of the vector file.
    """

    def __init__(self, codes: Codes, changes: Mapping[int, int | None], halves: Halves) -> None:
        self.seq = codes.seq
        self._codes = codes
        self._halves = halves
        changed = np.fromiter(changes, np.int64, len(changes))
        changed = changed[changed <= codes.ids.max(initial=-1)]
        places = np.searchsorted(codes.ids, changed)
        # Places among the codes that do not count any more.
        self._without = places[codes.ids[places] == changed]
        new = {item: row for item, row in changes.items() if row is not None}
        self._new_ids = np.fromiter(new, np.int64, len(new))
        self._new_rows = np.fromiter(new.values(), np.int64, len(new))
        self._all: tuple[Ids, Ids] | None = None

    def __len__(self) -> int:
        return len(self._codes.ids) - len(self._without) + len(self._new_ids)

    @property
    def ids(self) -> Ids:
        """(n,) int64 ascending."""
        return self._ids_and_rows()[0]

    def row(self, item: int) -> int | None:
        """The row of its vector; None for an item that is not here."""
        every, rows = self._ids_and_rows()
        place = int(np.searchsorted(every, item))
        return int(rows[place]) if place < len(every) and every[place] == item else None

    def vectors(self, ids: Ids) -> Vectors:
        """(m, d) float32 of items that are here."""
        every, rows = self._ids_and_rows()
        return to_float32(self._halves[rows[np.searchsorted(every, ids)]])

    def scores(self, query: Vectors, ids: Ids) -> Vectors:
        """(m,) float32 of items that are here, as `nearest` gives them."""
        every, rows = self._ids_and_rows()
        return score_rows(self._halves, rows[np.searchsorted(every, ids)], query)

    def nearest(self, query: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        """Scores (float32) and ids of the min(k, size) best for one unit vector (d,), ties by
        ascending id: every one that an exact search finds among the `allowed` (ascending; None:
        all)."""
        codes, halves = self._codes, self._halves
        without, new_ids, new_rows = self._without, self._new_ids, self._new_rows
        if allowed is not None:
            without = np.union1d(without, np.flatnonzero(~among(codes.ids, allowed)))
            new = among(new_ids, allowed)
            new_ids, new_rows = new_ids[new], new_rows[new]
        k = min(k, len(codes.ids) - len(without) + len(new_ids))
        places, scores = codes.possible(
            query, k, lambda places: score_rows(halves, codes.rows[places], query), without
        )
        ids = np.concatenate([codes.ids[places], new_ids])
        scores = np.concatenate([scores, score_rows(halves, new_rows, query)])
        order = np.lexsort((ids, -scores))[:k]
        return scores[order], ids[order]

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        """`nearest` of each query (n, d)."""
        found: list[Any] = [self.nearest(query, k, allowed) for query in queries]
        return np.stack([scores for scores, _ in found]), np.stack([ids for _, ids in found])

    def _ids_and_rows(self) -> tuple[Ids, Ids]:
        if self._all is None:
            ids, rows = self._codes.ids, self._codes.rows
            if len(self._without) or len(self._new_ids):
                ids = np.concatenate([np.delete(ids, self._without), self._new_ids])
                rows = np.concatenate([np.delete(rows, self._without), self._new_rows])
                order = np.argsort(ids)
                ids, rows = ids[order], rows[order]
            self._all = ids, rows
        return self._all
