"""Small collections, servers and pictures for the tests of the server."""

from __future__ import annotations

import base64
import io
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

import mmsearch
from mmsearch.server.app import create_app
from mmsearch.server.settings import Settings
from tests.support import COLOURS, ColourEncoder, shop

NDJSON = {"Content-Type": "application/x-ndjson"}


def make_shop(folder: Path, encoder: ColourEncoder) -> Path:
    """Six pictures and three texts as files, and four products with prices; returns the folder."""
    shop(folder)
    rows: list[dict[str, Any]] = [
        {"key": f"P{number}", "title": f"{colour} shoe", "image": picture(colour), "group": group}
        for number, (colour, group) in enumerate(
            [("red", "shoe"), ("green", "shoe"), ("blue", "boot"), ("white", None)], 1
        )
    ]
    for price, row in enumerate(rows, 3):
        row["attributes"] = {"price": price, "brand": "Acme" if price % 2 else "Bolt"}
    with mmsearch.open(folder, create=True, encoder=encoder) as collection:
        collection.index([folder])
        collection.upsert(rows)
    return folder


def picture(colour: str, size: tuple[int, int] = (40, 30), format: str = "PNG") -> bytes:
    """A picture file of one colour."""
    data = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(data, format)
    return data.getvalue()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@contextmanager
def serving(
    folder: Path, encoder: ColourEncoder | Sequence[ColourEncoder], **settings: Any
) -> Iterator[TestClient]:
    """A client of the application itself, without a network."""
    app = create_app(Settings(folder / ".mmsearch", **settings), encoder=encoder)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert app.state.services.engine.warm.wait(30)
        client.event_hooks = {"response": [_documented(app.openapi())]}
        yield client


def _documented(document: dict[str, Any]) -> Callable[[httpx2.Response], None]:
    """Fails where a route answers with a status that the document does not name."""
    routes = [
        (re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(path))), methods)
        for path, methods in document["paths"].items()
    ]

    def check(response: httpx2.Response) -> None:
        method, path = response.request.method.lower(), response.request.url.path
        for pattern, methods in routes:
            if pattern.fullmatch(path) and method in methods:
                named = methods[method]["responses"]
                assert str(response.status_code) in named, f"{method} {path}: {sorted(named)}"
                return

    return check


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The application behind a real socket, in a thread; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def process(arguments: Sequence[str], cwd: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python ARGUMENTS`, which prints a line that ends with its address; killed at the end."""
    running = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        if not line:
            raise AssertionError(running.communicate()[1])
        address = line.split()[-1].rstrip("/")
        wait_for(address)
        yield running, address
    finally:
        running.kill()
        running.communicate()


def wait_for(address: str, seconds: float = 60.0) -> None:
    """Until the server there is ready."""
    until = time.monotonic() + seconds
    while True:
        try:
            if httpx2.get(f"{address}/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < until, "not ready in time"
        time.sleep(0.02)
