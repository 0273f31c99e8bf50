"""Which index fits a collection, measured on its own vectors, and the choice put into effect."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo
from mmsearch.catalog.rows import live_rows
from mmsearch.errors import UsageError
from mmsearch.index.build import (
    TRIED,
    Sample,
    Truth,
    build,
    coded,
    found_by_depth,
    probe_steps,
    with_margin,
)
from mmsearch.index.coded_index import CodedIndex, Effort
from mmsearch.index.engine import EngineIndex, KindName
from mmsearch.index.goals import Goals
from mmsearch.index.kinds import threads
from mmsearch.index.planner import NAMES, Choice, in_bytes, lists_for, memory_bytes, possible
from mmsearch.layout import Layout
from mmsearch.loading import Encoders
from mmsearch.search.sample import sample_queries
from mmsearch.types import MODALITIES, Modality, OnProgress, Progress

if TYPE_CHECKING:
    from mmsearch.catalog.vectors import VectorFile
    from mmsearch.types import Ids, Vectors

K = 10
TIMED_QUERIES = 50
WARM_UP = 3
# Lists are read ever more until this share of the recall with all of them is reached.
NEARLY_ALL = 0.9995


@dataclass(frozen=True)
class Point:
    """One way to search: what it finds of the ten nearest, how fast, and in how much memory.

    `recall` is that of the worst group of queries: the collection's own vectors of the same
    modality, those of the other one, and typical words. `chosen`: it is in effect from now on, or
    would be.
    """

    kind: KindName
    lists: int
    probes: int
    candidates: int  # stored vectors that are scored for ten answers; 0: all are
    recall: float
    p50_ms: float
    p95_ms: float
    memory_bytes: int
    build_s: float
    chosen: bool = False

    @property
    def label(self) -> str:
        if self.kind == "exact":
            return NAMES["exact"]
        lists = f", {self.probes} of {self.lists} lists" if self.lists > 1 else ""
        return f"{NAMES[self.kind]}{lists}, {self.candidates} candidates"


@dataclass(frozen=True)
class Tuning:
    """What was measured of one modality's index, of `size` vectors of `dim` numbers."""

    modality: Modality
    size: int
    dim: int
    queries: int
    threads: int
    goals: Goals
    points: tuple[Point, ...]
    why: str
    applied: bool

    @property
    def chosen(self) -> Point:
        return next(point for point in self.points if point.chosen)


def tune(
    layout: Layout,
    goals: Goals,
    *,
    modality: Modality | None = None,
    apply: bool = True,
    encoders: Encoders | None = None,
    on_progress: OnProgress | None = None,
) -> list[Tuning]:
    """Measure the kinds that fit into the memory, on each modality's vectors (or one's alone).

    The simplest that reaches the recall within the latency is written as the collection's index,
    and with the goals it is kept for later runs; `apply` False only tells. Raises UsageError where
    none does, naming the nearest, and nothing is changed then; NoCollectionError, LockedError,
    StorageError, CorruptionError.
    """
    catalog = Catalog(layout.catalog)
    try:
        info = catalog.encoder()
        wanted = MODALITIES if modality is None else (modality,)
        found = [] if info is None else [(one, _vectors(catalog, info, one)) for one in wanted]
        found = [(one, rows) for one, rows in found if len(rows.ids)]
        if info is None or not found:
            raise UsageError(
                f"there is nothing to tune: the collection holds no {modality or ''} vectors; run "
                "`mmsearch index` first".replace("  ", " ")
            )
        store = layout.vector_file(info)
        tower = (encoders or Encoders()).text_tower_at_hand(info)
        tunings, indexes = [], []
        for one, rows in found:
            sample = sample_queries(catalog, info, store, one, rows.rows, tower)
            tuning, index = _measure(one, rows, store, sample, goals, on_progress)
            index.seq = rows.seq
            tunings.append(replace(tuning, applied=apply))
            indexes.append(index)
        if apply:
            with layout.writing():
                for tuning, index in zip(tunings, indexes, strict=True):
                    snapshots = layout.snapshots(info, tuning.modality)
                    snapshots.keep_choice(index.kind, len(index), tuning.why, goals)
                    snapshots.save(index)
        return tunings
    finally:
        catalog.close()


@dataclass(frozen=True, eq=False)
class _Rows:
    """All items with a vector of one modality, (n,) int64 each, as of `seq`."""

    ids: Ids
    rows: Ids
    seq: int


def _vectors(catalog: Catalog, info: EncoderInfo, modality: Modality) -> _Rows:
    seq = catalog.seq()  # before the reading: what comes in meanwhile is replayed
    return _Rows(*live_rows(catalog, info.fingerprint, modality), seq)


def _measure(
    modality: Modality,
    rows: _Rows,
    store: VectorFile,
    sample: Sample,
    goals: Goals,
    on_progress: OnProgress | None,
) -> tuple[Tuning, EngineIndex]:
    """The curve of each kind, and the index that the goals choose. Raises UsageError."""
    size = len(rows.ids)
    kinds = possible(size, store.dim, goals)
    built: dict[KindName, EngineIndex] = {}
    points: list[Point] = []
    for number, kind in enumerate(kinds):
        built[kind], some = _curve(kind, rows, store, sample, goals)
        points += some
        if on_progress:
            on_progress(Progress(f"measured {modality} indexes", number + 1, len(kinds)))
    best = _best(points, goals)
    why = (
        f"{best.label}: recall@{K} {best.recall:.4f} and {best.p50_ms:.2f} ms, measured on "
        f"{size:,} vectors of {store.dim} numbers for recall {goals.recall:g} within "
        f"{goals.latency_ms:g} ms"
    )
    if goals.memory_bytes is not None:
        why += f" and {in_bytes(goals.memory_bytes)}"
    index = built[best.kind]
    if isinstance(index, CodedIndex):
        index.effort = Effort(best.probes, best.candidates)
        index.why = why
    shown = tuple(replace(point, chosen=point is best) for point in points)
    tuning = Tuning(
        modality, size, store.dim, len(sample.queries), threads(), goals, shown, why, applied=False
    )
    return tuning, index


def _curve(
    kind: KindName, rows: _Rows, store: VectorFile, sample: Sample, goals: Goals
) -> tuple[EngineIndex, list[Point]]:
    """An index of the kind, and its points by growing effort."""
    size = len(rows.ids)
    choice = Choice(kind, lists_for(kind, size), NAMES[kind])
    started = time.perf_counter()
    if kind == "exact":
        index = build(choice, rows.ids, rows.rows, store, goals, None)
        point = Point(kind, 1, 1, 0, 1.0, 0, 0, memory_bytes(kind, size, store.dim), 0)
        return index, [_timed(point, index, sample.queries, time.perf_counter() - started)]
    codes, truth = coded(choice, rows.ids, rows.rows, store, sample)
    build_s = time.perf_counter() - started
    points = []
    for probes, depth, recall in _efforts(codes, store, sample, truth, goals):
        codes.effort = Effort(probes, depth)
        point = Point(
            kind,
            choice.lists,
            probes,
            depth,
            recall,
            0,
            0,
            memory_bytes(kind, size, store.dim),
            0,
        )
        points.append(_timed(point, codes, sample.queries, build_s))
    return codes, points


def _efforts(
    codes: CodedIndex, store: VectorFile, sample: Sample, truth: Truth, goals: Goals
) -> Iterator[tuple[int, int, float]]:
    """(probes, candidates, recall), with as few candidates as reach the goal, or bring most."""
    every = {}
    for most in TRIED:
        every = found_by_depth(codes, store, sample, truth.least, codes.lists, most)
        if max(every.values()) >= 1 - (1 - goals.recall) / 2:
            break
    for probes in probe_steps(codes.lists):
        found = every
        if probes < codes.lists:
            found = found_by_depth(codes, store, sample, truth.least, probes, most)
        top = max(found.values())
        enough = min(with_margin(goals.recall, max(every.values())), top)
        depth = min(depth for depth, recall in found.items() if recall >= enough)
        yield probes, depth, found[depth]
        if top >= NEARLY_ALL * max(every.values()):
            return


def _timed(point: Point, index: EngineIndex, queries: Vectors, build_s: float) -> Point:
    """The point with the time of one query, as a person asks."""
    # Evenly spaced; of fewer queries each more than once.
    timed = queries[np.linspace(0, len(queries) - 1, TIMED_QUERIES).astype(np.int64)]
    taken = []
    for query in (*timed[:WARM_UP], *timed):
        started = time.perf_counter()
        index.search(query[None], K)
        taken.append((time.perf_counter() - started) * 1000)
    p50, p95 = np.percentile(taken[WARM_UP:], [50, 95])
    return replace(point, p50_ms=float(p50), p95_ms=float(p95), build_s=build_s)


def _best(points: Sequence[Point], goals: Goals) -> Point:
    """The fastest way of the simplest kind that meets the goals. Raises UsageError."""
    good = [point for point in points if point.recall >= goals.recall]
    quick = [point for point in good if point.p50_ms <= goals.latency_ms]
    if quick:
        alike = [point for point in quick if point.kind == quick[0].kind]
        enough = with_margin(goals.recall, max(point.recall for point in alike))
        safe = [point for point in alike if point.recall >= enough]
        return min(safe, key=lambda point: point.p50_ms)
    near = []
    if good:
        one = min(good, key=lambda point: point.p50_ms)
        near.append(f"{one.label} reaches it in {one.p50_ms:.2f} ms")
    fast = [point for point in points if point.p50_ms <= goals.latency_ms]
    if fast:
        one = max(fast, key=lambda point: point.recall)
        near.append(f"{one.label} reaches {one.recall:.4f} in {one.p50_ms:.2f} ms")
    if not near:
        one = max(points, key=lambda point: point.recall)
        near.append(f"{one.label} reaches {one.recall:.4f} in {one.p50_ms:.2f} ms")
    memory = "" if goals.memory_bytes is None else f" in {in_bytes(goals.memory_bytes)}"
    raise UsageError(
        f"no index{memory} reaches a recall of {goals.recall:g} within {goals.latency_ms:g} ms; "
        f"nearest: {'; '.join(near)}. Ask for one of these or give more memory; nothing was changed"
    )
