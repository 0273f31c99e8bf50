"""Bodies within their bounds: bytes, seconds and the shape of JSON, counted while they come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmsearch.server import lines
from mmsearch.server.bodies import media_type
from mmsearch.server.security.json_shape import JsonShape
from mmsearch.server.security.refusal import Facts, Refusal, facts_of, has_body, refuse
from mmsearch.server.security.requests import header_values
from mmsearch.server.settings import KIB, MIB, Settings

# Of all that holds no pictures: a query may exclude thousands of keys, but has no use for more.
SMALL_BYTES = 4 * MIB
_LARGE = {"/v1/items", "/v1/search/image", "/v1/evaluate"}
FEEDBACK_BYTES = 64 * KIB  # kept on disk for good, and whoever may read may send it
# The engine has the same limit and a better message: it goes first.
_GRACE_S = 1.0


class Bodies:
    """Refuses what is too large, too slow or too nested, and answers in the application's place."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        facts = facts_of(scope)
        kind = media_type(Request(scope))
        by_lines = kind == lines.MEDIA_TYPE and facts.route.template == "/v1/items"
        body = _Body(self.settings, facts, kind, by_lines)
        exchange = _Exchange(body, receive, send, self.settings.request_seconds)
        try:
            body.check_length(header_values(scope, b"content-length"))
            await exchange.run(self.app, scope, answers_in_time=facts.route.scope != "write")
        except Refusal as refusal:
            if exchange.started:
                # Too late for a status; without its end nobody takes the answer for whole.
                facts.refused = refusal.reason
                return
            await refuse(refusal, scope, receive, send, body_over=exchange.body_over)


class _Body:
    """Counts one body."""

    def __init__(self, settings: Settings, facts: Facts, kind: str, lines: bool) -> None:
        self.limit = settings.max_body_bytes
        if facts.route.template not in _LARGE:
            small = facts.route.template == "/v1/feedback"
            self.limit = min(self.limit, FEEDBACK_BYTES if small else SMALL_BYTES)
        self.lines = lines  # without an end; each line has the limit, which its reader keeps
        self._facts = facts
        self._shape = (
            None if kind == "multipart/form-data" else JsonShape(settings.max_filter_depth)
        )

    def check_length(self, given: list[str]) -> None:
        """What the client announces. Raises Refusal."""
        if self.lines or not given:
            return
        if any(int(value) > self.limit for value in given if value.isdecimal()):
            raise self._too_large()

    def take(self, piece: bytes) -> None:
        """What really comes. Raises Refusal."""
        self._facts.received_bytes += len(piece)
        if not self.lines and self._facts.received_bytes > self.limit:
            raise self._too_large()
        if self._shape is None:
            return
        first, *others = piece.split(b"\n") if self.lines else [piece]
        self._shape.feed(first)
        for line in others:
            self._shape.reset()
            self._shape.feed(line)

    def _too_large(self) -> Refusal:
        return Refusal(
            413,
            "body",
            f"the body is larger than {self.limit / MIB:g} MiB, the most that is read here",
        )


class _Exchange:
    """One request and its answer: their messages, and their time."""

    def __init__(self, body: _Body, receive: Receive, send: Send, seconds: float) -> None:
        self.started = False
        self.body_over = False
        self._body = body
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._until = asyncio.get_running_loop().time() + seconds
        self._refusal: Refusal | None = None
        self._on_whole: Callable[[], None] = lambda: None

    async def run(self, app: ASGIApp, scope: Scope, *, answers_in_time: bool) -> None:
        """The application, with what it may not see kept from it. Raises Refusal."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                if answers_in_time:
                    self._on_whole = lambda: limit.reschedule(
                        loop.time() + self._seconds + _GRACE_S
                    )
                if not has_body(scope):
                    self._on_whole()
                await app(scope, self.receive, self._sending(limit))
        except TimeoutError:
            if not limit.expired():
                raise
            raise Refusal(
                504, "answer", f"no answer within {self._seconds:g} s: ask for less at once"
            ) from None
        except Exception:
            # FastAPI makes other errors of what goes wrong while it reads a body.
            if self._refusal is None:
                raise
        if self._refusal is not None:
            raise self._refusal

    async def receive(self) -> Message:
        """The next message; raises Refusal, also each time it is asked again."""
        if self._refusal is not None:
            raise self._refusal
        if self.body_over:
            return await self._receive()
        try:
            return await self._next()
        except Refusal as refusal:
            self._refusal = refusal
            raise

    async def _next(self) -> Message:
        until = self._until
        if self._body.lines:
            until = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(until):
                message = await self._receive()
        except TimeoutError:
            raise Refusal(
                408, "slow", f"the body did not come within {self._seconds:g} s: send less at once"
            ) from None
        self.body_over = not message.get("more_body", False)
        if message["type"] == "http.request":
            self._body.take(message.get("body", b""))
        if self.body_over and not self.started:
            self._on_whole()  # from now on it is the application's time
        return message

    def _sending(self, limit: asyncio.Timeout) -> Send:
        async def send(message: Message) -> None:
            if self._refusal is not None and not self.started:
                return  # it is answered by the refusal
            if message["type"] == "http.response.start":
                self.started = True
                if limit.when() is not None:
                    limit.reschedule(None)
            await self._send(message)

        return send
