"""Where a server is and how it is asked: what both clients know."""

from __future__ import annotations

import time
from typing import Any, TypeVar

import httpx2

from mmsearch.client import calls
from mmsearch.client.calls import Call
from mmsearch.client.talk import Pause, Request, Talk, ask
from mmsearch.client.values import Job
from mmsearch.errors import ServerError, UsageError
from mmsearch.types import OnProgress, Progress

T = TypeVar("T")


class Connection:
    """The address of a server, the key for it, and how often a call is made again."""

    def __init__(self, url: str, key: str | None, retries: int) -> None:
        try:
            parsed = httpx2.URL(url)
        except (httpx2.InvalidURL, TypeError) as error:
            raise UsageError(f"{url!r} is no address of a server: {error}") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise UsageError(f"{url!r} is no address of a server: http://HOST:PORT or https://HOST")
        if retries < 0:
            raise UsageError(f"retries must be 0 or more, not {retries}")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise UsageError("an API key is made of visible ASCII characters: was it cut or mixed?")
        self._base = url.rstrip("/")
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._retries = retries

    def ask(self, call: Call[T]) -> Talk[T]:
        return ask(call.request, call.parse, self._retries)

    def wait(
        self, id: str, poll_s: float, timeout_s: float | None, on_progress: OnProgress | None
    ) -> Talk[Job]:
        """Asks again and again until a job is over."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        told: Progress | None = None
        while True:
            job = yield from self.ask(calls.job(id))
            if on_progress is not None and job.progress not in (None, told):
                told = job.progress
                on_progress(told)
            if job.over:
                return job
            if until is not None and time.monotonic() + poll_s > until:
                raise ServerError(
                    f"the job {id} is still {job.state} after {timeout_s:g} s: wait again, or "
                    "cancel it"
                )
            yield Pause(poll_s)

    def arguments(self, request: Request) -> dict[str, Any]:
        """For `httpx2.Client.request`, or that of the AsyncClient."""
        return {
            "method": request.method,
            "url": self._base + request.path,
            "params": request.params or None,
            "content": request.content,
            "files": request.files or None,
            "headers": {**request.headers, **self._headers},
        }
