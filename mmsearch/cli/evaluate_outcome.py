"""What comes of an evaluation: the table, the files, and the verdict of a gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mmsearch.cli import render
from mmsearch.cli.options import EXIT_SKIPPED
from mmsearch.cli.progress import Steps

if TYPE_CHECKING:
    from mmsearch.evaluation.measure import Measured
    from mmsearch.evaluation.result import Evaluation


@dataclass(frozen=True)
class Outputs:
    """Where results go beside the table."""

    as_json: bool
    markdown: bool
    save: Path | None
    html: Path | None
    export_run: Path | None
    depth: int


@dataclass(frozen=True)
class Gate:
    """The file of the baseline, what stood in it before anything was written, and the fall that
    is still let through (None: any)."""

    path: Path
    baseline: Sequence[Mapping[str, Any]]
    fail_below: float | None


def finish(
    measured: list[Measured], evaluations: list[Evaluation], outputs: Outputs, gate: Gate | None
) -> None:
    """Print, write and judge. Raises typer.Exit for what is not a plain success."""
    _print(evaluations, outputs)
    # Figures that fell must not become the baseline of the next run.
    renew = gate and outputs.save and outputs.save.resolve() == gate.path.resolve()
    _write(measured, evaluations, replace(outputs, save=None) if renew else outputs)
    if gate is not None:
        _judge(evaluations, gate)
    if renew and outputs.save:
        _save(evaluations, outputs.save)
    if any(one.task.unanswered or one.failed for one in measured):
        raise typer.Exit(EXIT_SKIPPED)


def _print(evaluations: list[Evaluation], outputs: Outputs) -> None:
    from mmsearch.evaluation import table
    from mmsearch.evaluation.report.groups import grouped

    with Steps() as steps:
        groups = grouped(evaluations, 0, steps)
    if outputs.as_json:
        for one in (one for group in groups for one in table.json_objects(group)):
            typer.echo(render.to_json(one))
        return
    form = table.markdown if outputs.markdown else table.terminal
    text = "\n\n".join(form(group) for group in groups)
    typer.echo("\n".join(render.visible(line) for line in text.split("\n")))


def _write(measured: list[Measured], evaluations: list[Evaluation], outputs: Outputs) -> None:
    from mmsearch.evaluation.files import write_file

    if outputs.save is not None:
        _save(evaluations, outputs.save)
    if outputs.html is not None:
        from mmsearch.evaluation.report_html import render_report

        with Steps() as steps:
            page = render_report(evaluations, on_progress=steps)
        write_file(outputs.html, page.encode())
        tell(outputs.html)
    if outputs.export_run is not None:
        from mmsearch.evaluation.measure import write_runs

        tell(*write_runs(measured, outputs.export_run, outputs.depth))


def _save(evaluations: list[Evaluation], path: Path) -> None:
    from mmsearch.evaluation.files import write_file

    lines = [render.to_json(one.to_json()) for one in evaluations]
    write_file(path, ("[" + ",\n".join(lines) + "]\n").encode())
    tell(path)


def tell(*files: Path) -> None:
    """Name files that were written."""
    for file in files:
        typer.echo(render.visible(f"wrote {file}"), err=True)


def _judge(evaluations: list[Evaluation], gate: Gate) -> None:
    from mmsearch.evaluation.gate import against_baseline

    changes = against_baseline(evaluations, gate.baseline, gate.fail_below or 0.0)
    fallen = [change for change in changes if change.fell]
    for change in changes if gate.fail_below is None else fallen:
        typer.echo(render.visible(str(change)), err=True)
    if gate.fail_below is None:
        return
    if fallen:
        typer.echo(
            f"{len(fallen)} of {len(changes)} figures fell more than {gate.fail_below:g} below "
            f"{render.visible(str(gate.path))}",
            err=True,
        )
        raise typer.Exit(1)
    typer.echo(f"none of {len(changes)} figures fell more than {gate.fail_below:g}", err=True)
