"""The options that several commands share, and the collection that they name."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from mmsearch.cli.place import terminal_width

if TYPE_CHECKING:
    from mmsearch.collection import Collection

DEFAULT_MODEL = "mini"  # the bundled one
EXIT_SKIPPED = 3  # done, but for what is named
EXIT_INTERRUPTED = 130  # 128 + SIGINT, what shells report


def named(given: str) -> str:
    """The name of a file or a folder. Raises BadParameter for an empty one (`"$UNSET"`), which
    would be the working directory."""
    if not given:
        raise typer.BadParameter("the name is empty")
    return given


def named_path(given: str) -> Path:
    """As `named`, for every argument that is a path."""
    return Path(named(given))


def device_name(given: str) -> str:
    """The name of a device. Raises UsageError for what none is called, before torch is loaded."""
    from mmsearch.encoders.devices import require_device

    require_device(given)
    return given


CollectionOption = Annotated[
    Path | None,
    typer.Option(
        "--collection",
        metavar="DIR",
        help="Use this collection (also before the command).",
        parser=named_path,
    ),
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16", "int8"] | None,
    typer.Option(
        help="In which pictures are encoded; auto: the fastest that a trial on this machine finds "
        "faithful. The collection keeps it. fp32 by default (CUDA: bf16)."
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="cpu, cuda, cuda:1 or mps; the best one there by default.",
        parser=device_name,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]

AllowUrlOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-url",
        metavar="HOST",
        help="Fetch pictures that tables name by URL from this host; may be given several times. "
        "cdn.example.com, *.example.com or example.com:8080.",
    ),
]


def open_collection(ctx: typer.Context, named: Path | None, *, create: bool = False) -> Collection:
    """The collection that the command line names, or else the one found upwards from here.

    With `create`, a missing one is made: where it was named, or as `.mmsearch` right here.
    """
    from mmsearch.collection import open as open_at

    return open_at(named or ctx.obj, create=create)


def key_of_path(collection: Collection, name: str) -> str:
    """The key that the file `name`, seen from the working directory, has in `collection`."""
    from mmsearch.scan import key_of

    return key_of(Path(name), collection.base)


@dataclass(frozen=True)
class Caller:
    """Who gave a command: where it was typed, and where its answers are printed."""

    folder: Path  # in which names of files are looked up
    width: int | None  # columns of the terminal, None where there is none
    out: TextIO
    err: TextIO
    # Of a command that a server runs for someone: its collection, and that one's path for them.
    collection: Collection | None = None
    root: Path | None = None


def caller_of(ctx: typer.Context) -> Caller:
    """Whoever had a server run the command (errands.py), or else whoever started the program."""
    if isinstance(ctx.obj, Caller):
        return ctx.obj
    return Caller(Path.cwd(), terminal_width(), sys.stdout, sys.stderr)
