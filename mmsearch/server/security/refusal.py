"""What the guards know of a request, and how they refuse one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from mmsearch.server.problems import Problem, response_of
from mmsearch.server.security.access import Route
from mmsearch.server.security.keys import KeyScope

# A refused upload is read on for so long and so far, because a client that still sends sees a
# reset connection and not the answer.
LINGER_S = 5.0
LINGER_BYTES = 64 * 1024 * 1024


class Refusal(Problem):
    """A request that a guard refuses; `reason` is a label of /metrics: one of a few words."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(status, detail, headers, **more)
        self.reason = reason


@dataclass
class Facts:
    """What the guards learned of one request, for those that come after them and for the log."""

    request_id: str
    route: Route
    key_name: str | None = None
    key_scope: KeyScope | None = None
    refused: str | None = None
    received_bytes: int = 0
    query: str | None = None  # only with `log_queries`


def facts_of(scope: Scope) -> Facts:
    """The facts that `Observe`, the outermost layer, left in `scope`."""
    found: Facts = scope["state"]["facts"]
    return found


async def refuse(
    refusal: Refusal, scope: Scope, receive: Receive, send: Send, *, body_over: bool = False
) -> None:
    """Answer with a problem. The connection ends with it where a body may still come."""
    facts_of(scope).refused = refusal.reason
    with_body = has_body(scope) and not body_over
    if with_body:
        refusal.headers["Connection"] = "close"

    async def lingering(message: Message) -> None:
        if with_body and message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            await _drain(receive)
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    await response_of(refusal, Request(scope))(scope, receive, lingering)


async def _drain(receive: Receive) -> None:
    seen = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while seen < LINGER_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                seen += len(message.get("body", b""))


def has_body(scope: Scope) -> bool:
    """Whether a body was announced (RFC 9112, section 6.3)."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 "))
        for name, value in scope["headers"]
    )
