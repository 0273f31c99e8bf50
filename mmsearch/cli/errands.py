"""Runs the commands of `mmsearch query --socket`: in a server that has everything loaded.

The very command of query.py, on the server's own search thread, for a caller elsewhere. Only the
owner of the collection reaches the socket, and could run it as well; what is in front of the
application itself, guards and log, is for strangers and left out here.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mmsearch.cli import over_socket
from mmsearch.cli.app import build
from mmsearch.cli.options import Caller
from mmsearch.errors import MmsearchError, exit_code
from mmsearch.server.problems import Problem

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

    from mmsearch.collection import Collection
    from mmsearch.server.services import Services

# Of click, which typer brings along under a name of its own, or does not.
_CLICK_ERROR: Any = next(k for k in typer.BadParameter.__mro__ if k.__name__ == "ClickException")


class Errands:
    """An ASGI application in front of the server's: POST /query is a command, the rest is passed
    on.

    The body is the collection's directory as the caller calls it, the caller's working directory,
    the columns of the terminal (empty without one) and the words after `query`, with NULs between
    them. The answer is what over_socket.written says. A command line that cannot be read is a 422:
    the caller's own program says why.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        program: Any = typer.main.get_command(build(["query"]))
        self._command = program.commands["query"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != over_socket.ADDRESS:
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            return  # the caller went away
        reply = await self._reply(body)
        length = str(len(reply or b"")).encode()
        await send(
            {
                "type": "http.response.start",
                "status": 422 if reply is None else 200,
                "headers": [(b"content-length", length)],
            }
        )
        await send({"type": "http.response.body", "body": reply or b""})

    async def _reply(self, body: bytes) -> bytes | None:
        services: Services = self._app.state.services
        answers, name = services.answers, body.decode("latin-1")
        keep = b"--explain" not in body  # which tells of this answer's own way and time
        try:
            stamp = answers.stamp()
            reply = answers.get(name, stamp) if keep else None
            services.metrics.cache(hit=reply is not None)
            if reply is None:
                code, reply = await services.engine.call(lambda c: self._run(c, body))
                if keep and reply is not None and code == 0:
                    answers.put(name, stamp, reply)
        except (MmsearchError, Problem) as error:
            code = exit_code(error) if isinstance(error, MmsearchError) else 1
            return over_socket.written(code, b"", f"error: {error}\n".encode())
        return reply

    def _run(self, collection: Collection, body: bytes) -> tuple[int, bytes | None]:
        """On the search thread: the exit code and the reply, None for a line that is wrong."""
        if body.count(b"\0") < 3:
            return 2, None
        root, folder, width, *words = os.fsdecode(body).split("\0")
        out, err = _stream(), _stream()
        caller = Caller(
            Path(folder), int(width) if width else None, out, err, collection, Path(root)
        )
        code = 0
        try:
            with self._command.make_context("query", words, obj=caller) as context:
                if not context.params["socket"]:  # the word was the value of another option
                    return 2, None
                self._command.invoke(context)
        except MmsearchError as error:
            code = exit_code(error)
            err.write(f"error: {error}\n")
        except (_CLICK_ERROR, typer.Exit):
            return 2, None
        return code, over_socket.written(code, _bytes(out), _bytes(err))


async def _body(receive: Receive) -> bytes | None:
    """The whole of it; None where it does not come."""
    pieces = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")


def _bytes(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()
