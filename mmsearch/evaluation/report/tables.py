"""Tables of the report that are rows of a name and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mmsearch.evaluation.report.markup import Markup, Node, element

if TYPE_CHECKING:
    from mmsearch.evaluation.ground_truth import IndexCurve
    from mmsearch.evaluation.report.groups import Group, Run
    from mmsearch.evaluation.result import Evaluation


def scrolled(table: Markup, label: str) -> Markup:
    """`table` in a box that scrolls sideways on a narrow screen, by keyboard too."""
    return element("div", table, class_="scroll", role="region", aria_label=label, tabindex="0")


def folded(title: str, note: str, *content: Node) -> Markup:
    """`content` under a line that opens it."""
    summary = element("summary", element("h4", title), element("span", note))
    return element("details", summary, *content)


def plain_table(label: str, head: Sequence[str], rows: Iterable[Sequence[Node]]) -> Markup:
    """The first cell of each row names it; the others are numbers or short words."""
    names = [element("th", name, scope="col") for name in head]
    body = []
    for name, *values in rows:
        cells = [element("td", value, class_="number") for value in values]
        body.append(element("tr", element("th", name, scope="row"), *cells))
    table = element(
        "table",
        element("thead", element("tr", *names)),
        element("tbody", *body),
        class_="plain",
    )
    return scrolled(table, label)


def anchors_table(evaluation: Evaluation) -> Markup | None:
    """What was published on the same set, for comparison."""
    if not evaluation.anchors:
        return None
    names = list(dict.fromkeys(name for one in evaluation.anchors for name in one.figures))
    rows = []
    for one in evaluation.anchors:
        values = [f"{one.figures[name]:.3f}" if name in one.figures else "" for name in names]
        rows.append((one.model, *values, f"{one.source}, {one.year}"))
    title = "Published on this set"
    table = plain_table(title, ("Model", *names, "Source"), rows)
    return element("section", element("h3", title), table)


def classes_table(run: Run) -> Markup | None:
    """Zero-shot figures by class, folded away."""
    classes = run.evaluation.classes
    if not classes:
        return None
    rows = [
        (
            one.label,
            f"{one.support:,}",
            f"{one.predicted:,}",
            *(f"{value:.3f}" for value in (one.precision, one.recall, one.f1)),
        )
        for one in classes
    ]
    title = f"Classes of {run.label}"
    head = ("Class", "Items", "Predicted", "Precision", "Recall", "F1")
    return folded(title, f"{len(classes)} classes", plain_table(title, head, rows))


def index_table(curve: IndexCurve) -> Markup:
    """Every setting of the curve."""
    head, *rows = curve.rows()
    return plain_table("Settings of the index", head, rows)


def facts_table(group: Group) -> Markup:
    """All that pins the figures: what differs between the runs in columns, the rest once."""
    members = [run.evaluation for run in group.runs]
    rows: list[Markup] = []

    def row(name: str, values: list[str]) -> None:
        if not any(values):
            return
        if len(set(values)) == 1:
            cells = [element("td", values[0], colspan=len(values))]
        else:
            cells = [element("td", value) for value in values]
        rows.append(element("tr", element("th", name, scope="row"), *cells))

    row("Dataset", [one.dataset for one in members])
    row("Split", [one.split or "none" for one in members])
    row("Direction", [one.direction for one in members])
    row("Queries", [f"{len(one.queries):,}" for one in members])
    row("Clusters of queries", [f"{len(set(one.clusters)):,}" for one in members])
    row("Gallery", [f"{one.gallery_size:,}" for one in members])
    row("Model", [one.model for one in members])
    row("Fingerprint", [one.fingerprint for one in members])
    row("Preprocess", [one.preprocess for one in members])
    row("Index", [one.index_kind for one in members])
    row("Ties", [one.tie_rule for one in members])
    for step in dict.fromkeys(step for one in members for step in one.seconds):
        times = [f"{one.seconds[step]:.2f} s" if step in one.seconds else "" for one in members]
        row(f"Time to {step}", times)
    head = None
    if len(members) > 1:
        names = [element("th", label, scope="col") for label in group.labels]
        head = element("thead", element("tr", element("td"), *names))
    table = element("table", head, element("tbody", *rows), class_="facts")
    title = "What was measured"
    return element("section", element("h3", title), scrolled(table, title))
