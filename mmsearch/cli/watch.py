"""`mmsearch watch`: keep a collection in step with folders as files come and go."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmsearch.cli import render
from mmsearch.cli.new_collection import made_if_missing
from mmsearch.cli.options import (
    AllowUrlOption,
    CollectionOption,
    DeviceOption,
    JsonOption,
    named,
    named_path,
)
from mmsearch.cli.progress import ProgressBar

if TYPE_CHECKING:
    from mmsearch.types import IndexReport
    from mmsearch.watching.watch import Event


def watch(
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
            help="For a new collection; `mmsearch models` lists them.",
            parser=named,
        ),
    ] = None,
    device: DeviceOption = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures encoded at a time.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads that decode pictures.")] = None,
    poll: Annotated[
        bool,
        typer.Option(
            "--poll", help="Look at all files again and again, for drives that tell of no change."
        ),
    ] = False,
    allow_url: AllowUrlOption = None,
    as_json: JsonOption = False,
    collection: CollectionOption = None,
) -> None:
    """Index folders, then again whenever files come, change or go, until it is stopped.

    Ctrl-C or SIGTERM ends it after the batch that is under way, with exit code 0. A file that
    cannot be read is a line; a folder that is unplugged is left out until it is back; while
    another process writes to the collection it waits. Queries are answered meanwhile.

    \b
    Example:
      mmsearch watch ~/Pictures
      mmsearch watch products.csv photos/ --collection shop.mmsearch --json
      mmsearch watch /mnt/nas/photos --poll
    """
    from mmsearch.scan import Scan
    from mmsearch.watching.watch import watch as events_of

    Scan(paths, Path.cwd())  # a mistyped path must not leave an empty collection behind
    stop = threading.Event()
    with (
        made_if_missing(ctx, collection) as opened,
        _stopping(stop),
        ProgressBar("watch") as bar,
    ):
        for event in events_of(
            opened,
            paths,
            stop=stop,
            poll=poll,
            on_progress=bar,
            model=model,
            device=device,
            batch_size=batch_size,
            workers=workers,
            url_hosts=allow_url or (),
        ):
            typer.echo(_event_json(event) if as_json else _event_text(event))
            sys.stdout.flush()
    typer.echo("stopped", err=True)


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """The first SIGINT or SIGTERM sets `stop`; a second one does what it always does."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def on_signal(number: int, frame: Any) -> None:
        stop.set()
        restore()

    for number in signals:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        restore()


def _event_json(event: Event) -> str:
    fields: dict[str, Any] = {"event": event.kind, "roots": [str(root) for root in event.roots]}
    if event.message:
        fields["message"] = event.message
    if event.report is not None:
        fields["report"] = asdict(event.report)
    return render.to_json(fields)


def _event_text(event: Event) -> str:
    roots = ", ".join(render.visible(render.near(root)) for root in event.roots)
    if event.report is not None:
        return f"{_now()}  {_report(event.report)}"
    if event.kind == "watching":
        return f"{_now()}  watching {roots}"
    if event.kind == "available":
        return f"{_now()}  {roots}: back"
    return f"{_now()}  {event.kind}: {render.visible(event.message)}"


def _report(report: IndexReport) -> str:
    counts = [
        f"{name} {count}"
        for name, count in (
            ("added", report.added),
            ("changed", report.changed),
            ("moved", report.moved),
            ("returned", report.returned),
            ("missing", report.missing),
            ("failed", len(report.failures)),
        )
        if count
    ]
    line = f"indexed: {', '.join(counts) or 'nothing new'}, in {report.seconds:.1f} s"
    return "\n".join([line, *render.failure_lines(report.failures)])


def _now() -> str:
    return time.strftime("%H:%M:%S")
