"""Pages of other origins that may use the API: the operator names each (CORS, Fetch standard).

Without a list no page but this server's own can read an answer. There is no `*`, and cookies are
never asked for: such a page sends its key itself, or the server has none and is a local one.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmsearch.errors import UsageError
from mmsearch.server.security.refusal import facts_of
from mmsearch.server.security.requests import header_values

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_HEADERS = b"Authorization, Content-Type, If-None-Match, X-Request-Id"
_READABLE = b"ETag, Location, Retry-After, WWW-Authenticate, X-Request-Id"
_REMEMBERED_S = b"600"  # as long as Chromium keeps a preflight's answer at most (2026)
# An <img> of such a page asks without CORS; this lets it show what it got.
_PICTURES = {"/v1/images/{key:path}", "/v1/thumbnails/{key:path}"}


class Origins:
    """Answers preflights of allowed origins, and lets them read the answers.

    Raises UsageError for what is no origin.
    """

    def __init__(self, app: ASGIApp, allowed: Iterable[str]) -> None:
        self.app = app
        self._allowed = {require_origin(origin) for origin in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = header_values(scope, b"origin")
        origin = given[0] if len(given) == 1 and given[0] in self._allowed else None

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"vary", b"Origin")]
                if origin is not None:
                    headers.append((b"access-control-allow-origin", origin.encode()))
                    headers.append((b"access-control-expose-headers", _READABLE))
                if facts_of(scope).route.template in _PICTURES:
                    headers.append((b"cross-origin-resource-policy", b"cross-origin"))
                message = {**message, "headers": headers}
            await send(message)

        if origin is not None and _is_preflight(scope):
            await sending(
                {
                    "type": "http.response.start",
                    "status": 204,
                    "headers": [
                        (b"access-control-allow-methods", _METHODS),
                        (b"access-control-allow-headers", _HEADERS),
                        (b"access-control-max-age", _REMEMBERED_S),
                    ],
                }
            )
            await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, sending)


def require_origin(origin: str) -> str:
    """`origin` as browsers send it. Raises UsageError for anything but scheme://host[:port]."""
    parts = urlsplit(origin)
    bare = f"{parts.scheme}://{parts.netloc}".lower()
    if parts.scheme not in ("http", "https") or not parts.hostname or origin.lower() != bare:
        raise UsageError(
            f"{origin!r} is no origin: write scheme, host and, if it is not the usual one, port, "
            "as https://shop.example"
        )
    return bare


def _is_preflight(scope: Scope) -> bool:
    asked = header_values(scope, b"access-control-request-method")
    return bool(scope["method"] == "OPTIONS" and asked)
