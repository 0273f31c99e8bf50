"""What an index loses against exact search on the user's own vectors, and what that buys."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.errors import InputError, UsageError
from mmsearch.evaluation.statistics import bootstrap_intervals
from mmsearch.index.kinds import Setting, build_settings, kinds_for, threads

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids, OnProgress, Vectors

    Floats = npt.NDArray[np.float64]

# Rounding of an inner product of two unit float32 vectors with hundreds of terms. Items closer than
# this to the k-th exact score are ties with it.
TIE_TOLERANCE = 1e-6
TIE_RULE = "an item that scores as high as the k-th exact neighbour (within 1e-6) counts as found"
TIMED_QUERIES = 200
WARM_UP = 5
# Scores held at a time: of so many queries with so many vectors, 64 MB of float32.
QUERIES_AT_ONCE = 1_000
VECTORS_AT_ONCE = 16_000
FORMAT = 1  # of the JSON form


@dataclass(frozen=True)
class IndexPoint:
    """One setting: recall@k with its 95 % interval over queries, latency of one query, size."""

    family: str
    parameter: str | None
    value: int | None
    recall: float
    recall_low: float
    recall_high: float
    p50_ms: float
    p95_ms: float
    bytes_per_vector: float | None
    build_s: float | None

    @property
    def label(self) -> str:
        tail = "" if self.parameter is None else f", {self.parameter}={self.value}"
        return self.family + tail


@dataclass(frozen=True)
class IndexCurve:
    """Recall against latency of several settings, on one gallery and one set of queries."""

    k: int
    gallery_size: int
    dim: int
    queries: int
    timed_queries: int
    threads: int
    points: tuple[IndexPoint, ...]
    notes: tuple[str, ...] = ()
    tie_rule: str = TIE_RULE

    def rows(self) -> list[tuple[str, ...]]:
        """The table as text: a header, then a row per setting."""
        header = ("index", f"recall@{self.k}", "95 % CI", "p50 ms", "p95 ms", "B/vector", "build s")
        rows: list[tuple[str, ...]] = [header]
        for one in self.points:
            size = "-" if one.bytes_per_vector is None else f"{one.bytes_per_vector:.0f}"
            build = "-" if one.build_s is None else f"{one.build_s:.1f}"
            interval = f"{one.recall_low:.4f}-{one.recall_high:.4f}"
            times = (f"{one.p50_ms:.3f}", f"{one.p95_ms:.3f}")
            rows.append((one.label, f"{one.recall:.4f}", interval, *times, size, build))
        return rows

    def table(self) -> str:
        """For the terminal: aligned columns under a line that says what was measured."""
        rows = self.rows()
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [self.title()]
        for first, *others in rows:
            cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
            lines.append("  ".join([f"{first:<{widths[0]}}", *cells]).rstrip())
        return "\n".join([*lines, *self.notes])

    def title(self) -> str:
        return (
            f"{self.gallery_size:,} vectors of {self.dim} numbers, {self.queries:,} queries, k = "
            f"{self.k}, {self.threads} thread{'s' * (self.threads != 1)}; {self.tie_rule}"
        )

    def markdown(self) -> str:
        header, *rows = self.rows()
        ruler = ("---", *("---:" for _ in header[1:]))
        lines = [self.title(), ""]
        lines += ["| " + " | ".join(row) + " |" for row in (header, ruler, *rows)]
        return "\n".join([*lines, *("\n" + note for note in self.notes)])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = vars(self) | {"points": [vars(one) for one in self.points]}
        return {"mmsearch_index_curve": FORMAT, **plain, "notes": list(self.notes)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> IndexCurve:
        """The inverse of `to_json`. Raises InputError."""
        if plain.get("mmsearch_index_curve") != FORMAT:
            raise InputError(
                "not an index curve that this version can read (format "
                f"{plain.get('mmsearch_index_curve')!r}, expected {FORMAT}): make it again with "
                "`mmsearch evaluate --index`"
            )
        try:
            fields = {key: plain[key] for key in cls.__dataclass_fields__}
            fields["points"] = tuple(IndexPoint(**one) for one in plain["points"])
            fields["notes"] = tuple(plain["notes"])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise InputError(
                f"the index curve lacks or distorts {error}: make it again with "
                "`mmsearch evaluate --index`"
            ) from error


def measure_index(
    vectors: Vectors,
    queries: Vectors,
    k: int = 10,
    *,
    settings: Iterable[Setting] | None = None,
    ids: Ids | None = None,
    on_progress: OnProgress | None = None,
) -> IndexCurve:
    """Recall@k, latency and size of each setting on `vectors` (n, d), asked `queries` (q, d).

    Without `settings` the kinds of `index/kinds.py` are built on the spot; with them, `ids` (n,)
    are the names that their answers use for the rows of `vectors` (None: row numbers). k is cut
    to n.

        recall@k = |{distinct answers a : <q, a> >= s_k - 1e-6}| / k

    with s_k the score of the k-th exact neighbour, both scores taken from `vectors` and not from
    the index: ties count as found, as in FAISS's contrib/evaluation.py. All queries are asked in
    one batch for recall; the first 200 again one at a time for latency, as a person asks, after a
    warm-up.

    Ask what users will ask: texts searched among pictures lie outside the pictures' distribution,
    where graphs lose more than on the gallery's own vectors (Jaiswal et al. 2022,
    arXiv:2211.12850). Raises UsageError for empty, mismatched or non-finite input, k < 1, and an
    answer that is no id.
    """
    gallery, asked = _checked(vectors, queries, k)
    k = min(k, len(gallery))
    notes: tuple[str, ...] = ()
    if settings is None:
        kinds, notes = kinds_for(*gallery.shape)
        settings, ids = build_settings(gallery, kinds, on_progress), None
    names = np.arange(len(gallery)) if ids is None else np.asarray(ids, np.int64)
    if len(names) != len(gallery):
        raise UsageError(f"{len(names)} ids for {len(gallery)} vectors: one id a row")
    least = exact_threshold(gallery, asked, k)
    points: list[IndexPoint] = []
    found: dict[str, Floats] = {}
    for setting in settings:  # nothing of it is kept: it holds a whole index in memory
        _, answers = setting.search(asked, k)
        recall = _recall(answers, names, gallery, asked, least, k, setting.label)
        found[str(len(points))] = recall
        points.append(_point(setting, float(recall.mean()), *_latency_ms(setting, asked, k)))
    if not points:
        raise UsageError("no index to measure: give at least one setting")
    intervals = bootstrap_intervals(found)
    for number, point in enumerate(points):
        one = intervals[str(number)]
        points[number] = replace(point, recall_low=one.low, recall_high=one.high)
    return IndexCurve(
        k=k,
        gallery_size=len(gallery),
        dim=gallery.shape[1],
        queries=len(asked),
        timed_queries=min(len(asked), TIMED_QUERIES),
        threads=threads(),
        points=tuple(points),
        notes=notes,
    )


def exact_threshold(vectors: Vectors, queries: Vectors, k: int) -> Floats:
    """(q,) float64: the inner product of each query with its k-th nearest row of `vectors` (n, d).

    Found in float32 blocks, then computed again in float64. 1 <= k <= n.
    """
    where = [
        _nearest(vectors, queries[first : first + QUERIES_AT_ONCE], k)
        for first in range(0, len(queries), QUERIES_AT_ONCE)
    ]
    least: Floats = _scores(vectors, queries, np.concatenate(where)).min(axis=1)
    return least


def _nearest(vectors: Vectors, queries: Vectors, k: int) -> Ids:
    """(q, k) the rows of the k greatest float32 inner products of each query, the least first."""
    best = np.full((len(queries), k), -np.inf, np.float32)
    where = np.zeros((len(queries), k), np.int64)
    for start in range(0, len(vectors), VECTORS_AT_ONCE):
        scores = queries @ vectors[start : start + VECTORS_AT_ONCE].T
        for own_best, own_where, line in zip(best, where, scores, strict=True):
            better = np.flatnonzero(line > own_best[0])  # soon there are few
            if not len(better):
                continue
            both = np.concatenate([own_best, line[better]])
            top = np.argpartition(both, -k)[-k:]
            own_best[:] = both[top]
            own_where[:] = np.concatenate([own_where, better + start])[top]
    return where


def _scores(vectors: Vectors, queries: Vectors, rows: Ids) -> Floats:
    """(q, k) float64 inner products of each query with its own `rows` (q, k)."""
    scores = np.empty(rows.shape)
    for number, (query, own) in enumerate(zip(queries, rows, strict=True)):
        scores[number] = vectors[own].astype(np.float64) @ query.astype(np.float64)
    return scores


def _recall(
    answers: Ids,
    names: Ids,
    vectors: Vectors,
    queries: Vectors,
    least: Floats,
    k: int,
    label: str,
) -> Floats:
    """(q,) the share of the k nearest that each row of `answers` (q, <= k) holds; -1: no answer."""
    order = np.argsort(names, kind="stable")
    place = np.searchsorted(names, answers, sorter=order).clip(max=len(names) - 1)
    rows = order[place]  # (q, <= k)
    missing = answers == -1
    unknown = (names[rows] != answers) & ~missing
    if unknown.any():
        raise UsageError(
            f"{label} answered {answers[unknown][0]}, which is no id of the {len(names)} vectors: "
            "the index was built on others"
        )
    good = (_scores(vectors, queries, rows) >= least[:, None] - TIE_TOLERANCE) & ~missing
    found = np.empty(len(answers))
    for number, (own, right) in enumerate(zip(answers, good, strict=True)):
        found[number] = len(np.unique(own[right]))  # an answer given twice is found once
    return found / k


def _point(setting: Setting, recall: float, p50_ms: float, p95_ms: float) -> IndexPoint:
    """What was measured of `setting`; its interval has no width yet."""
    return IndexPoint(
        family=setting.family,
        parameter=setting.parameter,
        value=setting.value,
        recall=recall,
        recall_low=recall,
        recall_high=recall,
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        bytes_per_vector=setting.bytes_per_vector,
        build_s=setting.build_s,
    )


def _latency_ms(setting: Setting, queries: Vectors, k: int) -> tuple[float, float]:
    """p50 and p95 of the wall time of one query, in milliseconds."""
    timed = queries[:TIMED_QUERIES]
    for query in timed[:WARM_UP]:
        setting.search(query[None], k)
    taken: list[float] = []
    for query in timed:
        started = time.perf_counter()
        setting.search(query[None], k)
        taken.append((time.perf_counter() - started) * 1000)
    p50, p95 = np.percentile(taken, [50, 95])
    return float(p50), float(p95)


def _checked(vectors: Vectors, queries: Vectors, k: int) -> tuple[Vectors, Vectors]:
    """Both as contiguous float32. Raises UsageError."""
    gallery = np.ascontiguousarray(vectors, np.float32)
    asked = np.ascontiguousarray(queries, np.float32)
    if k < 1:
        raise UsageError(f"k is {k}; ask for one neighbour or more")
    for name, rows in (("vectors", gallery), ("queries", asked)):
        if rows.ndim != 2 or not rows.size:
            raise UsageError(f"{name} have shape {rows.shape}; a matrix of rows is needed")
        if not np.isfinite(rows).all():
            raise UsageError(f"{name} hold a number that is not finite")
    if gallery.shape[1] != asked.shape[1]:
        raise UsageError(
            f"queries have {asked.shape[1]} numbers and vectors {gallery.shape[1]}: they come "
            "from different encoders"
        )
    return gallery, asked
