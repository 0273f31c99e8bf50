"""`mmsearch index`: bring a collection up to date with what lies on disk."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmsearch.cli import render
from mmsearch.cli.options import CollectionOption, JsonOption, open_collection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmsearch.types import IndexReport, Progress

BUNDLED_MODEL = "mini"
EXIT_SKIPPED = 3
EXIT_INTERRUPTED = 130
NOTE = "note: "


def index(
    ctx: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Folders, pictures, texts or tables.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="mini, fast, best, multilingual or any open_clip name: `mmsearch models`.",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; the best one there by default.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures encoded at a time.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads that decode pictures.")] = None,
    allow_empty: Annotated[
        bool,
        typer.Option(
            "--allow-empty",
            help="Believe a folder that had files and is empty now: its items go missing.",
        ),
    ] = False,
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
    """
    from mmsearch.scan import Scan

    Scan(paths, Path.cwd())  # a mistyped path must not leave an empty collection behind
    with open_collection(ctx, collection, create=True) as opened:
        with ProgressBar() as bar:
            report = opened.index(
                paths,
                model=model,
                device=device,
                batch_size=batch_size,
                workers=workers,
                allow_empty=allow_empty,
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
    if model == BUNDLED_MODEL and (report.encoded_images or report.encoded_texts):
        again = shlex.join(["mmsearch", "index", *(str(path) for path in paths)])
        typer.echo(
            "note: this is the small bundled model; for full CLIP quality (downloads weights): "
            f"{render.visible(again)} --collection NEW --model best",
            err=True,
        )


class ProgressBar:
    """Draws what a run of `doing` reports: a bar on stderr, or the notes alone if no terminal."""

    def __init__(self, doing: str = "index") -> None:
        self._doing = doing
        self._bar: Any = None  # a tqdm.tqdm, imported on first use
        self._notes: set[str] = set()
        self._on_terminal = sys.stderr.isatty()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, progress: Progress) -> None:
        if progress.step.startswith(NOTE):
            self.note(progress.step.removeprefix(NOTE))
        elif self._on_terminal:
            self._draw(progress)

    def note(self, text: str) -> None:
        """Print `text` on stderr, above the bar, once however often it is said."""
        if text in self._notes:
            return
        self._notes.add(text)
        line = NOTE + render.visible(text)
        if self._bar is None:
            typer.echo(line, err=True)
        else:
            self._bar.write(line, file=sys.stderr)

    def _draw(self, progress: Progress) -> None:
        if self._bar is None:
            from tqdm import tqdm

            # Nothing but words until there is a total to measure against.
            self._bar = tqdm(
                unit=" items", dynamic_ncols=True, file=sys.stderr, leave=False, bar_format="{desc}"
            )
        if progress.step == "commit":
            if progress.total is not None and progress.total != self._bar.total:
                self._bar.total = progress.total
                self._bar.unpause()  # rate and ETA count from the first item, not from the scan
            self._bar.bar_format = None
            self._bar.set_description(self._doing, refresh=False)
            self._bar.update(progress.done - self._bar.n)
        elif progress.step == "scan":
            self._bar.set_description(f"scan: {progress.done} found")
        elif progress.step == "loading model":
            self._bar.set_description(progress.step)
