"""One thread that searches. Requests wait in a queue; it takes all that wait and answers them.

A collection is no matter for several threads, and several would not be quicker: encoder and index
answer a batch in little more time than one query. So batches make themselves while the thread is
at work, and only where several requests come at once does it wait a moment for the others.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from mmsearch import stages
from mmsearch.collection import Collection
from mmsearch.errors import MmsearchError
from mmsearch.server.image_tower import ImageTower
from mmsearch.server.metrics import Metrics
from mmsearch.server.problems import RETRY_S, Problem
from mmsearch.server.settings import Settings
from mmsearch.types import Answer, Query, Term

log = logging.getLogger("mmsearch.server")

T = TypeVar("T")
Work = Query | Callable[[Collection], Any]
Result = Any | Exception

# Sees to it that the first request waits for no model, index or column.
WARM_UP = Query((Term(text="warm up"),), k=1)
CHECK_S = 1.0  # strangers may ask whether a query is answered: one answers all of a second


@dataclass(eq=False, slots=True)
class _Ticket:
    """Something to do, and the future of the event loop that waits for it."""

    work: Work
    future: asyncio.Future[Any]

    def deliver(self, result: Result) -> None:
        """On the event loop."""
        if self.future.done():  # its client went away, or its time was up
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


class Engine:
    """Answers queries over one collection, which only its own thread touches."""

    def __init__(self, collection: Collection, settings: Settings, metrics: Metrics) -> None:
        self._collection = collection
        self._metrics = metrics
        self._settings = settings
        self._waiting: queue.Queue[_Ticket | None] = queue.Queue(settings.max_waiting)
        self._thread = threading.Thread(target=self._run, name="search", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._image_tower = ImageTower(collection, settings)
        self._checked: asyncio.Future[Answer] | None = None
        self._check_after = 0.0
        self.warm = threading.Event()
        self.index_seq: int | None = None  # as Collection.index_seq has it after the last batch

    # ---- on the event loop

    def start(self) -> None:
        """Start the thread; what is asked before it is warm waits."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def answer(self, query: Query) -> Answer:
        """The answer to one query.

        Raises what `Collection.answer` does, and Problem where the server is too busy.
        """
        started = time.perf_counter()
        if any(term.image is not None for term in query.terms):
            self._require_open()
            await self._image_tower.ready()
        answer: Answer = await self._ask(query)
        self._metrics.observe_stage("total", time.perf_counter() - started)
        return answer

    async def call(self, work: Callable[[Collection], T]) -> T:
        """`work(collection)`, on the search thread. Raises what it raises, and Problem."""
        result: T = await self._ask(work)
        return result

    async def check(self) -> None:
        """See that a query is answered, now or less than a second ago.

        Raises what `answer` does, and Problem while model and index are still being loaded.
        """
        if not self.warm.is_set():
            raise Problem(503, "still loading model and index", {"Retry-After": str(RETRY_S)})
        if self._checked is None or time.monotonic() >= self._check_after:
            self._checked = asyncio.ensure_future(self.answer(WARM_UP))
            self._check_after = time.monotonic() + CHECK_S
        await asyncio.shield(self._checked)

    async def close(self) -> None:
        """Finish what was accepted, take no more, and close the collection."""
        if self._closing or not self._thread.is_alive():
            return
        self._closing = True
        await asyncio.to_thread(self._waiting.put, None)
        await asyncio.to_thread(self._thread.join)
        await self._image_tower.close()
        self._collection.close()

    def _require_open(self) -> None:
        if self._closing:
            raise Problem(503, "the server is shutting down", {"Retry-After": str(RETRY_S)})

    async def _ask(self, work: Work) -> Any:
        self._require_open()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait(_Ticket(work, future))
        except queue.Full:
            raise Problem(
                503,
                f"{self._settings.max_waiting} queries are waiting already: try again in a moment",
                {"Retry-After": str(RETRY_S)},
            ) from None
        try:
            # The future is cancelled when time is up, and the thread then skips its ticket.
            return await asyncio.wait_for(future, self._settings.request_seconds)
        except TimeoutError:
            raise Problem(
                504, f"no answer within {self._settings.request_seconds:g} s: ask for less at once"
            ) from None

    # ---- on the search thread

    def _run(self) -> None:
        self._warm_up()
        going = True
        several = False
        while going:
            tickets, going = self._take(several)
            tickets = [ticket for ticket in tickets if not ticket.future.done()]
            several = len(tickets) > 1
            if tickets:
                results = self._work(tickets)
                self.index_seq = self._collection.index_seq()
                self._post(tickets, results)

    def _warm_up(self) -> None:
        try:
            self._collection.answer(WARM_UP)
            self._collection.suggest("warm", k=1)
        except MmsearchError as error:
            # Nothing is lost: a query meets the same fault and tells its client.
            log.warning("not ready yet: %s", error)
        except Exception:  # a bug: the thread must outlive it
            log.exception("not ready yet")
        self.index_seq = self._collection.index_seq()
        if self._settings.warm_pictures:
            self._image_tower.warm()
        self.warm.set()

    def _take(self, several: bool) -> tuple[list[_Ticket], bool]:
        """All that wait, at least one; False with the last ones before the end.

        `several`: more were answered together just now, so their clients will ask again together.
        """
        tickets: list[_Ticket] = []
        until = 0.0
        while len(tickets) < self._settings.max_queries_per_batch:
            try:
                if not tickets:
                    ticket = self._waiting.get()
                    until = time.monotonic() + (self._settings.batch_window_s if several else 0)
                else:
                    left = until - time.monotonic()
                    ticket = self._waiting.get(left > 0, max(left, 0))
            except queue.Empty:
                break
            if ticket is None:
                return tickets, False
            tickets.append(ticket)
        return tickets, True

    def _work(self, tickets: Sequence[_Ticket]) -> list[Result]:
        queries = [ticket.work for ticket in tickets if isinstance(ticket.work, Query)]
        answers = iter(self._answers(queries) if queries else ())
        return [
            next(answers) if isinstance(ticket.work, Query) else self._call(ticket.work)
            for ticket in tickets
        ]

    def _answers(self, queries: Sequence[Query]) -> Sequence[Result]:
        self._metrics.observe_batch(len(queries))
        started = time.perf_counter()
        with stages.timed(self._metrics.observe_stage):
            answers = self._each(queries)
        self._metrics.observe_stage("search", time.perf_counter() - started)
        return answers

    def _each(self, queries: Sequence[Query]) -> Sequence[Result]:
        try:
            return self._collection.answer_many(queries)
        except MmsearchError as error:  # of the collection or the model: it concerns all of them
            return [error] * len(queries)
        except Exception as error:  # noqa: BLE001  # the thread must outlive any bug
            if len(queries) == 1:
                return [error]
            # One of them meets a bug, and nobody knows which: alone, it is that one's own.
            return [result for query in queries for result in self._each([query])]

    def _call(self, work: Callable[[Collection], Any]) -> Result:
        try:
            return work(self._collection)
        except Exception as error:  # noqa: BLE001  # the thread must outlive any bug
            return error

    def _post(self, tickets: Sequence[_Ticket], results: Sequence[Result]) -> None:
        def deliver() -> None:
            for ticket, result in zip(tickets, results, strict=True):
                ticket.deliver(result)

        assert self._loop is not None
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(deliver)
