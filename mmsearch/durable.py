"""What it takes for a change on disk to survive a power cut."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make a creation or rename inside `directory` durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_files(directory: Path) -> None:
    """Make the files in `directory` durable, their contents and their names. Raises OSError."""
    for path in directory.iterdir():
        _sync_file(path)
    sync_directory(directory)


@contextmanager
def replacing(path: Path, *, alone: bool = True) -> Iterator[Path]:
    """A file for the block to write, which then takes the place of `path`, whole and synced.

    Where the block fails, `path` is as it was. `alone` False: others may write the same file at the
    same time. Raises OSError.
    """
    mark = "" if alone else f".{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f"{path.name}{mark}.tmp")
    try:
        yield temporary
        _sync_file(temporary)
        os.replace(temporary, path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
