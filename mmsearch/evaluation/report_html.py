"""One HTML file that says how good a model is, how sure that is, and what it looks like.

It needs nothing beside itself: style, plots and pictures are inside, there is no script, and its
content security policy forbids any request. All that comes from a dataset is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

import mmsearch
from mmsearch.errors import UsageError
from mmsearch.evaluation.report.charts import charts, index_chart
from mmsearch.evaluation.report.figures import figures_table, pairs_table, tiles
from mmsearch.evaluation.report.groups import Group, grouped
from mmsearch.evaluation.report.markup import Markup, element, join
from mmsearch.evaluation.report.queries import query_sections
from mmsearch.evaluation.report.tables import (
    anchors_table,
    classes_table,
    facts_table,
    folded,
    index_table,
)
from mmsearch.evaluation.report.thumbnails import Thumbnails
from mmsearch.evaluation.report.words import definitions, method

if TYPE_CHECKING:
    from mmsearch.evaluation.ground_truth import IndexCurve
    from mmsearch.evaluation.result import Evaluation
    from mmsearch.types import OnProgress

QUERIES_SHOWN = 6  # of the worst and of the best each
TITLE = "Retrieval evaluation"


def render_report(
    evaluations: Sequence[Evaluation],
    curve: IndexCurve | None = None,
    *,
    title: str = TITLE,
    queries_shown: int = QUERIES_SHOWN,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> str:
    """The report as one HTML document, to be written as UTF-8.

    Evaluations of the same queries stand side by side with tests between them; others follow in
    sections of their own. Pictures that cannot be read are named in the report. Raises UsageError
    when there is nothing to report, and as `statistics` does.
    """
    if not evaluations and curve is None:
        raise UsageError("nothing to report: give an evaluation or an index curve")
    groups = grouped(evaluations, seed, on_progress)
    thumbnails = Thumbnails()
    sections = [
        _group(group, thumbnails, queries_shown, opened=number == 0)
        for number, group in enumerate(groups)
    ]
    if curve is not None:
        sections.append(_index(curve))
    if groups:
        sections += [definitions(groups), method(groups)]
    if thumbnails.failures:
        sections.append(_failures(thumbnails.failures))
    header = element(
        "header",
        element("p", "mmsearch", class_="brand"),
        element("h1", title),
        _contents(groups, curve),
        class_="page",
    )
    footer = element("footer", f"Written by mmsearch {mmsearch.__version__}.")
    return _document(title, join(header, element("main", *sections), footer))


def _contents(groups: Sequence[Group], curve: IndexCurve | None) -> Markup:
    links = [
        element("li", element("a", f"{group.title}: {group.place}", href=f"#{group.key}"))
        for group in groups
    ]
    if curve is not None:
        links.append(element("li", element("a", "Index: recall against latency", href="#index")))
    if groups:
        links.append(element("li", element("a", "Definitions", href="#definitions")))
        links.append(element("li", element("a", "Method", href="#method")))
    return element("nav", element("ul", *links), aria_label="Contents")


def _group(group: Group, thumbnails: Thumbnails, shown: int, *, opened: bool) -> Markup:
    first = group.first
    queries, gallery = f"{len(first.queries):,}", f"{first.gallery_size:,}"
    lead = f"{group.place} \u00b7 {queries} queries in a gallery of {gallery}"
    parts: list[Markup | None] = [
        element("h2", group.title),
        element("p", lead, class_="lead"),
        _warnings(group),
    ]
    if len(group.runs) == 1:
        parts.append(tiles(group.runs[0]))
    board = "board" if len(group.runs) == 1 else None  # a narrow table has room beside it
    parts.append(element("div", figures_table(group), charts(group), class_=board or "stack"))
    if group.significance is not None:
        parts.append(pairs_table(group.significance))
    parts.append(anchors_table(first))
    parts += [classes_table(run) for run in group.runs]
    for run in group.runs:
        cards = query_sections(run.evaluation, thumbnails, shown, open_=opened)
        opened = False
        if cards:
            parts.append(element("section", element("h3", f"Queries of {run.label}"), cards))
    parts.append(facts_table(group))
    return element("section", *parts, id=group.key, class_="part")


def _warnings(group: Group) -> Markup | None:
    said: dict[str, list[str]] = {}
    for run in group.runs:
        for warning in run.evaluation.warnings:
            said.setdefault(warning, []).append(run.label)
    if not said:
        return None
    items = []
    for warning, labels in said.items():
        whose = "" if len(labels) == len(group.labels) else f"{', '.join(labels)}: "
        items.append(element("li", f"{whose}{warning}"))
    heading = element("h3", "Warning" if len(said) == 1 else "Warnings")
    return element("aside", heading, element("ul", *items), class_="warnings")


def _index(curve: IndexCurve) -> Markup:
    return element(
        "section",
        element("h2", "Index: recall against latency"),
        element("p", f"{curve.title()}.", class_="lead"),
        *(element("p", f"{note}.") for note in curve.notes),
        element("div", index_chart(curve), class_="plots"),
        index_table(curve),
        id="index",
        class_="part",
    )


def _failures(failures: dict[str, str]) -> Markup:
    reasons = element("ul", *(element("li", reason) for reason in failures.values()))
    return folded(f"Pictures that could not be shown: {len(failures)}", "", reasons)


def _document(title: str, body: Markup) -> str:
    """`body` in a page that may load nothing: the one style sheet is allowed by its hash."""
    style = files("mmsearch.evaluation.report").joinpath("style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Markup(style)),
    )
    return "<!DOCTYPE html>\n" + element("html", head, element("body", body), lang="en") + "\n"
