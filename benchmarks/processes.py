"""New processes of Python, timed: what the benchmarks of whole queries share."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def as_installed(folder: Path) -> None:
    """Give new processes this checkout, with compiled modules and a cache of their own in `folder`.

    Installed packages have compiled modules; a checkout may lie where none can be written.
    """
    os.environ["MMSEARCH_CACHE"] = str(folder / "cache")
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    os.environ["PYTHONPATH"] = str(ROOT)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@contextmanager
def workplace(folder: Path | None) -> Iterator[Path]:
    """A folder to work in, where new processes are `as_installed`: this one, which stays and whose
    contents are used again, or one that goes afterwards."""
    with tempfile.TemporaryDirectory() as temporary:
        chosen = folder or Path(temporary)
        chosen.mkdir(parents=True, exist_ok=True)
        as_installed(chosen)
        yield chosen


def seconds(command: Sequence[str]) -> float:
    """How long a new process takes."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return taken
