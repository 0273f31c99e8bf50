"""Python's collector of circular garbage, kept off work that makes none.

It looks at every object that is alive whenever enough were made since the last time. Rows by the
hundred thousand are many and refer to nothing that refers to them: looking takes a quarter of the
time and finds nothing (benchmarks/bulk.py).
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Pauses:
    """Blocks that are under way, in all threads: the collector is one for all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._enabled = False  # before the first of them

    def begin(self) -> None:
        with self._lock:
            if self._count == 0:
                self._enabled = gc.isenabled()
                gc.disable()
            self._count += 1

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0 and self._enabled:
                gc.enable()


_pauses = _Pauses()


@contextmanager
def paused() -> Iterator[None]:
    """No collection within the block; then as before. May be nested, and overlap in threads."""
    _pauses.begin()
    try:
        yield
    finally:
        _pauses.end()
