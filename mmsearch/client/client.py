"""The client that waits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


class Client:
    """A collection behind `mmsearch serve`, asked as if it were here. A context manager.

    with mmsearch.Client("http://127.0.0.1:8765") as client:
        for hit in client.search("red shoes", where="price < 50").hits:
            print(hit.rank, hit.key)

    `key` is an API key where the server wants one; `timeout` the most seconds that any wait for
    the network takes. A call whose connection fails, or that the server is too busy for, is made
    again `retries` times, but not where twice would be more than once. `http` takes the place of
    the connections that the client makes itself, and is left open. For any number of threads.

    What the server finds wrong is raised as the error that the library itself would raise;
    besides, AuthError where a key is missing or may do too little, and ServerError.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 30.0,
        retries: int = 2,
        http: httpx2.Client | None = None,
    ) -> None:
        self._at = Connection(url, key, retries)
        self._own = http is None
        self._http = httpx2.Client(timeout=timeout) if http is None else http

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._own:
            self._http.close()

    # ---- search

    def search(self, query: Asked, *, k: int | None = None, **options: Any) -> Answer:
        """The answer to one query: see `Collection.answer`, whose options these are.

        A string is always text; a Path, the bytes of a picture file or a Pillow image is a
        picture.
        """
        return self._do(calls.search(calls.asked(query, k, options)))

    def search_all(self, query: Asked, *, k: int = 100, **options: Any) -> Iterator[Hit]:
        """All hits, the best first, `k` of them at a time."""
        page: calls.Search | None = calls.asked(query, k, options)
        while page is not None:
            answer = self._do(calls.search(page))
            yield from answer.hits
            page = page.after(answer)

    def similar(self, key: str, *, k: int | None = None, **options: Any) -> Answer:
        """What is like a stored item, without the item itself."""
        return self._do(calls.similar(key, k, options))

    def suggest(self, prefix: str, *, k: int = 10) -> list[tuple[str, int]]:
        """Texts that begin so, and of how many items, the most frequent first."""
        return self._do(calls.suggest(prefix, k))

    # ---- items

    def item(self, key: str) -> Item:
        """Raises ItemNotFoundError."""
        return self._do(calls.item(key))

    def image(self, key: str) -> bytes:
        """An item's picture, as a rule without metadata. Raises ItemNotFoundError."""
        return self._do(calls.image(key))

    def thumbnail(self, key: str, *, size: int = 256) -> bytes:
        """A JPEG of it, at most about `size` pixels a side. Raises ItemNotFoundError."""
        return self._do(calls.thumbnail(key, size))

    def upsert(self, items: Iterable[Mapping[str, Any]]) -> Written:
        """Add items, or replace those whose key is known: see `Collection.upsert`.

        Pictures are bytes or paths on this machine, one of each item. Any number of rows: some
        hundred are sent at a time, and what was sent is committed when this returns or raises.
        """
        return rows.written(self.upsert_each(items))

    def upsert_each(self, items: Iterable[Mapping[str, Any]]) -> Iterator[Result]:
        """The same, row by row: what became of each, in order, while more are sent."""
        for body in rows.bodies(items):
            yield from self._do(calls.upsert(body))

    def update(self, attributes: Mapping[str, Mapping[str, Any]]) -> UpdateReport:
        """Set attributes of items by key, and remove those whose new value is None.

        What `Collection.update` refuses is a failure here too.
        """
        parts, refused = rows.changes(attributes, calls.MAX_BATCH)
        return rows.sum_reports([refused, *(self._do(calls.update(some)) for some in parts)])

    def remove(self, keys: Sequence[str]) -> Written:
        """Forget items by key; one that is not there is a failure."""
        return rows.written(
            result
            for some in rows.batches(keys, calls.MAX_BATCH)
            for result in self._do(calls.remove(some))
        )

    # ---- quality

    def feedback(
        self, query: str | Query, key: str, action: Action, *, rank: int | None = None
    ) -> None:
        """Keep what someone did with a hit, for `mmsearch evaluate` and `mmsearch train`."""
        self._do(calls.feedback(query, key, action, rank))

    def evaluate(
        self, judged: Iterable[Judged], measures: Sequence[str] | None = None
    ) -> Evaluation:
        """Measures ("nDCG@10", ...) over queries and the grades of the items that answer them.

        Each is `("red shoe", {"P001": 2})`, or `{"query": "red shoe", "relevant": {"P001": 2}}`.
        """
        return self._do(calls.evaluate(judged, measures))

    # ---- the collection

    def collection(self) -> CollectionInfo:
        """Counts, sizes, the encoder and the attributes."""
        return self._do(calls.collection())

    def models(self) -> list[Model]:
        """The models that a collection can be encoded with."""
        return self._do(calls.models())

    def concepts(self) -> dict[str, Query]:
        """The saved concepts by name."""
        return self._do(calls.concepts())

    def save_concept(self, name: str, query: str | Query) -> Query:
        """Keep what a query looks for under a name; replaces the concept of that name."""
        return self._do(calls.save_concept(name, query))

    def remove_concept(self, name: str) -> None:
        """Raises ItemNotFoundError."""
        self._do(calls.remove_concept(name))

    # ---- jobs

    def index_job(self, path: str | Path) -> Job:
        """Let the server index a folder or table of its own, beneath a root it allows."""
        return self._do(calls.index_job(path))

    def jobs(self) -> list[Job]:
        """The last ones, the newest first."""
        return self._do(calls.jobs())

    def job(self, id: str) -> Job:
        """How far it is. Raises ItemNotFoundError."""
        return self._do(calls.job(id))

    def cancel(self, id: str) -> Job:
        """Stop it after its batch; what was committed stays. Raises ItemNotFoundError."""
        return self._do(calls.cancel(id))

    def wait(
        self,
        id: str,
        *,
        poll_s: float = 0.5,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Job:
        """The job once it is over, whatever its state.

        Raises ItemNotFoundError, and ServerError where it is still under way after `timeout_s`.
        """
        return self._run(self._at.wait(id, poll_s, timeout_s, on_progress))

    # ---- inside

    def _do(self, call: Call[T]) -> T:
        return self._run(self._at.ask(call))

    def _run(self, talk: Talk[T]) -> T:
        try:
            step = next(talk)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = next(talk)
                    continue
                try:
                    reply = self._send(step)
                except httpx2.TransportError as error:
                    step = talk.throw(error)
                else:
                    step = talk.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, request: Request) -> Reply:
        response = self._http.request(**self._at.arguments(request))
        return Reply(response.status_code, response.headers, response.content)
