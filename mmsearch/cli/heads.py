"""Connections whose requests do not begin in time are closed: they would be held for ever."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_PROBLEM = b'{"title": "Request Timeout", "status": 408}'
_TIMED_OUT = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
    b"Content-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%b"
) % (len(_PROBLEM), _PROBLEM)


class PromptHeads(HttpToolsProtocol):
    """uvicorn's protocol; a head has `seconds` from the connection, or its own first byte, on.

    Between two requests of a connection uvicorn's own, shorter time counts.
    """

    seconds: ClassVar[float]
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        self._stop()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(self.seconds, self._give_up)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        begun = self.scope is not None  # browsers open connections that they may never use
        if begun and (self.cycle is None or self.cycle.response_complete):
            self.transport.write(_TIMED_OUT)
        self.transport.close()


def prompt_heads(seconds: float) -> type[PromptHeads]:
    """A protocol for uvicorn that waits so long for each head."""
    return type("PromptHeads", (PromptHeads,), {"seconds": seconds})
