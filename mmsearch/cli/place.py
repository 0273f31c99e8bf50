"""Where a command is run. For the quick ways: imports nothing that Python has not loaded itself."""

from __future__ import annotations

import os
import sys

_CATALOG = "catalog.sqlite3"
_DIRECTORY = ".mmsearch"
_COLUMNS = 80  # of a terminal that does not tell, as shutil has it


def root_of(named: str | None) -> str | None:
    """The collection's directory as `mmsearch.open` finds it; None where it is not that plain."""
    if named is not None:
        root = os.path.abspath(named)
        inside = os.path.join(root, _DIRECTORY)
        for folder in (root, inside):
            if os.path.isfile(os.path.join(folder, _CATALOG)):
                return folder
        return None
    here = os.getcwd()
    while True:
        inside = os.path.join(here, _DIRECTORY)
        if os.path.isfile(os.path.join(inside, _CATALOG)):
            return inside
        above = os.path.dirname(here)
        if above == here:
            return None
        here = above


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None for a file or a pipe.

    As `shutil.get_terminal_size` tells them, which takes 3 ms to import (2026-11).
    """
    if not sys.stdout.isatty():
        return None
    try:
        columns = int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        columns = 0
    if columns > 0:
        return columns
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS
