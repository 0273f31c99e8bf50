"""Rows of a large table, read by a process of their own while those before them are stored.

To read rows takes as long as to store them, and holds Python's lock all the time: two threads
would take turns.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

from mmsearch import collector
from mmsearch.errors import TableError
from mmsearch.tables.files import shown
from mmsearch.tables.sources import rows_to_sources
from mmsearch.types import Failure, Source

# A process takes a tenth of a second to start, in which 1 MB of csv is read, or ten thousand rows.
LARGE_BYTES = {".csv": 4_000_000, ".jsonl": 4_000_000, ".parquet": 400_000}

_ROWS = 1_000  # sent at a time
_PIPE_BYTES = 1 << 20  # what it may be ahead
_START = """import sys
sys.path[:] = sys.argv.pop(1).split("\\n")
from mmsearch.tables.ahead import main
main()"""

_of_source = attrgetter(*Source.__slots__)  # a tuple is pickled several times as fast


def rows_read_ahead(
    path: Path, base_key: str, claimed: set[str] | None = None
) -> Iterator[Source | Failure]:
    """What sources.rows_to_sources gives; from another process where the table is large."""
    if not sys.executable or not _is_large(path):
        yield from rows_to_sources(path, base_key, claimed)
        return
    command = [sys.executable, "-c", _START, "\n".join(map(str, sys.path)), str(path), base_key]
    # A session of its own: Ctrl-C is for us, and ends it by closing the pipe.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pipesize=_PIPE_BYTES,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            while isinstance(sent := pickle.load(process.stdout), list):
                for one in sent:
                    yield Source(*one) if len(one) > 2 else Failure(*one)
        except (EOFError, pickle.UnpicklingError):  # ended, between two lists or within one
            raise TableError(
                f"{shown(path)}: the process that read it ended with status {process.wait()}; "
                "check that there is memory left, then run the command again"
            ) from None
        finally:
            process.stdout.close()
    pictures, error, cause = sent
    if claimed is not None:
        claimed |= pictures
    if error is not None:
        raise TableError(error) from (None if cause is None else OSError(cause))


def _is_large(path: Path) -> bool:
    try:
        return path.stat().st_size >= LARGE_BYTES[path.suffix.lower()]
    except (OSError, ValueError, KeyError):
        return False  # its reader says why


def main() -> None:
    """The process: sends what it reads in lists, then what it claimed, and how it ended."""
    path, base_key = sys.argv[1:]
    try:
        with collector.paused():
            for sent in _all_of(Path(path), base_key):
                pickle.dump(sent, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
            sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever asked wants no more; nor must Python flush on its way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _all_of(path: Path, base_key: str) -> Iterator[Any]:
    claimed: set[str] = set()
    error = cause = None
    sent: list[tuple[Any, ...]] = []
    try:
        for one in rows_to_sources(path, base_key, claimed):
            sent.append(_of_source(one) if isinstance(one, Source) else (one.key, one.reason))
            if len(sent) == _ROWS:
                yield sent
                sent = []
    except TableError as exc:
        error, cause = str(exc), None if exc.__cause__ is None else str(exc.__cause__)
    yield sent
    yield claimed, error, cause
