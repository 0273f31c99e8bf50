"""The index of each modality, current by replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo
from mmsearch.catalog.vectors import VectorFile
from mmsearch.index.faiss_index import FaissIndex, Snapshots
from mmsearch.types import Modality

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids


class Indexes:
    """One index per modality of one encoder's space; each is loaded on its first use.

    `refresh` at the start of a query reads how far the catalog is; the indexes that the query
    uses are caught up to there, so that all its parts see one state.
    """

    def __init__(
        self,
        catalog: Catalog,
        info: EncoderInfo,
        vectors: VectorFile,
        snapshots: Callable[[Modality], Snapshots],
    ) -> None:
        self._catalog = catalog
        self._info = info
        self._vectors = vectors
        self._snapshots = snapshots
        self._indexes: dict[Modality, FaissIndex] = {}
        self.seq = -1  # of the catalog at the last refresh
        self._ids: dict[Modality, tuple[int, Ids]] = {}

    def refresh(self) -> int:
        """Read the catalog's sequence number, once per query."""
        self.seq = self._catalog.seq()
        return self.seq

    def get(self, modality: Modality) -> FaissIndex:
        """The index of one modality, caught up with the catalog as it was at the last refresh."""
        newest = self.seq
        index = self._indexes.get(modality)
        if index is None:
            index = self._snapshots(modality).load(newest) or FaissIndex(self._info.dim)
            self._indexes[modality] = index
        if index.seq < newest:
            changes = self._catalog.changes(index.seq, modality, self._info.fingerprint)
            for chunk in changes:
                gone = [item for item, row in chunk if row is None]
                live = [(item, row) for item, row in chunk if row is not None]
                index.remove(np.array(gone, np.int64))
                if live:
                    ids, rows = np.array(live, np.int64).T
                    index.add(ids, self._vectors.read(rows))
            index.seq = newest
        return index

    def ids(self, modality: Modality) -> Ids:
        """(n,) int64 ascending ids of the items that have a vector of this modality."""
        index = self.get(modality)
        known = self._ids.get(modality)
        if known is None or known[0] != index.seq:
            known = self._ids[modality] = index.seq, np.sort(index.ids)
        return known[1]

    def has(self, modality: Modality, ids: Ids) -> npt.NDArray[np.bool_]:
        """(n,) whether each of `ids` has a vector of this modality."""
        known = self.ids(modality)
        if not len(known):
            return np.zeros(len(ids), np.bool_)
        places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        there: npt.NDArray[np.bool_] = known[places] == ids
        return there

    def save(self, modality: Modality) -> None:
        """Snapshot the caught-up index. Raises StorageError."""
        self._snapshots(modality).save(self.get(modality))
