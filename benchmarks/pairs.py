"""Two ways of doing the same, timed in turn: a figure that says little about the machine.

The ratio of ours to the peer's is the median over all pairs, its noise half of the interquartile
range. Both sides of a pair are measured in one process, one right after the other.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

BUDGET_S = 8.0  # of one measurement, once it has FEWEST pairs
FEWEST, MOST = 5, 21
SHORTEST_S = 0.05  # what is shorter is repeated until it takes so long
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
Seconds = Callable[[], float]


@dataclass(frozen=True)
class Sides:
    """Two ways, each as a function that gives the seconds of one unit; facts about ours."""

    ours: Seconds
    peer: Seconds
    facts: Mapping[str, float] = field(default_factory=dict)  # recall, memory_mb


@dataclass(frozen=True)
class Measurement:
    """What is timed, and against what. `prepare` makes both in a folder that all share."""

    name: str
    ours: str
    peer: str
    clock: Literal["processor", "wall"]
    prepare: Callable[[Path], AbstractContextManager[Sides]]


@dataclass(frozen=True)
class Figure:
    """What a measurement found. `noise` is in units of the ratio."""

    ratio: float
    noise: float
    ours_ms: float
    peer_ms: float
    pairs: int
    recall: float | None = None
    memory_mb: float | None = None


def per_call(call: Callable[[], object], clock: Seconds = time.process_time) -> Seconds:
    """The seconds of one call, as the mean of so many that they fill SHORTEST_S."""

    def taken() -> float:
        started, calls = clock(), 0
        while not calls or clock() - started < SHORTEST_S:
            call()
            calls += 1
        return (clock() - started) / calls

    return taken


def measure(measurement: Measurement, folder: Path, runs: int | None) -> Figure:
    """In a process of its own that has not yet imported NumPy. `runs`: so many pairs exactly."""
    if measurement.clock == "processor":
        os.environ.update(ONE_THREAD)
    pairs: list[tuple[float, float]] = []
    with measurement.prepare(folder) as sides:
        for warm_up in (sides.ours, sides.peer):
            warm_up()
        end = time.monotonic() + BUDGET_S
        for number in range(runs or MOST):
            if not runs and number >= FEWEST and time.monotonic() > end:
                break
            if number % 2:  # who comes second may find warm or crowded caches
                peer, ours = sides.peer(), sides.ours()
            else:
                ours, peer = sides.ours(), sides.peer()
            pairs.append((ours, peer))
    ratios = [ours / peer for ours, peer in pairs]
    low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
    ours_ms, peer_ms = (1000 * statistics.median(side) for side in zip(*pairs, strict=True))
    return Figure(ratio, (high - low) / 2, ours_ms, peer_ms, len(pairs), **sides.facts)


def grown_mb(call: Callable[[], object]) -> dict[str, float]:
    """memory_mb: how much more memory the process had during `call`; nothing where not on Linux."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # sets VmHWM to VmRSS
    except OSError:
        call()
        return {}
    before = status_mb(Path("/proc/self/status").read_text(), "VmRSS")
    call()
    return {"memory_mb": status_mb(Path("/proc/self/status").read_text(), "VmHWM") - before}


def status_mb(status: str, name: str) -> float:
    [line] = (line for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1000
