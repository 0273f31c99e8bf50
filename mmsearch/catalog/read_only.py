"""Reading a catalog that cannot be written: on a read-only disk, or in a folder of someone else.

SQLite reads a database in WAL mode by way of two files beside it, `-wal` and `-shm`. Where they are
not there and cannot be made, it reads the database alone if it is told that nobody writes to it.
From then on it looks for no writer, so there has to be another look: at the files.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from mmsearch.errors import StorageError

# What SQLite writes beside a database, and puts into it when the last connection is closed.
_LEFT = ("-wal", "-journal")


class Frozen(NamedTuple):
    """A catalog to be read as it lies there, and how its files were at that time."""

    path: Path
    stamp: tuple[int, ...]

    @property
    def uri(self) -> str:
        """What sqlite3.connect opens it by."""
        return f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"

    def unchanged(self) -> bool:
        """Whether all that was read is what one commit left. False: somewhere it can be written."""
        return stamp(self.path) == self.stamp

    def require_unchanged(self) -> None:
        """Raises StorageError."""
        if not self.unchanged():
            raise StorageError(
                f"{self.path} was written to while it was read, from where it can be written: run "
                "the command again"
            )


def frozen(path: Path, error: BaseException) -> Frozen | None:
    """How to read the catalog that could not be opened with `error`.

    None where that had another reason, and where the file lacks changes that stand beside it.
    """
    now = stamp(path)
    return Frozen(path, now) if now and refused(error) and not _left(path) else None


def refused(error: BaseException) -> bool:
    """Whether SQLite could not write, or not make a file beside the database."""
    return _code(error) & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


def stamp(path: Path) -> tuple[int, ...]:
    """What changes with every commit to the catalog; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, sum(_bytes(one) for one in _beside(path))


def reason(path: Path, error: BaseException) -> str | None:
    """What to tell of an error of a catalog that cannot be written; None for any other."""
    left = _left(path)
    if left and refused(error) and _code(error) != sqlite3.SQLITE_READONLY:
        return (
            f"{path.parent} cannot be written, and {left[0].name} in it holds changes that "
            f"{path.name} lacks: run `mmsearch status` where the collection can be written, which "
            "puts them together, then copy or mount it again"
        )
    if _code(error) & 0xFF == sqlite3.SQLITE_READONLY:
        return not_writable(path.parent)
    return None


def not_writable(directory: Path) -> str:
    """What to tell who wants to change a collection in such a place."""
    return (
        f"{directory} is read-only here: the collection can be searched, but not changed. Make it "
        "writable, or copy it to where it is, then run the command again"
    )


def _code(error: BaseException) -> int:
    return getattr(error, "sqlite_errorcode", 0)


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in _LEFT]


def _left(path: Path) -> list[Path]:
    """Those of them that hold something."""
    return [one for one in _beside(path) if _bytes(one)]


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
