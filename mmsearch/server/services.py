"""What the routes of one server share, made when it starts and closed when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

import mmsearch
from mmsearch.layout import Layout
from mmsearch.server.answer_cache import AnswerCache
from mmsearch.server.engine import Engine
from mmsearch.server.feedback import Feedback
from mmsearch.server.jobs import Jobs
from mmsearch.server.metrics import Metrics
from mmsearch.server.naming import keys_of, odd_keys, renamed
from mmsearch.server.pictures import Thumbnails
from mmsearch.server.problems import GONE, Problem
from mmsearch.server.settings import Settings
from mmsearch.server.shelf import Shelf
from mmsearch.server.writer import Writer
from mmsearch.types import Answer, Encoder, Query

T = TypeVar("T")


class Services:
    """The engine, the catalog and the pictures of one collection."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        encoder: Encoder | Sequence[Encoder] | None = None,
    ) -> None:
        reader = mmsearch.open(settings.collection, encoder=encoder)
        self.settings = settings
        self.metrics = metrics
        self.engine = Engine(reader, settings, metrics)
        self.writer = Writer(mmsearch.open(reader.path, encoder=encoder), settings)
        self.jobs = Jobs(lambda: mmsearch.open(reader.path, encoder=encoder), settings)
        layout = Layout(reader.path)
        self.answers = AnswerCache(layout.catalog, layout.concepts, settings.answer_cache_bytes)
        self.shelf = Shelf(reader.path)
        self.feedback = Feedback(reader.path, self.shelf)
        self.thumbnails = Thumbnails(settings.thumbnail_cache_bytes)
        metrics.watch_index_lag(self._index_lag)
        self._pictures = ThreadPoolExecutor(settings.picture_workers, "pictures")
        self._fetching = ThreadPoolExecutor(settings.picture_workers, "fetch")

    async def start(self) -> None:
        self.engine.start()
        self.jobs.start()

    async def close(self) -> None:
        """Finish what was accepted; a job stops after its batch."""
        await self.jobs.close()
        await self.engine.close()
        await self.writer.close()
        await asyncio.to_thread(self._pictures.shutdown)
        await asyncio.to_thread(self._fetching.shutdown)
        self.shelf.close()
        self.answers.close()

    def _index_lag(self) -> int | None:
        reached = self.engine.index_seq
        return None if reached is None else self.shelf.sequence() - reached

    async def answer(self, query: Query) -> Answer:
        """`Engine.answer` for a query that names items as clients write their keys."""
        keys = keys_of(query)
        if odd_keys(keys):
            query = renamed(query, await asyncio.to_thread(self.shelf.names, keys))
        return await self.engine.answer(query)

    async def on_pictures(self, work: Callable[..., T], *arguments: Any) -> T:
        """`work(*arguments)` in one of the few threads that decode pictures."""
        return await asyncio.get_running_loop().run_in_executor(self._pictures, work, *arguments)

    async def on_network(self, work: Callable[..., T], *arguments: Any) -> T:
        """`work(*arguments)` in one of the few threads that wait for other hosts."""
        return await asyncio.get_running_loop().run_in_executor(self._fetching, work, *arguments)


def services_of(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Shared = Annotated[Services, Depends(services_of)]


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; given up when the client goes away, since nobody would read it.

    Only once the whole body was read. Raises what `work` raises.
    """
    asked = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise Problem(GONE, "the client went away")
        return asked.result()
    finally:
        for task in (asked, gone):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await gone


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
