"""The plots of the report: what goes on their axes and in their descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.evaluation.report.markup import Markup, element
from mmsearch.evaluation.report.plots import (
    Axis,
    Heading,
    Series,
    legend,
    line_plot,
    linear_axis,
    log_axis,
    step_plot,
)
from mmsearch.evaluation.statistics import bootstrap_intervals

if TYPE_CHECKING:
    from mmsearch.evaluation.ground_truth import IndexCurve, IndexPoint
    from mmsearch.evaluation.report.groups import Group, Run

HIT_DEPTH = 100
BANDED_RUNS = 3  # more bands than that hide each other
BINS = 20
LEVELS = np.arange(11) / 10  # of recall, as Evaluation.precision_at_recall has them
HISTOGRAM_OF = ("AP", "nDCG", "RR", "accuracy")


def charts(group: Group) -> Markup:
    """hit@k, precision against recall, and how a measure is spread over the queries.

    With one relevant item for each query precision is the same at every recall, the MRR: a flat
    line is not drawn.
    """
    flat = all(np.ptp(run.evaluation.precision_at_recall) == 0 for run in group.runs)
    curve = None if flat else _precision_recall(group)
    return element("div", _hit_curve(group), curve, _histogram(group), class_="plots")


def _figure(plot: Markup, title: str, note: str, key: Markup) -> Markup:
    caption = element("figcaption", element("b", title), f" {note}")
    return element("figure", caption, key, plot)


def _hit_curve(group: Group) -> Markup:
    depth = min(HIT_DEPTH, group.first.gallery_size)
    cuts = np.unique(np.geomspace(1, depth, 40).round().astype(int))
    banded = len(group.runs) <= BANDED_RUNS
    series = [_hits(run, cuts, banded=banded) for run in group.runs]
    said = "; ".join(
        f"{one.label}: " + ", ".join(f"hit@{one.x[i]:.0f} {one.y[i]:.3f}" for i in _some(one.x))
        for one in series
    )
    note = "share of queries with a right answer among the first k."
    if banded:
        note += " Shaded: 95 % interval."
    plot = line_plot(
        Heading(f"{group.key}-hits", "hit@k", said),
        log_axis("k", 1, max(depth, 2)),
        _share_axis("hit@k"),
        series,
    )
    return _figure(plot, "hit@k:", note, legend(group.labels))


def _hits(run: Run, cuts: np.ndarray, *, banded: bool) -> Series:
    first = run.evaluation.first_relevant  # (q,)
    values = {str(cut): (first <= cut).astype(np.float64) for cut in cuts.tolist()}
    band: tuple[tuple[float, float], ...] = ()
    if banded:
        ends = bootstrap_intervals(values, run.evaluation.clusters, resamples=1999)
        band = tuple((ends[name].low, ends[name].high) for name in values)
    heights = tuple(float(one.mean()) for one in values.values())
    return Series(run.label, tuple(map(float, cuts)), heights, band)


def _some(x: Sequence[float]) -> list[int]:
    """The positions nearest to 1, 10 and 100, for a description."""
    return sorted({int(np.abs(np.array(x) - wanted).argmin()) for wanted in (1, 10, 100)})


def _precision_recall(group: Group) -> Markup:
    series = [
        Series(
            run.label,
            tuple(LEVELS.tolist()),
            tuple(run.evaluation.precision_at_recall.tolist()),
            markers=len(group.runs) <= BANDED_RUNS,
        )
        for run in group.runs
    ]
    said = "; ".join(
        f"{one.label}: precision {one.y[0]:.3f} at recall 0, {one.y[5]:.3f} at 0.5, "
        f"{one.y[10]:.3f} at 1"
        for one in series
    )
    plot = line_plot(
        Heading(f"{group.key}-precision", "Precision against recall", said),
        _share_axis("recall"),
        _share_axis("precision"),
        series,
    )
    note = "interpolated at 11 levels, mean over queries."
    return _figure(plot, "Precision and recall:", note, legend(group.labels))


def _histogram(group: Group) -> Markup | None:
    measure = next((name for name in HISTOGRAM_OF if name in group.measures), None)
    if measure is None:
        return None
    edges = np.linspace(0, 1, BINS + 1)
    series = []
    for run in group.runs:
        values = run.evaluation.measures.get(measure)
        if values is not None:
            counts, _ = np.histogram(values, edges)
            shares = counts / len(values) * 100
            series.append(Series(run.label, tuple(edges.tolist()), tuple(shares.tolist())))
    most = max(max(one.y) for one in series)
    said = "; ".join(
        f"{one.label}: {one.y[0]:.0f} % of the queries below {edges[1]:.2f}, "
        f"{one.y[-1]:.0f} % from {edges[-2]:.2f} up"
        for one in series
    )
    plot = step_plot(
        Heading(f"{group.key}-spread", f"{measure} over the queries", said),
        _share_axis(f"{measure} of a query"),
        linear_axis("% of queries", 0, most * 1.04),
        series,
    )
    note = f"share of the queries in each of {BINS} bins."
    return _figure(plot, f"Spread of {measure}:", note, legend([one.label for one in series]))


def index_chart(curve: IndexCurve) -> Markup:
    """Recall against the latency of one query, a line for each family of index."""
    families: dict[str, list[IndexPoint]] = {}
    for point in curve.points:
        families.setdefault(point.family, []).append(point)
    series = [_family(name, points, curve.k) for name, points in families.items()]
    lowest = min(point.recall for point in curve.points)
    latencies = [point.p50_ms for point in curve.points]
    said = "; ".join(
        f"{one.label}: recall {one.y[0]:.3f} in {one.x[0]:.3f} ms to {one.y[-1]:.3f} in "
        f"{one.x[-1]:.3f} ms"
        for one in series
    )
    plot = line_plot(
        Heading("index-curve", "Recall against latency", said),
        log_axis("p50 of one query, ms", min(latencies) / 1.15, max(latencies) * 1.15),
        linear_axis(f"recall@{curve.k}", min(0.95, int(lowest * 10) / 10), 1.0),
        series,
    )
    note = "up and to the left is better. Points along a line: the search parameter."
    return _figure(plot, "Recall and latency:", note, legend(list(families), markers=True))


def _family(name: str, points: Sequence[IndexPoint], k: int) -> Series:
    return Series(
        name,
        tuple(point.p50_ms for point in points),
        tuple(point.recall for point in points),
        notes=tuple(
            f"{point.label}: recall@{k} {point.recall:.4f}, {point.p50_ms:.3f} ms"
            for point in points
        ),
        markers=True,
    )


def _share_axis(label: str) -> Axis:
    return linear_axis(label, 0.0, 1.0)
