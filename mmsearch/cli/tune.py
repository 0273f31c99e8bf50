"""`mmsearch tune`: choose the index by measuring it on the collection's own vectors."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmsearch.cli import render
from mmsearch.cli.options import CollectionOption, JsonOption, open_collection
from mmsearch.cli.progress import Steps
from mmsearch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmsearch.tuning import Tuning

DECIMAL = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
BINARY = {"kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30, "tib": 2.0**40}
BYTES = DECIMAL | BINARY
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def tune(
    ctx: typer.Context,
    recall: Annotated[
        float, typer.Option(metavar="SHARE", help="How many of the ten nearest must be found.")
    ] = 0.99,
    latency: Annotated[
        str, typer.Option(metavar="TIME", help="Of half of the queries, in the index: 20ms, 0.1s.")
    ] = "10ms",
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of one index at most: 200MB, 2GB. No limit."),
    ] = None,
    to: Annotated[
        Literal["image", "text"] | None,
        typer.Option(help="The index of pictures or of texts alone; otherwise both."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and change nothing.")] = False,
    as_json: JsonOption = False,
    collection: CollectionOption = None,
) -> None:
    """Measure kinds of index on the collection's own vectors, and take the one that fits.

    The simplest that finds enough within the time and the memory is written, and later `index` runs
    keep it; a * marks it. Exact search is the simplest, then one-bit codes, then lists of codes;
    what codes find is scored again on the stored vectors. Run it again when the collection has
    grown fourfold. Without it, mmsearch chooses by its size.

    \b
    Example:
      mmsearch tune --recall 0.99 --memory 2GB --latency 20ms
      mmsearch tune --dry-run --json
    """
    from mmsearch.index.goals import Goals
    from mmsearch.layout import Layout
    from mmsearch.tuning import tune as measure

    goals = Goals(
        recall=recall,
        latency_ms=_amount(latency, MILLISECONDS, "ms", "--latency", "20ms or 0.1s"),
        memory_bytes=None
        if memory is None
        else int(_amount(memory, BYTES, "b", "--memory", "200MB or 2GB")),
    )
    with open_collection(ctx, collection) as opened:
        layout = Layout(opened.path)
    with Steps() as bar:
        tunings = measure(layout, goals, modality=to, apply=not dry_run, on_progress=bar)
    if as_json:
        for tuning in tunings:
            typer.echo(render.to_json(asdict(tuning)))
    else:
        typer.echo("\n\n".join(_table(tuning) for tuning in tunings))


def _amount(text: str, units: Mapping[str, float], bare: str, option: str, example: str) -> float:
    """A number with a unit; without one, of `bare`. Raises UsageError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if found is None or (found[2] or bare) not in units:
        raise UsageError(
            f"{option} {text!r} is no amount: give a number and one of {', '.join(units)}, as in "
            f"{example}"
        )
    return float(found[1]) * units[found[2] or bare]


def _table(tuning: Tuning) -> str:
    header = ("", "recall@10", "p50 ms", "p95 ms", "memory", "build s")
    rows: list[Sequence[str]] = [header]
    for point in tuning.points:
        mark = "*" if point.chosen else " "
        rows.append(
            (
                f"{mark} {point.label}",
                f"{point.recall:.4f}",
                f"{point.p50_ms:.2f}",
                f"{point.p95_ms:.2f}",
                render.size(point.memory_bytes),
                f"{point.build_s:.1f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        f"{tuning.modality}: {tuning.size:,} vectors of {tuning.dim} numbers, {tuning.queries} "
        f"queries, {tuning.threads} thread{'s' * (tuning.threads != 1)}"
    ]
    for first, *others in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:<{widths[0]}}", *cells]))
    lines.append(f"{'in effect' if tuning.applied else 'would be taken'}: {tuning.why}")
    return "\n".join(lines)
