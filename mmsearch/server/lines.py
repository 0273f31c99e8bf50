"""NDJSON in, NDJSON out: lines in batches, each acknowledged once its batch is committed.

A batch is what came in while the one before was committed: a slow sender has each line
acknowledged at once, a quick one gets large batches.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "application/x-ndjson"
LINES_PER_BATCH = 500
BYTES_PER_BATCH = 16 * 1024 * 1024


@dataclass(frozen=True)
class Line:
    """One line of a body, without its end; `data` None: it was too long to be read."""

    number: int
    data: bytes | None

    @property
    def size(self) -> int:
        return len(self.data or b"")


Handle = Callable[[Sequence[Line]], Awaitable[Sequence[dict[str, Any]]]]


class Results(StreamingResponse):
    """What `handle` makes of each batch of a request's lines: a line of JSON for each, in order."""

    media_type = MEDIA_TYPE

    def __init__(self, request: Request, handle: Handle, max_line_bytes: int) -> None:
        super().__init__(_results(request, handle, max_line_bytes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not as the parent does, which listens for a disconnect and so takes the body's messages.
        await self.stream_response(send)


async def _results(request: Request, handle: Handle, most: int) -> AsyncIterator[bytes]:
    pump = _Pump(split(request.stream(), most))
    reading = asyncio.create_task(pump.run())
    try:
        async for batch in pump.batches():
            for result in await handle(batch):
                yield json.dumps(result, separators=(",", ":")).encode() + b"\n"
        await reading  # raises what the body raised
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError, ClientDisconnect):
            await reading


async def split(chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[Line]:
    """The lines of a body that hold anything; one above `most` bytes comes as None."""
    rest = bytearray()
    number = 1
    too_long = False
    async for chunk in chunks:
        first, *others = chunk.split(b"\n")
        rest += first
        for part in others:
            if too_long or rest.strip():
                yield Line(number, None if too_long or len(rest) > most else bytes(rest))
            number += 1
            too_long = False
            rest[:] = part
        if len(rest) > most:
            too_long = True
            rest.clear()
    if too_long or rest.strip():
        yield Line(number, None if too_long else bytes(rest))


class _Pump:
    """Reads ahead, a bounded number of bytes, while batches are committed."""

    def __init__(self, lines: AsyncIterator[Line]) -> None:
        self._lines = lines
        self._read: deque[Line] = deque()
        self._bytes = 0
        self._over = False
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        try:
            async for line in self._lines:
                async with self._changed:
                    await self._changed.wait_for(self._has_room)
                    self._read.append(line)
                    self._bytes += line.size
                    self._changed.notify_all()
        finally:
            self._over = True
            async with self._changed:
                self._changed.notify_all()

    async def batches(self) -> AsyncIterator[list[Line]]:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._read or self._over)
                if not self._read:
                    return
                batch = self._take()
                self._changed.notify_all()
            yield batch

    def _has_room(self) -> bool:
        return self._bytes < BYTES_PER_BATCH and len(self._read) < 2 * LINES_PER_BATCH

    def _take(self) -> list[Line]:
        batch: list[Line] = []
        size = 0
        while self._read and len(batch) < LINES_PER_BATCH and size < BYTES_PER_BATCH:
            line = self._read.popleft()
            batch.append(line)
            size += line.size
        self._bytes -= size
        return batch
