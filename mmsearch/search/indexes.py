"""The index of each modality, current by replay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo
from mmsearch.catalog.vectors import VectorFile
from mmsearch.index.faiss_index import FaissIndex, Snapshots
from mmsearch.types import Modality


class Indexes:
    """One index per modality of one encoder's space; each is loaded on its first use."""

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

    def get(self, modality: Modality) -> FaissIndex:
        """The index of one modality, caught up with the catalog."""
        newest = self._catalog.seq()
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

    def save(self, modality: Modality) -> None:
        """Snapshot the caught-up index. Raises StorageError."""
        self._snapshots(modality).save(self.get(modality))
