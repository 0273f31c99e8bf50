"""The search page: files of the package, and nothing else."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath

from mmsearch.server.problems import Problem

router = APIRouter(include_in_schema=False)

PAGE = Path(__file__).parent.parent / "page"
# Names decide, and only of files that we ship.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}


@router.head("/")
@router.get("/")
def page(request: Request) -> Response:
    return _file(request, "index.html")


@router.head("/static/{name:path}")
@router.get("/static/{name:path}")
def static(request: Request, name: Annotated[str, InPath()]) -> Response:
    return _file(request, name)


@cache
def _files() -> dict[str, Path]:
    """Every file of the page by its name: what is not in here is not there."""
    return {
        path.relative_to(PAGE).as_posix(): path
        for path in PAGE.rglob("*")
        if path.is_file() and path.suffix in _TYPES
    }


def _file(request: Request, name: str) -> Response:
    path = _files().get(name)
    if path is None:
        raise Problem(404, f"the page has no file {name[:80]!r}")
    data = path.read_bytes()
    etag = f'"{_digest(data)}"'
    headers: dict[str, Any] = {"ETag": etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=_TYPES[path.suffix], headers=headers)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()
