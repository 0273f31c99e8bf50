"""How long the stages of a query take, for whoever asks; nobody does unless a server measures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

# encode: texts that were not kept encoded, or a picture; hydrate: the items of a page are read.
Stage = Literal["encode", "hydrate"]
OnStage = Callable[[Stage, float], None]

_told: ContextVar[OnStage | None] = ContextVar("told", default=None)


@contextmanager
def timed(on_stage: OnStage) -> Iterator[None]:
    """Within it, and in this thread, `on_stage` is told each stage and its seconds as it ends."""
    token = _told.set(on_stage)
    try:
        yield
    finally:
        _told.reset(token)


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """What runs within it is one stage; one that fails is told to nobody."""
    on_stage = _told.get()
    started = time.perf_counter()
    yield
    if on_stage is not None:
        on_stage(name, time.perf_counter() - started)
