"""What browsers are told with every answer, and what no answer may hold.

Directives after OWASP's Secure Headers Project and CSP Level 3.
"""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmsearch.server.security.refusal import facts_of

log = logging.getLogger("mmsearch.server")

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
_PAGE = {"/", "/static/{name:path}"}
# All that the routes send by themselves. Of these no browser makes a document that runs scripts.
_DATA = {
    "application/json",
    "application/problem+json",
    "application/x-ndjson",
    "text/plain",
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/avif",
}


class Headers:
    """Sets the security headers of every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        facts = facts_of(scope)
        own_page = facts.route.template in _PAGE

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = _clean(message.get("headers", ()))
                headers = _guarded(headers, own_page)
                headers.append((b"x-request-id", facts.request_id.encode()))
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, sending)


Pairs = list[tuple[bytes, bytes]]


def _clean(headers: Pairs) -> Pairs:
    """Without headers that would end their line and begin others (response splitting).

    uvicorn writes values as they are, so one line break from a key would be enough.
    """
    clean = []
    for name, value in headers:
        if any(char in part for part in (name, value) for char in b"\r\n\0"):
            log.error("a header %r with a line break was not sent", name)
        else:
            clean.append((name.lower(), value))
    return clean


def _guarded(headers: Pairs, own_page: bool) -> Pairs:
    given = dict(headers)
    headers = [pair for pair in headers if pair[0] not in (b"server", b"x-powered-by")]
    headers.extend(pair for pair in _ALWAYS if pair[0] not in given)
    policy = PAGE_POLICY if own_page else DATA_POLICY
    headers.append((b"content-security-policy", policy.encode()))
    if own_page:
        return headers
    kind = given.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    if kind and kind not in _DATA:
        # HTML or SVG out of a collection would run as ours: offered as a file instead.
        headers = [pair for pair in headers if pair[0] != b"content-type"]
        headers.append((b"content-type", b"application/octet-stream"))
        headers.append((b"content-disposition", b"attachment"))
    if b"cache-control" not in given:
        headers.append((b"cache-control", b"no-store"))
    return headers
