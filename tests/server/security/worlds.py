"""Guarded servers, and requests that no well-behaved client can send."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.testclient import TestClient

from mmsearch.server.app import create_app
from mmsearch.server.settings import Settings
from tests.support import ColourEncoder

LOCAL = "http://127.0.0.1:8765"


def application(folder: Path, encoder: ColourEncoder, **settings: Any) -> FastAPI:
    """The application with its guards."""
    return create_app(Settings(folder / ".mmsearch", **settings), encoder=encoder)


@contextmanager
def guarded(folder: Path, encoder: ColourEncoder, **settings: Any) -> Iterator[TestClient]:
    """A client of it under a local name."""
    with TestClient(application(folder, encoder, **settings), base_url=LOCAL) as client:
        yield client


@dataclass(frozen=True)
class Raw:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bytes


def send_raw(address: str, pieces: Sequence[bytes], timeout_s: float = 20.0) -> Raw:
    """Send these bytes and read until the server closes or the answer is whole."""
    with connected(address, timeout_s) as peer:
        for piece in pieces:
            peer.sendall(piece)
        return read_answer(peer)


@contextmanager
def connected(address: str, timeout_s: float = 20.0) -> Iterator[socket.socket]:
    parts = urlsplit(address)
    assert parts.hostname is not None
    assert parts.port is not None
    with socket.create_connection((parts.hostname, parts.port), timeout_s) as peer:
        yield peer


def read_answer(peer: socket.socket) -> Raw:
    """One answer: up to its Content-Length, or to the end of the connection."""
    data = b""
    while True:
        head, found, rest = data.partition(b"\r\n\r\n")
        if found:
            answer = _parsed(head, rest, data)
            length = answer.headers.get("content-length")
            if length is not None and len(rest) >= int(length):
                return answer
        received = peer.recv(65536)
        if not received:
            return _parsed(head, rest, data)
        data += received


def _parsed(head: bytes, rest: bytes, whole: bytes) -> Raw:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    return Raw(int(first.split()[1]), headers, rest, whole)


def request(
    target: str, method: str = "GET", body: bytes = b"", headers: Sequence[str] = ()
) -> bytes:
    """An HTTP/1.1 request for exactly this target."""
    lines = [f"{method} {target} HTTP/1.1", *headers]
    if not any(line.lower().startswith("host:") for line in headers):
        lines.append("Host: 127.0.0.1")
    if body and not any(line.lower().startswith("transfer-encoding") for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
