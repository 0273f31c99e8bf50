"""One thread that writes, with a collection of its own, so that no search waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mmsearch.collection import Collection
from mmsearch.errors import LockedError
from mmsearch.server.problems import RETRY_S, Problem
from mmsearch.server.settings import Settings

T = TypeVar("T")


class Writer:
    """Runs what changes the collection, one after the other."""

    def __init__(self, collection: Collection, settings: Settings) -> None:
        self._collection = collection
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "write")
        self._waiting = 0

    async def write(self, work: Callable[[Collection], T]) -> T:
        """`work(collection)`, tried again for some seconds while another process writes.

        What was begun is finished even where the client goes away. Raises LockedError where that
        process goes on, Problem where too many wait, and what `work` raises.
        """
        if self._waiting >= self._settings.max_waiting:
            raise Problem(
                503,
                f"{self._waiting} changes are waiting already: try again in a moment",
                {"Retry-After": str(RETRY_S)},
            )
        self._waiting += 1
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._try, work)
        done.add_done_callback(self._finished)
        return await asyncio.shield(done)

    async def close(self) -> None:
        """Finish what was accepted."""
        await asyncio.to_thread(self._thread.shutdown)
        self._collection.close()

    def _finished(self, done: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not done.cancelled():
            done.exception()  # seen, also where its client has gone

    def _try(self, work: Callable[[Collection], T]) -> T:
        until = time.monotonic() + self._settings.lock_wait_s
        while True:
            try:
                return work(self._collection)  # itself waits a second for the lock
            except LockedError:
                if time.monotonic() >= until:
                    raise
