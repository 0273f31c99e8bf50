"""`query --preview` in terminals that cannot be asked what they show: cells, and no traceback."""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import sys
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest


def shown(indexed: Path, rows: int, columns: int, *, stdin: bytes | None) -> str:
    """What a terminal of that size, which answers nothing, is sent; None: stdin is the terminal."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    text = "red" if stdin is None else "-"
    run = subprocess.Popen(
        [sys.executable, "-m", "mmsearch.cli", "query", text, "-k", "1", "--preview"],
        cwd=indexed,
        stdin=theirs if stdin is None else subprocess.PIPE,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    if run.stdin is not None and stdin is not None:
        run.stdin.write(stdin)
        run.stdin.close()
    sent = b""
    try:
        while piece := os.read(ours, 1 << 16):
            sent += piece
    except OSError:  # how Linux says that the other end was closed
        pass
    os.close(ours)
    assert run.wait(timeout=120) == 0, sent
    return sent.decode("utf-8")


@pytest.mark.parametrize(
    ("rows", "columns", "stdin"),
    [(40, 100, b"red\n"), (0, 0, None), (40, 100, None)],
    ids=["stdin is a pipe", "no size", "no answer"],
)
def test_terminal_that_cannot_be_asked_gets_cells(
    indexed: Path, rows: int, columns: int, stdin: bytes | None
) -> None:
    sent = shown(indexed, rows, columns, stdin=stdin)
    assert sent.count("▀") >= 100
    assert "Traceback" not in sent
    assert "Timeout" not in sent
