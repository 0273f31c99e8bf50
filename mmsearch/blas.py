"""One thread for each matrix product: what can be done side by side is done in lanes of our own.

OpenBLAS cuts a product into as many pieces as there are processors, and its threads wait for each
other in circles. Where other work has a processor, such a wait lasts until the system takes it
away: beside two busy processes on two processors a query of 0.1 s took 1.3 s, and the eigenvectors
of a 384 x 384 matrix 3.6 s in place of 0.04 (OpenBLAS 0.3.31, 2026-11).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from threading import Lock

VARIABLE = "OPENBLAS_NUM_THREADS"
_ONE = "1"

_limiting = Lock()  # held by the thread that has set the limit


def keep_to_one_thread(environment: MutableMapping[str, str]) -> None:
    """For a process of our own, before it imports NumPy; its user's own setting stays."""
    environment.setdefault(VARIABLE, _ONE)


def lanes() -> int:
    """How many products may be computed side by side: as many as there are processors, or as
    OMP_NUM_THREADS allows."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    cores = os.cpu_count() or 1
    return max(1, min(cores, int(told))) if told.isdecimal() else cores


@contextmanager
def one_thread() -> Iterator[None]:
    """Products inside have one thread each, whatever the process that we are part of has set.

    The library has one number for all threads of a process: while one of them is inside, those that
    come later leave it as it is.
    """
    # A query in a new process has no time for more than a look at the variable.
    if os.environ.get(VARIABLE) == _ONE or not _limiting.acquire(blocking=False):
        yield
        return
    from threadpoolctl import OpenBLASController, threadpool_limits

    try:
        with threadpool_limits(1, "blas"):
            yield
    finally:
        # From 3.8 on only the thread that was the first to set a limit may set others.
        getattr(OpenBLASController, "clear_controlling_thread", lambda: None)()
        _limiting.release()
