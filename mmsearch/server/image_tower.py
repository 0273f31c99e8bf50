"""What searches by a picture need, loaded in a thread of its own: no other search waits for it."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future, ThreadPoolExecutor

from mmsearch.collection import Collection
from mmsearch.server.problems import RETRY_S, Problem
from mmsearch.server.settings import Settings

log = logging.getLogger("mmsearch.server")


class ImageTower:
    """Sees to it that the search thread finds the collection's image tower loaded."""

    def __init__(self, collection: Collection, settings: Settings) -> None:
        self._collection = collection
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "image tower")

    def warm(self) -> None:
        """Begin to load it. For any thread; a fault is logged, and met again by who needs it."""
        self._thread.submit(self._collection.load_image_tower).add_done_callback(_log_fault)

    async def ready(self) -> None:
        """Wait until it is loaded: that of the model that the collection has by now.

        Raises ModelError and EncoderMismatchError, and Problem where that takes too long.
        """
        loop = asyncio.get_running_loop()
        loading = loop.run_in_executor(self._thread, self._collection.load_image_tower)
        try:
            await asyncio.wait_for(loading, self._settings.request_seconds)
        except TimeoutError:
            raise Problem(
                503,
                "the model for searches by a picture is still being loaded: try again in a moment",
                {"Retry-After": str(RETRY_S)},
            ) from None

    async def close(self) -> None:
        """Wait for what is being loaded: torch does not bear to be stopped within its import."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)


def _log_fault(done: Future[None]) -> None:
    error = None if done.cancelled() else done.exception()
    if error is not None:
        log.warning("no searches by a picture yet: %s", error)
