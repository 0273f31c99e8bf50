"""Rows of a large table, read by a process of their own while those before them are stored.

To read rows takes as long as to store them, and holds Python's lock all the time: two threads
would take turns.
"""

from __future__ import annotations

import csv
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from mmsearch import another_python, collector
from mmsearch.errors import TableError
from mmsearch.tables.files import shown
from mmsearch.tables.sources import rows_to_sources
from mmsearch.types import Failure, Source

# A process takes a tenth of a second to start, in which 1 MB of csv is read, or ten thousand rows.
LARGE_BYTES = {".csv": 4_000_000, ".jsonl": 4_000_000, ".parquet": 400_000}

_ROWS = 1_000  # sent at a time
_PIPE_BYTES = 1 << 20  # what it may be ahead
_START = "from mmsearch.tables.ahead import main; main()"

_Made = TypeVar("_Made")

_of_source = attrgetter(*Source.__slots__)  # a tuple is pickled several times as fast


def rows_read_ahead(
    path: Path,
    base_key: str,
    claimed: set[str] | None = None,
    make: Callable[[Sequence[Source]], _Made] | None = None,
) -> Iterator[Source | Failure | _Made]:
    """What sources.rows_to_sources gives; from another process where the table is large.

    That process can `make` (a function of a module) something else of sources without pictures,
    which comes, for each thousand rows or less, in their place and after their failures.
    """
    started = _start(path, base_key, make) if _is_large(path) else None
    if started is None:
        yield from rows_to_sources(path, base_key, claimed)
        return
    process, reading = started
    try:
        # The pipe is closed first: a process that still writes ends, and is waited for.
        with process, open(reading, "rb") as pipe:
            end = None
            while end is None:
                rows, made, pictures, end = pickle.load(pipe)
                if claimed is not None:
                    claimed.update(pictures)
                for one in rows:
                    yield Source(*one) if len(one) > 2 else Failure(*one)
                if made is not None:
                    yield made
    except (EOFError, pickle.UnpicklingError) as error:  # it ended between two lists, or within one
        raise TableError(
            f"{shown(path)}: the process that read it ended with status {process.returncode}; "
            "if it was killed, see that there is more memory left; run the command again"
        ) from error
    reason, cause = end
    if reason is not None:
        raise TableError(reason) from (None if cause is None else OSError(cause))


def _is_large(path: Path) -> bool:
    try:
        return path.stat().st_size >= LARGE_BYTES[path.suffix.lower()]
    except (OSError, ValueError, KeyError):
        return False  # its reader says why


def _start(
    path: Path, base_key: str, make: Callable[..., Any] | None
) -> tuple[subprocess.Popen[bytes], int] | None:
    """The process, and where to read what it sends; None where there can be none.

    It sends through a pipe of its own, as anything may be printed while Python starts.
    """
    if os.name != "posix":  # elsewhere it could not be handed a pipe
        return None
    reading, writing = os.pipe()
    by_name = pickle.dumps(make, protocol=0).decode()  # as text, which that protocol is
    table = str(path), base_key, by_name, str(csv.field_size_limit()), str(writing)
    try:
        _widen(reading)
        process = subprocess.Popen(
            another_python.command(_START, *table),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[writing],
            start_new_session=True,  # Ctrl-C is for us, and ends it by closing the pipe
        )
    except OSError:  # no executable (Python in another program), or no more processes
        os.close(reading)
        return None
    finally:
        os.close(writing)
    return process, reading


def _widen(pipe: int) -> None:
    import fcntl

    with suppress(OSError, AttributeError):  # the user's allowance is used up, or not Linux
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def main() -> None:
    """The process: sends (rows, what was made of others, pictures that they claimed, None), at last
    with how it ended."""
    path, base_key, make, longest_cell, writing = sys.argv[1:]
    csv.field_size_limit(int(longest_cell))
    with suppress(BrokenPipeError), open(int(writing), "wb") as pipe, collector.paused():
        for sent in _all_of(Path(path), base_key, pickle.loads(make.encode())):
            pickle.dump(sent, pipe, pickle.HIGHEST_PROTOCOL)


def _all_of(path: Path, base_key: str, make: Callable[..., Any] | None) -> Iterator[Any]:
    claimed: set[str] = set()
    reason = cause = None
    found: list[Source | Failure] = []
    try:
        for one in rows_to_sources(path, base_key, claimed):
            found.append(one)
            if len(found) == _ROWS:
                yield *_sent(found, make), list(claimed), None
                found = []
                claimed.clear()
    except TableError as exc:
        reason, cause = str(exc), None if exc.__cause__ is None else str(exc.__cause__)
    yield *_sent(found, make), list(claimed), (reason, cause)


def _sent(
    found: Sequence[Source | Failure], make: Callable[..., Any] | None
) -> tuple[list[tuple[Any, ...]], Any]:
    """Rows, and what was made of all that are none."""
    made = None
    if make is not None:
        sources = [one for one in found if isinstance(one, Source)]
        if sources and not any(one.path or one.url for one in sources):
            made = make(sources)
            found = [one for one in found if isinstance(one, Failure)]
    rows = [_of_source(one) if isinstance(one, Source) else (one.key, one.reason) for one in found]
    return rows, made
