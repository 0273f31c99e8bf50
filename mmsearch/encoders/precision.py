"""In which arithmetic pictures are encoded: what this CPU can do, and what a trial shows it gains.

Other precisions of a model give nearly the same vectors. How near is measured on the first
pictures that come, and so is the gain: flags promise, but only a trial on this CPU tells.
"""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mmsearch.types import Pixels, Precision, Vectors

# Below it a precision is refused. With vectors of `mini` turned at random by so much, captions of
# Flickr8k dev find their picture among the first ten as often as before (0.626 against 0.625, five
# seeds, spread 0.002), and 96 of 100 places of these ten are taken by the same pictures
# (benchmarks/precision_cost.py, November 2026).
MIN_COSINE = 0.995
# `auto` leaves fp32 only for a gain that outweighs a timer's noise.
MIN_GAIN = 1.3
# Pictures of a trial. All count for the cosine; so many at a time are timed.
TRIAL_PICTURES = 16
_TIMED = 8

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Trial:
    """How a precision did against fp32 on `pictures` pictures, on the CPU named `cpu`.

    `gain` is how often faster it is on one core; the cosines are with fp32's vectors.
    """

    precision: Precision
    gain: float
    mean_cosine: float
    least_cosine: float
    pictures: int
    cpu: str

    @property
    def faithful(self) -> bool:
        return self.least_cosine >= MIN_COSINE

    def __str__(self) -> str:
        return (
            f"{self.precision} is {self.gain:.1f} x as fast as fp32 here, cosine to it "
            f"{self.mean_cosine:.4f} on average and {self.least_cosine:.4f} at least "
            f"({self.pictures} pictures)"
        )


def compare(
    precision: Precision,
    tower: Callable[[Pixels], Vectors],
    reference: Callable[[Pixels], Vectors],
    pixels: Pixels,
) -> Trial:
    """Encode (n, h, w, 3) pictures both ways. Both must compute in the calling thread alone: what
    is timed is its own work, whatever else the cores are doing."""
    pixels = pixels[:TRIAL_PICTURES]
    ours, theirs = tower(pixels), reference(pixels)  # (n, d) unit rows; warms up too
    cosines = np.einsum("nd,nd->n", ours, theirs)
    part = pixels[:_TIMED]
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for ours_turn in (False, True) * 2:
        started = time.thread_time()
        (tower if ours_turn else reference)(part)
        seconds[ours_turn].append(time.thread_time() - started)
    return Trial(
        precision,
        min(seconds[False]) / max(min(seconds[True]), 1e-9),
        float(cosines.mean()),
        float(cosines.min()),
        len(pixels),
        cpu_name(),
    )


@functools.cache
def cpu_flags() -> frozenset[str]:
    """The instruction sets that Linux names; empty where it is another system."""
    return frozenset(_cpuinfo("flags").split())


@functools.cache
def cpu_name() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16: without it torch takes a hundred times as long."""
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def has_int8_products() -> bool:
    """Whether it sums four int8 products into 32 bits at once (VNNI, AMX)."""
    return bool(cpu_flags() & {"avx512_vnni", "avx_vnni", "amx_int8"})


def _cpuinfo(field: str) -> str:
    if not CPUINFO.exists():
        return ""
    for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""
