"""The client that awaits: the same calls as `Client`, on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx2

from mmsearch.client import calls, rows
from mmsearch.client.connection import Connection
from mmsearch.client.talk import Pause, Reply, Request, Talk
from mmsearch.client.values import (
    Action,
    CollectionInfo,
    Evaluation,
    Item,
    Job,
    Model,
    Result,
    Written,
)
from mmsearch.types import Answer, Hit, OnProgress, Query, UpdateReport

if TYPE_CHECKING:
    from mmsearch.client.calls import Asked, Call, Judged

T = TypeVar("T")


class AsyncClient:
    """`Client` for asyncio: the same arguments, methods and errors. An async context manager.

    async with mmsearch.AsyncClient("http://127.0.0.1:8765") as client:
        answers = await asyncio.gather(*(client.search(text) for text in texts))
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 30.0,
        retries: int = 2,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self._at = Connection(url, key, retries)
        self._own = http is None
        self._http = httpx2.AsyncClient(timeout=timeout) if http is None else http

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._own:
            await self._http.aclose()

    # ---- search

    async def search(self, query: Asked, *, k: int | None = None, **options: Any) -> Answer:
        return await self._do(calls.search(await _asked(query, k, options)))

    async def search_all(self, query: Asked, *, k: int = 100, **options: Any) -> AsyncIterator[Hit]:
        page: calls.Search | None = await _asked(query, k, options)
        while page is not None:
            answer = await self._do(calls.search(page))
            for hit in answer.hits:
                yield hit
            page = page.after(answer)

    async def similar(self, key: str, *, k: int | None = None, **options: Any) -> Answer:
        return await self._do(calls.similar(key, k, options))

    async def suggest(self, prefix: str, *, k: int = 10) -> list[tuple[str, int]]:
        return await self._do(calls.suggest(prefix, k))

    # ---- items

    async def item(self, key: str) -> Item:
        return await self._do(calls.item(key))

    async def image(self, key: str) -> bytes:
        return await self._do(calls.image(key))

    async def thumbnail(self, key: str, *, size: int = 256) -> bytes:
        return await self._do(calls.thumbnail(key, size))

    async def upsert(self, items: Iterable[Mapping[str, Any]]) -> Written:
        return rows.written([result async for result in self.upsert_each(items)])

    async def upsert_each(self, items: Iterable[Mapping[str, Any]]) -> AsyncIterator[Result]:
        bodies = rows.bodies(items)
        # In a thread, since it reads pictures.
        while (body := await asyncio.to_thread(next, bodies, None)) is not None:
            for result in await self._do(calls.upsert(body)):
                yield result

    async def update(self, attributes: Mapping[str, Mapping[str, Any]]) -> UpdateReport:
        parts, refused = rows.changes(attributes, calls.MAX_BATCH)
        return rows.sum_reports([refused, *[await self._do(calls.update(one)) for one in parts]])

    async def remove(self, keys: Sequence[str]) -> Written:
        parts = rows.batches(keys, calls.MAX_BATCH)
        return rows.written([one for some in parts for one in await self._do(calls.remove(some))])

    # ---- quality

    async def feedback(
        self, query: str | Query, key: str, action: Action, *, rank: int | None = None
    ) -> None:
        await self._do(calls.feedback(query, key, action, rank))

    async def evaluate(
        self, judged: Iterable[Judged], measures: Sequence[str] | None = None
    ) -> Evaluation:
        return await self._do(calls.evaluate(judged, measures))

    # ---- the collection

    async def collection(self) -> CollectionInfo:
        return await self._do(calls.collection())

    async def models(self) -> list[Model]:
        return await self._do(calls.models())

    async def concepts(self) -> dict[str, Query]:
        return await self._do(calls.concepts())

    async def save_concept(self, name: str, query: str | Query) -> Query:
        return await self._do(calls.save_concept(name, query))

    async def remove_concept(self, name: str) -> None:
        await self._do(calls.remove_concept(name))

    # ---- jobs

    async def index_job(self, path: str | Path) -> Job:
        return await self._do(calls.index_job(path))

    async def jobs(self) -> list[Job]:
        return await self._do(calls.jobs())

    async def job(self, id: str) -> Job:
        return await self._do(calls.job(id))

    async def cancel(self, id: str) -> Job:
        return await self._do(calls.cancel(id))

    async def wait(
        self,
        id: str,
        *,
        poll_s: float = 0.5,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Job:
        return await self._run(self._at.wait(id, poll_s, timeout_s, on_progress))

    # ---- inside

    async def _do(self, call: Call[T]) -> T:
        return await self._run(self._at.ask(call))

    async def _run(self, talk: Talk[T]) -> T:
        try:
            step = next(talk)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = next(talk)
                    continue
                try:
                    reply = await self._send(step)
                except httpx2.TransportError as error:
                    step = talk.throw(error)
                else:
                    step = talk.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _send(self, request: Request) -> Reply:
        response = await self._http.request(**self._at.arguments(request))
        return Reply(response.status_code, response.headers, response.content)


async def _asked(query: Asked, k: int | None, options: Mapping[str, Any]) -> calls.Search:
    """In a thread, since it may read a picture."""
    return await asyncio.to_thread(calls.asked, query, k, options)
