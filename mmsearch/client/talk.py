"""What a client and its server say to each other, apart from how the bytes travel.

A `Talk` is a generator: it yields a Request or a Pause and is sent the Reply, so that the client
that waits and the one that awaits are each one small loop around the same talks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2

from mmsearch.client.faults import error_of, unreachable

T = TypeVar("T")

# Statuses by which a server says that it did nothing yet: too many requests, too busy.
_LATER = (429, 503)
_FIRST_PAUSE_S = 0.25
# Whoever asks for more patience than this is told to the caller, who knows what else to do.
MAX_PAUSE_S = 30.0


@dataclass(frozen=True)
class Request:
    """One HTTP request. At most one of `content` and `files` is its body.

    `repeatable`: sent twice, it does what it does once (RFC 9110, section 9.2.2, or better).
    """

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    files: Sequence[tuple[str, tuple[str | None, bytes, str]]] = ()  # field, (name, data, type)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True


@dataclass(frozen=True)
class Pause:
    """Nothing to say for some seconds."""

    seconds: float


@dataclass(frozen=True)
class Reply:
    """A whole response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


Talk = Generator[Request | Pause, Reply, T]


def ask(request: Request, parse: Callable[[Reply], T], retries: int) -> Talk[T]:
    """The parsed reply to one request, asked again where that may help and does no harm.

    That is: after a failed connection, and after a 429 or 503, as long after it as the server
    says. Raises the error of the library that the server met, AuthError, ServerError.
    """
    for attempt in range(retries + 1):
        last = attempt == retries
        try:
            reply = yield request
        except httpx2.TransportError as error:
            if last or not _may_repeat(request, error):
                raise unreachable(error) from error
            pause = _backoff(attempt)
        else:
            if reply.status < 400:
                return parse(reply)
            wait = _wait(reply, attempt)
            if last or not request.repeatable or wait is None or wait > MAX_PAUSE_S:
                raise error_of(reply.status, reply.headers, reply.content)
            pause = wait
        yield Pause(pause)
    raise AssertionError("the last attempt returns or raises")


def _may_repeat(request: Request, error: httpx2.TransportError) -> bool:
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return True  # it was never sent
    # A server that was restarted closes kept connections. A read that took too long would again.
    broken = isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError)
    return request.repeatable and broken


def _wait(reply: Reply, attempt: int) -> float | None:
    """Seconds until asking again may help; None: it will not."""
    if reply.status not in _LATER:
        return None
    try:
        return max(0.0, float(reply.headers["retry-after"]))
    except (KeyError, ValueError):  # absent, or a date
        return _backoff(attempt)


def _backoff(attempt: int) -> float:
    """Seconds: twice as many each time, of which a random half keeps clients from marching."""
    return float(_FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.0))
