"""The desktop's usual program for a file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from mmsearch.cli import render
from mmsearch.errors import MmsearchError

# An opener that has not failed by then shows the file: some stay as long as what they started.
WAIT_S = 1.0


def open_file(file: Path) -> None:
    """Show `file` in its usual program, without waiting for that to end.

    Raises MmsearchError where there is no opener, or it fails at once.
    """
    name = "open" if sys.platform == "darwin" else "xdg-open"
    shown = render.visible(render.near(file))
    opener = shutil.which(name)
    if opener is None:
        raise MmsearchError(f"found no program to open {shown} with: install xdg-utils")
    started = subprocess.Popen(
        [opener, str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = started.wait(WAIT_S)
    except subprocess.TimeoutExpired:
        return
    if code != 0:
        raise MmsearchError(
            f"{name} could not open {shown} (exit code {code}): it needs a desktop, the file, and "
            "a program for files of its kind; --paths prints the path for another program"
        )
