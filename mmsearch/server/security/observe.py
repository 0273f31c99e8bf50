"""The outermost layer: a request's id, its line in the log, its figures, its span, its bugs."""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmsearch.server.metrics import Metrics
from mmsearch.server.problems import GONE, of_bug, response_of
from mmsearch.server.security.access import Route, route_of
from mmsearch.server.security.refusal import Facts, facts_of
from mmsearch.server.security.requests import header_values
from mmsearch.server.tracing import Tracing

log = logging.getLogger("mmsearch.server.request")

# Long enough for UUIDs, AWS' and other proxies' ids; nothing in it needs quoting anywhere.
_GOOD_ID = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,128}")
_QUERY_BYTES = 64 * 1024  # of a body, to find the query's text in


class Bugs:
    """Makes a problem of what nobody expected; the log has the rest, once, with the request's id.

    Starlette would do so outside of all guards, and its answer would have none of their headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception:
            log.exception("a bug", extra={"request_id": facts_of(scope).request_id})
            if started:
                raise  # the server cuts the answer off
            await response_of(of_bug(), Request(scope))(scope, receive, send)


class Observe:
    """Sees each request first and last."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, tracing: Tracing | None, log_queries: bool
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.tracing = tracing
        self.log_queries = log_queries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # no guard knows them
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        facts = Facts(_request_id(scope), route_of(scope["method"], scope["path"]))
        state = scope.setdefault("state", {})
        state["facts"], state["request_id"] = facts, facts.request_id
        seen = _Seen(scope, receive, send, keep_body=self.log_queries)
        started = time.perf_counter()
        with self.metrics.in_flight(), self._span(scope, facts, seen):
            await self.app(scope, seen.receive, seen.send)
        seconds = time.perf_counter() - started
        self.metrics.request(facts.route.template, facts.route.method, seen.status, seconds)
        if facts.refused is not None:
            self.metrics.refused(facts.refused)
        self._log(facts, seen, seconds)

    def _span(self, scope: Scope, facts: Facts, seen: _Seen) -> AbstractContextManager[Any]:
        if self.tracing is None:
            return nullcontext()
        return self.tracing.request(
            facts.route, facts.request_id, scope["headers"], lambda: seen.status
        )

    def _log(self, facts: Facts, seen: _Seen, seconds: float) -> None:
        line: dict[str, Any] = {
            "request_id": facts.request_id,
            "method": facts.route.method,
            "route": facts.route.template,
            "status": seen.status,
            "ms": round(seconds * 1000, 2),
            "bytes": seen.sent_bytes,
            "received_bytes": facts.received_bytes,
            "key": facts.key_name,
        }
        if facts.refused is not None:
            line["refused"] = facts.refused
        if self.log_queries:
            line["query"] = seen.query(facts.route)
        level = logging.ERROR if seen.status >= 500 else logging.INFO
        log.log(level, "request", extra=line)


def _request_id(scope: Scope) -> str:
    """The client's, where it is one; it stands in headers and logs."""
    given = header_values(scope, b"x-request-id")
    if len(given) == 1 and _GOOD_ID.fullmatch(given[0]):
        return given[0]
    return secrets.token_hex(16)


class _Seen:
    """The messages of one request as they pass."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, keep_body: bool) -> None:
        self.status = GONE  # until there is an answer
        self.sent_bytes = 0
        self._scope = scope
        self._receive = receive
        self._send = send
        self._body: bytearray | None = bytearray() if keep_body else None

    async def receive(self) -> Message:
        message = await self._receive()
        if self._body is not None and message["type"] == "http.request":
            self._body += message.get("body", b"")[: _QUERY_BYTES - len(self._body)]
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.sent_bytes += len(message.get("body", b""))
        await self._send(message)

    def query(self, route: Route) -> Any:
        """What was searched for, as far as it was words; None elsewhere."""
        if route.template in ("/v1/search", "/v1/suggest") and route.method == "GET":
            return parse_qs(self._scope["query_string"].decode("latin-1")).get("q", [None])[0]
        if route.template != "/v1/search":
            return None
        try:
            body = json.loads(bytes(self._body or b""))
            return body.get("text") or [term.get("text") for term in body.get("terms", [])]
        except (ValueError, AttributeError, TypeError, RecursionError):
            return None  # it was no query, and was told so
