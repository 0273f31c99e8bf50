"""Python's collector of circular garbage, kept off work that makes none.

It looks at every object that is alive whenever enough were made since the last time. Rows by the
hundred thousand are many and refer to nothing that refers to them: looking takes a quarter of the
time and finds nothing (benchmarks/bulk.py).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """No collection within the block; then as before. May be nested, and overlap in threads."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
