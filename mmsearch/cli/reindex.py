"""`mmsearch reindex`: move a collection to another model, go back, or free the old one's space."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mmsearch.cli import render
from mmsearch.cli.options import (
    EXIT_INTERRUPTED,
    EXIT_SKIPPED,
    CollectionOption,
    DeviceOption,
    JsonOption,
    PrecisionOption,
    named,
    open_collection,
)
from mmsearch.cli.progress import ProgressBar
from mmsearch.errors import UsageError

if TYPE_CHECKING:
    from mmsearch.collection import Collection
    from mmsearch.types import ReindexReport


def reindex(
    ctx: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The model to move to: `mmsearch models` lists them.",
            parser=named,
        ),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the model before the last reindex.")
    ] = False,
    drop_old: Annotated[
        bool,
        typer.Option(
            "--drop-old", help="Delete the vectors of all models but the one in use; no way back."
        ),
    ] = False,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            help="Move even if some files cannot be read: those pictures are not found until then.",
        ),
    ] = False,
    device: DeviceOption = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures encoded at a time.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads that decode pictures.")] = None,
    precision: PrecisionOption = None,
    as_json: JsonOption = False,
    collection: CollectionOption = None,
) -> None:
    """Move a collection to another model, while it goes on answering with the one that it has.

    Everything is encoded beside the old vectors; then one step switches. A run that was stopped
    goes on where it was. The old vectors stay until --drop-old, so that --rollback takes a moment.

    \b
    Example:
      mmsearch reindex --model best
      mmsearch reindex --rollback
      mmsearch reindex --drop-old
    """
    if sum((model is not None, rollback, drop_old)) != 1:
        raise UsageError("say one of: --model NAME, --rollback, --drop-old")
    if precision is not None and model is None:
        raise UsageError("--precision says how a new model encodes: give it with --model NAME")
    with open_collection(ctx, collection) as opened:
        if drop_old:
            _drop_old(opened, as_json)
            return
        with ProgressBar("reindex") as bar:
            if model is None:
                report = opened.rollback(
                    device=device,
                    batch_size=batch_size,
                    workers=workers,
                    allow_missing=allow_missing,
                    on_progress=bar,
                )
            else:
                report = opened.reindex(
                    model,
                    device=device,
                    batch_size=batch_size,
                    workers=workers,
                    precision=precision,
                    allow_missing=allow_missing,
                    on_progress=bar,
                )
        in_use = opened.status().model
    for note in report.notes:
        bar.note(note)
    typer.echo(render.to_json(asdict(report)) if as_json else _text(report, in_use))
    _exit(report, in_use)


def _drop_old(collection: Collection, as_json: bool) -> None:
    models, freed_bytes = collection.drop_old()
    if as_json:
        typer.echo(render.to_json({"dropped": models, "freed_bytes": freed_bytes}))
    elif models:
        names = ", ".join(render.visible(name) for name in models)
        typer.echo(f"dropped {names}: {render.size(freed_bytes)} freed")
    else:
        typer.echo("nothing to drop: there are only the vectors of the model in use")


def _text(report: ReindexReport, in_use: str | None) -> str:
    work = f"encoded {report.encoded_images} images and {report.encoded_texts} texts"
    if report.adapted:
        work += f", adapted {report.adapted} vectors"
    return "\n".join(
        [
            f"in use: {render.visible(in_use or 'nothing')}",
            *render.failure_lines(report.failures),
            f"{work} in {report.seconds:.1f} s",
        ]
    )


def _exit(report: ReindexReport, in_use: str | None) -> None:
    if report.interrupted:
        typer.echo(
            "interrupted: what was encoded is kept; run the same command again to go on", err=True
        )
        raise typer.Exit(EXIT_INTERRUPTED)
    if not report.switched:
        typer.echo(
            f"error: {len(report.failures)} items cannot be encoded, so the collection stays with "
            f"{render.visible(in_use or 'nothing')}. Bring their files back or run `mmsearch "
            "index` on their folders, then run this again; or go without them: --allow-missing",
            err=True,
        )
        raise typer.Exit(1)
    if report.failures:
        raise typer.Exit(EXIT_SKIPPED)
