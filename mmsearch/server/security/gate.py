"""One layer that asks each check in turn, before a byte of the body is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from mmsearch.server.security.refusal import Facts, Refusal, facts_of, refuse

# Raises Refusal; the order decides what a request that is wrong twice is told.
Check = Callable[[Scope, Facts], None]


class Gate:
    """Lets through what no check refuses."""

    def __init__(self, app: ASGIApp, checks: Sequence[Check]) -> None:
        self.app = app
        self.checks = checks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            facts = facts_of(scope)
            try:
                for check in self.checks:
                    check(scope, facts)
            except Refusal as refusal:
                await refuse(refusal, scope, receive, send)
                return
        await self.app(scope, receive, send)
