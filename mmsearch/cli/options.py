"""The options that several commands share, and the collection that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mmsearch.collection import Collection

COLLECTION_NAME = ".mmsearch"

CollectionOption = Annotated[
    Path | None,
    typer.Option(
        "--collection", metavar="DIR", help="Use this collection (also before the command)."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


def open_collection(ctx: typer.Context, named: Path | None, *, create: bool = False) -> Collection:
    """The collection that the command line names, or else the one found upwards from here.

    With `create`, a missing one is made: where it was named, or as `.mmsearch` right here.
    """
    from mmsearch.collection import find_collection
    from mmsearch.collection import open as open_at

    path: Path | None = named or ctx.obj
    if path is None and create and find_collection(Path.cwd()) is None:
        path = Path.cwd() / COLLECTION_NAME
    return open_at(path, create=create)
