"""The index of each modality, current by replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo
from mmsearch.catalog.rows import live, live_rows
from mmsearch.catalog.vectors import VectorFile
from mmsearch.index.build import Sample, build, measure_again
from mmsearch.index.coded_index import CodedIndex
from mmsearch.index.engine import EngineIndex
from mmsearch.index.planner import drifted, outgrown
from mmsearch.index.snapshots import Snapshots
from mmsearch.ranking.ranked import among
from mmsearch.search.sample import sample_queries
from mmsearch.types import Modality

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids, TextEncoder


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
        text_tower: Callable[[], TextEncoder | None],
    ) -> None:
        """`text_tower` gives one that is at hand, if any: see sample_queries."""
        self._catalog = catalog
        self._info = info
        self._vectors = vectors
        self._snapshots = snapshots
        self._text_tower = text_tower
        self._indexes: dict[Modality, EngineIndex] = {}
        self.seq = -1  # of the catalog at the last refresh
        self._ids: dict[Modality, tuple[int, Ids]] = {}

    def refresh(self) -> int:
        """Read the catalog's sequence number, once per query."""
        self.seq = self._catalog.seq()
        return self.seq

    def get(self, modality: Modality) -> EngineIndex:
        """The index of one modality, caught up with the catalog as it was at the last refresh."""
        newest = self.seq
        index = self._indexes.get(modality)
        if index is None:
            index = self._snapshots(modality).load(newest) or self._build(modality)
            self._indexes[modality] = index
        if index.seq < newest:
            changes = self._catalog.changes(index.seq, modality, self._info.fingerprint)
            for chunk in changes:
                gone = [item for item, row in chunk if row is None]
                index.remove(np.array(gone, np.int64))
                ids, rows = live(chunk)
                index.add_rows(ids, rows)
            index.seq = newest
        return index

    def reached(self) -> int | None:
        """The sequence number of the index in memory that is the furthest behind; None: of none."""
        return min((index.seq for index in self._indexes.values()), default=None)

    def ids(self, modality: Modality) -> Ids:
        """(n,) int64 ascending ids of the items that have a vector of this modality."""
        index = self.get(modality)
        known = self._ids.get(modality)
        if known is None or known[0] != index.seq:
            known = self._ids[modality] = index.seq, np.sort(index.ids)
        return known[1]

    def has(self, modality: Modality, ids: Ids) -> npt.NDArray[np.bool_]:
        """(n,) whether each of `ids` has a vector of this modality."""
        return among(ids, self.ids(modality))

    def save(self, modality: Modality) -> None:
        """Snapshot the caught-up index, of the kind that fits it by now.

        The caller holds the writer's lock. Raises StorageError, CorruptionError.
        """
        snapshots = self._snapshots(modality)
        index = self.get(modality)
        choice = snapshots.choose(len(index))
        fits = choice.kind == index.kind
        if fits and isinstance(index, CodedIndex):
            fits = not outgrown(index.built_for, len(index))
            if fits and drifted(index.measured_for, len(index)):
                sample = self._sample(modality, index.rows[index.ids])
                goals = snapshots.settings.goals
                fits = measure_again(index, choice, self._vectors, goals, sample)
        if not fits:
            index = self._indexes[modality] = self._build(modality)
            if choice.kind != index.kind:  # what was chosen does not reach the recall
                snapshots.keep_choice(index.kind, len(index), index.why)
        snapshots.save(index)

    def _build(self, modality: Modality) -> EngineIndex:
        """An index of all items, of the kind that fits as many, as of the last refresh."""
        seq = self.seq
        ids, rows = live_rows(self._catalog, self._info.fingerprint, modality)
        snapshots = self._snapshots(modality)
        choice = snapshots.choose(len(ids))
        sample = None
        if choice.kind != "exact":
            sample = self._sample(modality, rows)
        index = build(choice, ids, rows, self._vectors, snapshots.settings.goals, sample)
        # What was committed since the refresh may be in it already; replaying it changes nothing.
        index.seq = seq
        return index

    def _sample(self, modality: Modality, rows: Ids) -> Sample:
        tower = self._text_tower()
        return sample_queries(self._catalog, self._info, self._vectors, modality, rows, tower)
