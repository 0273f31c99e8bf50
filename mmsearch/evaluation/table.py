"""Evaluations as a table for the terminal or in Markdown, with all that pins the figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mmsearch.evaluation.anchors import published_name
from mmsearch.evaluation.measures import parse_measure
from mmsearch.evaluation.result import MEDIAN_RANK
from mmsearch.evaluation.statistics import CONFIDENCE

if TYPE_CHECKING:
    from mmsearch.evaluation.report.groups import Group, Run

WORST_CLASSES = 10


def terminal(group: Group) -> str:
    """Aligned columns, one per model, under the facts that pin them."""
    rows = [("", *group.labels), *_rows(group)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    facts = [f"  {line}" for line in _facts(group)]
    return "\n".join([_title(group), *facts, *table, *_notes(group), *_classes(group)])


def markdown(group: Group) -> str:
    """The same as a Markdown section."""
    header = ("measure", *group.labels)
    ruler = ("---", *("---:" for _ in group.labels))
    rows = [header, ruler, *_rows(group)]
    table = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    facts = [f"- {line}" for line in _facts(group)]
    notes = [f"\n{line}" for line in _notes(group)]
    classes = _classes(group)
    listing = ["", "```", *classes, "```"] if classes else []
    return "\n".join([f"### {_title(group)}", "", *facts, "", *table, *notes, *listing])


def json_objects(group: Group) -> list[dict[str, Any]]:
    """One object a run, without its queries: figures, their intervals, and which runs it beats."""
    objects = []
    for run in group.runs:
        plain = run.evaluation.to_json(per_query=False)
        plain["intervals"] = {
            name: [_finite(one.low), _finite(one.high)] for name, one in run.intervals.items()
        }
        if group.significance is not None:
            named = {letter: label for label, letter in group.significance.letters().items()}
            marks = {m: group.significance.marks(m, run.label) for m in run.evaluation.measures}
            plain["better_than"] = {
                name: [named[letter] for letter in letters.split(",")]
                for name, letters in marks.items()
                if letters
            }
        objects.append(plain)
    return objects


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _title(group: Group) -> str:
    split = "" if group.first.split is None else f" {group.first.split}"
    return f"{group.first.dataset}{split}, {group.first.direction}"


def _facts(group: Group) -> list[str]:
    lines = []
    for run in group.runs:
        one = run.evaluation
        parts = [f"{len(one.queries)} queries, gallery of {one.gallery_size}"]
        if one.fingerprint:
            parts.append(f"fingerprint {one.fingerprint}")
        if one.preprocess:
            parts.append(one.preprocess)
        parts.append(f"index: {one.index_kind}")
        lines.append(f"{run.label}: " + ", ".join(parts))
    return [*lines, f"ties: {group.first.tie_rule}"]


def _rows(group: Group) -> list[tuple[str, ...]]:
    figures = [run.evaluation.figures for run in group.runs]
    names = dict.fromkeys(name for one in figures for name in one)
    return [
        (
            mean_name(name),
            *(
                _cell(group, run, name, one.get(name))
                for run, one in zip(group.runs, figures, strict=True)
            ),
        )
        for name in names
    ]


def _cell(group: Group, run: Run, name: str, value: float | None) -> str:
    if value is None:
        return "-"
    digits = 1 if name == MEDIAN_RANK else 3
    text = f"{value:.{digits}f}"
    if name in run.intervals and not run.intervals[name].degenerate:
        one = run.intervals[name]
        text += f" [{one.low:.{digits}f}, {one.high:.{digits}f}]"
    if group.significance is not None and name != MEDIAN_RANK:
        marks = group.significance.marks(name, run.label)
        text += f" >{marks}" if marks else ""
    return text


def mean_name(measure: str) -> str:
    """What the figure over all queries is called: mAP@10 for AP@10."""
    base = measure.partition("@")[0]
    if base not in ("AP", "RR"):
        return measure
    return parse_measure(measure).mean_name


def _notes(group: Group) -> list[str]:
    first = group.first
    lines = []
    if any(name.startswith("hit@") for name in first.measures):
        lines.append("hit@k: a right item among the first k; what CLIP papers call R@k.")
    if any(name.startswith("AP@") for name in first.measures):
        lines.append("mAP@k divides by all relevant items, as trec_eval does.")
    shared = len(set(first.clusters)) < len(first.queries)
    how = "queries of one picture drawn together" if shared else "over queries"
    lines.append(f"[a, b]: {CONFIDENCE:.0%} bootstrap interval, {how}.")
    if group.significance is not None:
        named = group.significance.letters().items()
        letters = ", ".join(f"{letter} = {label}" for label, letter in named)
        lines.append(
            f">x: better than x at p < {group.significance.alpha:g}, paired randomisation test, "
            f"Holm; {letters}."
        )
    lines += [f"note: {text}" for text in _warnings(group)]
    if first.anchors:
        lines.append(f"This is {published_name(first)}. Published for it:")
        for anchor in first.anchors:
            figures = ", ".join(f"{mean_name(m)} {v:.3f}" for m, v in anchor.figures.items())
            lines.append(f"  {anchor.model}: {figures} ({anchor.source}, {anchor.year})")
    return lines


def _warnings(group: Group) -> list[str]:
    """Those of all runs once, those of some with the run's name."""
    common = set.intersection(*(set(run.evaluation.warnings) for run in group.runs))
    lines = [text for text in group.first.warnings if text in common]
    for run in group.runs:
        lines += [f"{run.label}: {text}" for text in run.evaluation.warnings if text not in common]
    return lines


def _classes(group: Group) -> list[str]:
    lines: list[str] = []
    for run in group.runs:
        classes = run.evaluation.classes
        if not classes:
            continue
        worst = sorted(classes, key=lambda c: (c.f1, c.label))[:WORST_CLASSES]
        width = max(len(c.label) for c in worst)
        lines.append(f"{run.label}: the {len(worst)} of {len(classes)} classes with the least F1")
        lines += [
            f"  {c.label:<{width}}  precision {c.precision:.3f}  recall {c.recall:.3f}  "
            f"F1 {c.f1:.3f}  of {c.support}"
            for c in worst
        ]
    return lines
