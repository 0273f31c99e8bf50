"""`mmsearch query --socket` as a new process, against a warm server: how long until it is printed.

    python benchmarks/socket_query.py [--items 1000 100000] [--runs 30] [--json FILE]
                                      [--folder DIR] [--client PYTHON]

The collections are cold_query.py's, of `mini`. Each way is measured in turn with Python alone, run
by run, for a machine is not equally fast all the time: the ratios to "python" say more than the
milliseconds.

    again     python -m mmsearch query --socket "red car", always the same
    script    the same by the console script beside the interpreter, if there is one
    others    other words each time, which nobody asked for before
    quick     other words each time, without a server

--client runs the first three with another interpreter. It needs no package: what is imported is
found by PYTHONPATH. In an environment with editable installs their finder is half of Python's
start, and imports much that a client then has for nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cold_query import build, words
from processes import ROOT, seconds, workplace

import mmsearch
from mmsearch.catalog.records import EncoderInfo
from mmsearch.encoders.fingerprint import folder_fingerprint
from mmsearch.models.registry import BUNDLED_FOLDER

ENCODER = EncoderInfo("mini", folder_fingerprint(BUNDLED_FOLDER), 384)


@contextmanager
def served(path: Path, settle_s: float) -> Iterator[None]:
    """A warm server at the collection's socket; `settle_s`: until it loads nothing any more."""
    command = [sys.executable, "-m", "mmsearch", "--collection", str(path), "serve", "--socket"]
    log = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=ROOT) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline(), "the server did not start"
            time.sleep(settle_s)
            yield
        finally:
            running.terminate()


def measure(path: Path, client: str, runs: int) -> dict[str, list[float]]:
    asked = iter(words(2000 + 2 * runs + 2)[2000:])
    place = ["--collection", str(path)]
    query = ["-m", "mmsearch", "query"]
    script = Path(client).with_name("mmsearch")
    ways: dict[str, Callable[[], float]] = {
        "python": lambda: seconds([client, "-c", "pass"]),
        "again": lambda: seconds([client, *query, "--socket", "red car", *place]),
        "script": lambda: seconds([str(script), "query", "--socket", "red car", *place]),
        "others": lambda: seconds([client, *query, "--socket", next(asked), *place]),
        "quick": lambda: seconds([sys.executable, *query, next(asked), *place]),
    }
    if not script.exists():
        del ways["script"]
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(runs + 1):
        for name, way in ways.items():
            lasted = way()
            if run:  # the first one compiles modules and warms the page cache
                taken[name].append(lasted)
    return taken


def show(items: int, taken: dict[str, list[float]]) -> dict[str, Any]:
    base = statistics.median(taken["python"])
    figures: dict[str, Any] = {"load": os.getloadavg()[0]}
    print(f"\n{items:,} pictures, load {figures['load']:.1f}")
    print(f"{'':10}{'median ms':>10}{'p95':>8}{'best':>8}{'/ python':>10}")
    for way, times in taken.items():
        ordered = sorted(times)
        median, best = statistics.median(ordered), ordered[0]
        p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        figures[way] = {"median_s": median, "p95_s": p95, "best_s": best, "ratio": median / base}
        print(
            f"{way:10}{1000 * median:10.1f}{1000 * p95:8.1f}{1000 * best:8.1f}{median / base:10.2f}"
        )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--settle", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--client", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--folder", type=Path, help="keep the collections there, or find them")
    options = parser.parse_args()
    with workplace(options.folder) as folder:
        report: dict[str, Any] = {
            "mmsearch": mmsearch.__version__, "python": platform.python_version(),
            "processor": platform.processor() or platform.machine(), "cores": os.cpu_count(),
            "fingerprint": ENCODER.fingerprint, "runs": options.runs,
        }  # fmt: skip
        for items in options.items:
            path = folder / f"mini-{items}" / ".mmsearch"
            if not path.exists():
                build(path, ENCODER, items)
            with served(path, options.settle):
                taken = measure(path, options.client, options.runs)
            report[str(items)] = show(items, taken)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
