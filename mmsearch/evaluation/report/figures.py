"""The figures of a group as tables: values with intervals, marks, and the tests behind them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mmsearch.evaluation.measures import DEFINITIONS
from mmsearch.evaluation.report.markup import Markup, element, join
from mmsearch.evaluation.report.plots import interval_bar
from mmsearch.evaluation.report.tables import folded, plain_table, scrolled
from mmsearch.evaluation.result import MEDIAN_RANK

if TYPE_CHECKING:
    from mmsearch.evaluation.report.groups import Group, Run
    from mmsearch.evaluation.statistics import Significance

TILES = ("hit@1", "hit@10", "AP", "nDCG@10", "accuracy", MEDIAN_RANK)


def mean_name(measure: str) -> str:
    """What the figure over all queries is called: mAP@10 for AP@10."""
    base, at, cut = measure.partition("@")
    definition = DEFINITIONS.get(base)
    return (definition.mean_name if definition else base) + at + cut


def shown(measure: str, value: float) -> str:
    """Three digits for a share, one for a rank; infinity as it is written."""
    if math.isinf(value):
        return "\u221e"
    return f"{value:.1f}".removesuffix(".0") if measure == MEDIAN_RANK else f"{value:.3f}"


def tiles(run: Run) -> Markup:
    """The few figures that one asks for first, large."""
    cards = []
    for measure in TILES:
        interval = run.intervals.get(measure)
        if interval is None:
            continue
        cards.append(
            element(
                "div",
                element("dt", mean_name(measure)),
                element("dd", shown(measure, interval.estimate), class_="figure"),
                element("dd", _range(measure, interval.low, interval.high), class_="range"),
            )
        )
    return element("dl", *cards[:4], class_="tiles")


def figures_table(group: Group) -> Markup:
    """A row per measure and a column per run: value, interval, and whom it beats."""
    several = group.significance is not None
    letters = group.significance.letters() if group.significance else {}
    head: list[Markup] = [element("th", "Measure", scope="col")]
    for run in group.runs:
        letter = element("span", letters[run.label], class_="letter") if several else None
        name = join(run.label, " " if several else None, letter)
        head.append(element("th", name, scope="col"))
    body = [_row(group, measure) for measure in group.measures]
    body += _macro_rows(group)
    table = element(
        "table",
        element("thead", element("tr", *head)),
        element("tbody", *body),
        class_="figures" if several else "figures single",
    )
    note = "Beside each figure its 95 % confidence interval over queries, drawn from 0 to 1."
    if group.significance is not None:
        note += (
            " A letter behind a figure: significantly better than the run of that letter "
            f"(paired randomisation test, Holm, p < {group.significance.alpha:g}). Bold: the best."
        )
    if any(name.startswith("hit@") for name in group.measures):
        note += " hit@k is what papers on CLIP call R@k."
    heading = element("h3", "Figures")
    caption = element("p", note, class_="caption")
    return element("section", heading, scrolled(table, "Figures"), caption)


def _row(group: Group, measure: str) -> Markup:
    smaller = measure == MEDIAN_RANK
    values = [run.intervals[measure].estimate for run in group.runs if measure in run.intervals]
    best = (min if smaller else max)(values)
    cells = []
    for number, run in enumerate(group.runs):
        interval = run.intervals.get(measure)
        if interval is None:
            cells.append(element("td", "\u2013", class_="number"))
            continue
        value = shown(measure, interval.estimate)
        leads = len(group.runs) > 1 and interval.estimate == best
        mark = _mark(group.significance, measure, run.label)
        bar = None
        if not smaller:
            bar = interval_bar(interval.low, interval.estimate, interval.high, series=number)
        cells.append(
            element(
                "td",
                element(
                    "div",
                    element("span", element("b", value) if leads else value, mark, class_="figure"),
                    element("span", _range(measure, interval.low, interval.high), class_="range"),
                    bar,
                    class_="cell",
                ),
                class_="number",
            )
        )
    return element("tr", element("th", mean_name(measure), scope="row"), *cells)


def _mark(significance: Significance | None, measure: str, label: str) -> Markup | None:
    beaten = significance.marks(measure, label) if significance else ""
    if not beaten:
        return None
    said = f"significantly better than {beaten.replace(',', ', ')}"
    return element("sup", beaten, title=said, class_="letter")


def _macro_rows(group: Group) -> list[Markup]:
    """Figures over classes have no value per query, so no interval."""
    figures = [run.evaluation.figures for run in group.runs]
    names = dict.fromkeys(name for one in figures for name in one if name not in group.measures)
    rows = []
    for name in names:
        cells = []
        for one in figures:
            value = shown(name, one[name]) if name in one else "\u2013"
            figure = element("span", value, class_="figure")
            cells.append(element("td", figure, class_="number"))
        rows.append(element("tr", element("th", name, scope="row"), *cells))
    return rows


def _range(measure: str, low: float, high: float) -> str:
    if low == high:
        return "no spread" if measure != MEDIAN_RANK else f"{shown(measure, low)} throughout"
    return f"{shown(measure, low)} \u2013 {shown(measure, high)}"


def pairs_table(significance: Significance) -> Markup:
    """Every test behind the letters, folded away."""
    letters = significance.letters()
    rows: list[tuple[Markup | str, ...]] = []
    for pair in significance.pairs:
        one = pair.comparison
        adjusted: Markup | str = _p(pair.adjusted_p)
        rows.append(
            (
                mean_name(pair.measure),
                f"{letters[pair.second]} \u2212 {letters[pair.first]}",
                f"{one.difference.estimate:+.3f}",
                f"{one.difference.low:+.3f} to {one.difference.high:+.3f}",
                "\u2013" if one.effect_size is None else f"{one.effect_size:+.2f}",
                _p(one.p_value),
                element("b", adjusted) if pair.adjusted_p < significance.alpha else adjusted,
            )
        )
    head = ("Measure", "Runs", "Difference", "95 % CI", "d_z", "p", "p (Holm)")
    table = plain_table("Paired tests", head, rows)
    return folded("Paired tests", f"{len(rows)}, each second run minus first", table)


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"
