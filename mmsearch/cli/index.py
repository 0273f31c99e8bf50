"""`mmsearch index`: bring a collection up to date with what lies on disk."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmsearch.cli import render
from mmsearch.cli.new_collection import made_if_missing
from mmsearch.cli.options import (
    DEFAULT_MODEL,
    EXIT_INTERRUPTED,
    EXIT_SKIPPED,
    AllowUrlOption,
    CollectionOption,
    DeviceOption,
    JsonOption,
    PrecisionOption,
    named,
    named_path,
)
from mmsearch.cli.progress import ProgressBar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmsearch.types import IndexReport


def index(
    ctx: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Folders, pictures, texts or tables.", parser=named_path
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="mini, fast, best, multilingual or any open_clip name: `mmsearch models`.",
            parser=named,
        ),
    ] = None,
    device: DeviceOption = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures encoded at a time.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads that decode pictures.")] = None,
    precision: PrecisionOption = None,
    allow_empty: Annotated[
        bool,
        typer.Option(
            "--allow-empty",
            help="Believe a folder that had files and is empty now: its items go missing.",
        ),
    ] = False,
    allow_url: AllowUrlOption = None,
    as_json: JsonOption = False,
    collection: CollectionOption = None,
) -> None:
    """Add pictures, texts and tables, and whatever changed since the last run.

    Pictures: all that Pillow reads, HEIC and AVIF too. Texts: .txt, and the rows of .csv, .jsonl
    and .parquet. A .txt beside a picture of the same name is its caption. Makes .mmsearch here if
    there is no collection yet.

    \b
    Example:
      mmsearch index ~/Pictures
      mmsearch index products.csv --model best --collection shop.mmsearch
      mmsearch index products.csv --allow-url cdn.example.com
    """
    from mmsearch.scan import Scan

    Scan(paths, Path.cwd())  # a mistyped path must not leave an empty collection behind
    with made_if_missing(ctx, collection) as opened:
        with ProgressBar() as bar:
            report = opened.index(
                paths,
                model=model,
                device=device,
                batch_size=batch_size,
                workers=workers,
                precision=precision,
                allow_empty=allow_empty,
                url_hosts=allow_url or (),
                on_progress=bar,
            )
        used_model = opened.status().model
    for note in report.notes:
        bar.note(note)
    typer.echo(render.to_json(asdict(report)) if as_json else render.index_report(report), nl=True)
    _advise(report, used_model, paths)
    if report.interrupted:
        typer.echo(
            "interrupted: what was committed is kept; run the same command again to go on", err=True
        )
        raise typer.Exit(EXIT_INTERRUPTED)
    if report.failures:
        raise typer.Exit(EXIT_SKIPPED)


def _advise(report: IndexReport, model: str | None, paths: Sequence[Path]) -> None:
    """Say in one line how to get full CLIP quality, if this run used the small bundled model."""
    if model == DEFAULT_MODEL and (report.encoded_images or report.encoded_texts):
        names = [f"./{path}" if str(path).startswith("-") else str(path) for path in paths]
        again = shlex.join(["mmsearch", "index", *names])
        typer.echo(
            "note: this is the small bundled model; for full CLIP quality (downloads weights): "
            f"{render.visible(again)} --collection NEW --model best",
            err=True,
        )
