"""No regressions: a few small measurements, each against a peer, compared with stored ones.

    python benchmarks/quick.py                    # under five minutes on two cores
    python benchmarks/quick.py --only query       # those with "query" in their name
    python benchmarks/quick.py --store            # what was measured becomes what is compared with

A figure is a ratio: our time over that of a named peer or floor for as much work, measured in turn,
so that most of the machine's speed cancels. It is the median of the
ratios of all pairs, its noise half of their interquartile range. Slower (or better) is only what
differs from the stored ratio by more than both noises, and by more than a quarter. Recall and
memory count too where they are measured. Exit code 1: something is slower, finds less or takes
more memory than what quick.json holds.

Each measurement has a process of its own. Those of the clock "processor" compute on one thread and
count its processor time, which other work on the machine disturbs least; those of the clock "wall"
are timed as a user waits, on all cores.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pairs import Figure, measure
from processes import workplace
from quick_table import TABLE

STORED = Path(__file__).with_suffix(".json")
MARGIN = 0.25  # of a ratio or of memory; a machine differs from itself by less
RECALL_MARGIN = 0.005
MEMORY_MARGIN_MB = 10


# ---- comparing


def judge(now: Figure, then: Figure | None) -> list[str]:
    """better, same or slower; then what else is worse. new: there is nothing to compare with."""
    if then is None:
        return ["new"]
    clear = abs(now.ratio - then.ratio) > now.noise + then.noise
    found = ["same"]
    if clear and now.ratio > then.ratio * (1 + MARGIN):
        found = ["slower"]
    elif clear and then.ratio > now.ratio * (1 + MARGIN):
        found = ["better"]
    if now.recall is not None and then.recall is not None:
        found += ["finds less"] * (now.recall < then.recall - RECALL_MARGIN)
    if now.memory_mb is not None and then.memory_mb is not None:
        allowed = then.memory_mb * (1 + MARGIN) + MEMORY_MARGIN_MB
        found += ["more memory"] * (now.memory_mb > allowed)
    return found


def is_worse(judgement: Sequence[str]) -> bool:
    return not {"slower", "finds less", "more memory"}.isdisjoint(judgement)


# ---- the run


def about() -> dict[str, Any]:
    """Where and when it was measured."""
    from mmsearch.encoders.precision import cpu_name

    packages = ("mmsearch", "numpy", "faiss-cpu", "torch", "pillow", "tokenizers")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": cpu_name(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "versions": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            **{name: importlib.metadata.version(name) for name in packages},
        },
    }


def read_stored(path: Path) -> tuple[dict[str, Any], dict[str, Figure]]:
    """What it says about itself, and its figures; nothing where there is no file."""
    if not path.exists():
        return {}, {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    figures = {name: Figure(**one) for name, one in stored.pop("measurements").items()}
    return stored, figures


def plain(figure: Figure) -> dict[str, float]:
    """As JSON, with four digits."""
    measured = {name: value for name, value in asdict(figure).items() if value is not None}
    return {name: float(f"{value:.4g}") for name, value in measured.items()} | {
        "pairs": figure.pairs
    }


def line(name: str, now: Figure, then: Figure | None) -> str:
    measurement = TABLE[name]
    found = "" if now.recall is None else f"{now.recall:.3f}"
    memory = "" if now.memory_mb is None else f"{now.memory_mb:.0f}"
    stored = f"{then.ratio:8.2f} ±{then.noise:5.2f}" if then else f"{'-':>15}"
    return (
        f"{name:13}{now.ours_ms:9.2f}{now.peer_ms:9.2f}{now.ratio:8.2f} ±{now.noise:5.2f}{stored}"
        f"{found:>8}{memory:>6}  {', '.join(judge(now, then)):12}"
        f"  {measurement.ours} / {measurement.peer} ({measurement.clock})"
    )


HEAD = (
    f"{'':13}{'ours ms':>9}{'peer ms':>9}{'ratio':>15}{'stored':>15}{'recall':>8}{'MB':>6}"
    f"  {'':12}  ours / peer (clock)"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="those with this in their name")
    parser.add_argument("--runs", type=int, metavar="N", help="so many pairs of each, at least 2")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured there")
    parser.add_argument("--store", action="store_true", help=f"write {STORED.name} anew")
    options = parser.parse_args()
    names = [name for name in TABLE if options.only in name]
    if not names:
        parser.error(f"nothing has {options.only!r} in its name; there are {', '.join(TABLE)}")
    if options.store and len(names) < len(TABLE):
        parser.error("--store takes all measurements: leave --only out")
    if options.runs is not None and options.runs < 2:
        parser.error("--runs: a noise takes 2 pairs at least")
    started = time.monotonic()
    here = about()
    there, stored = read_stored(STORED)
    for what in ("processor", "versions"):
        if there and there[what] != here[what]:
            print(f"note: stored with {what} {there[what]}, now {here[what]}", file=sys.stderr)
    found: dict[str, Figure] = {}
    print(HEAD, flush=True)
    with workplace(None) as folder:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as fresh:
            for name in names:
                print(f"{name} ...", end="", file=sys.stderr, flush=True)
                before = time.monotonic()
                one = fresh.submit(measure, TABLE[name], folder, options.runs)
                found[name] = one.result()
                print(f" {time.monotonic() - before:.0f} s", file=sys.stderr)
                print(line(name, found[name], stored.get(name)), flush=True)
    judged = {name: judge(figure, stored.get(name)) for name, figure in found.items()}
    took = time.monotonic() - started
    worse = [name for name, judgement in judged.items() if is_worse(judgement)]
    print(f"{took:.0f} s; worse than stored: {', '.join(worse) or 'none'}")
    report = {**here, "measurements": {name: plain(figure) for name, figure in found.items()}}
    if options.json:
        options.json.write_text(json.dumps({**report, "judged": judged}, indent=1) + "\n")
    if options.store:
        STORED.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        return 0
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
