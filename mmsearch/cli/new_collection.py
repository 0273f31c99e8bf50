"""The collection of a command that makes one where there is none, and leaves none if it fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mmsearch.cli.options import open_collection
from mmsearch.errors import MmsearchError

if TYPE_CHECKING:
    from mmsearch.collection import Collection


@contextmanager
def made_if_missing(ctx: typer.Context, named: Path | None) -> Iterator[Collection]:
    """The collection that the command line names, or else the one found upwards from here; a
    missing one is made.

    Where the command raises an MmsearchError before anything was committed to one that it made,
    that goes again, so that the next query says that there is none.
    """
    from mmsearch.layout import DIRECTORY

    wanted = Path(os.path.abspath(named or ctx.obj or DIRECTORY))
    missing = [
        folder
        for folder in (wanted / DIRECTORY, wanted, *wanted.parents)
        if not os.path.exists(folder)
    ]
    with open_collection(ctx, named, create=True) as opened:
        try:
            yield opened
        except MmsearchError:
            if opened.path in missing:
                with suppress(MmsearchError):  # the command's own error says more
                    _remove_if_unused(opened, missing)
            raise


def _remove_if_unused(opened: Collection, made: Sequence[Path]) -> None:
    """Delete the collection, unless it holds something or another process has it open; then those
    of the folders `made` that are empty, the innermost first. Raises MmsearchError."""
    from mmsearch.layout import CATALOG, Layout

    with Layout(opened.path).writing(0):
        status = opened.status()
        opened.close()
        # SQLite deletes this one when the last process closes the catalog.
        is_open = (opened.path / f"{CATALOG}-wal").exists()
        if status.model is None and not status.items and not is_open:
            shutil.rmtree(opened.path, ignore_errors=True)
    for folder in made:
        with suppress(OSError):
            folder.rmdir()
