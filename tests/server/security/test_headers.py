"""What browsers are told, and what no answer holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.responses import Response
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from mmsearch.server.metrics import Metrics
from mmsearch.server.security import guard
from mmsearch.server.security.headers import DATA_POLICY, PAGE_POLICY
from mmsearch.server.settings import Settings
from tests.server.security.conftest import Keyed
from tests.server.security.worlds import LOCAL, request, send_raw
from tests.server.worlds import listening

ALL = [
    ("GET", "/", 200),
    ("GET", "/static/app.js", None),
    ("GET", "/v1/search?q=red", 200),
    ("GET", "/v1/thumbnails/P1", 200),
    ("GET", "/v1/images/P1", 200),
    ("GET", "/v1/items/nothing", 404),
    ("POST", "/v1/search", 422),
    ("DELETE", "/v1/search", 405),
    ("GET", "/metrics", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/v1/items/a%00", 400),
]


@pytest.mark.parametrize(("method", "path", "status"), ALL)
def test_every_answer_has_the_headers(
    local: TestClient, method: str, path: str, status: int | None
) -> None:
    response = local.request(method, path)
    assert status is None or response.status_code == status
    headers = response.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert len(headers["x-request-id"]) == 32
    assert "server" not in headers
    assert "x-powered-by" not in headers
    own = path == "/" or path.startswith("/static/")
    assert headers.get_list("content-security-policy") == [PAGE_POLICY if own else DATA_POLICY]


def test_the_page_runs_nothing_but_its_own() -> None:
    policy = dict(part.strip().partition(" ")[::2] for part in PAGE_POLICY.split(";"))
    assert policy["default-src"] == "'none'"
    for own in ("script-src", "style-src", "connect-src"):
        assert policy[own] == "'self'"
    assert policy["img-src"] == "'self' blob: data:"
    for none in ("base-uri", "form-action", "frame-ancestors"):
        assert policy[none] == "'none'"
    assert "unsafe" not in PAGE_POLICY
    assert "sandbox" in DATA_POLICY


def test_answers_are_kept_nowhere_unless_their_route_says_so(local: TestClient) -> None:
    assert local.get("/v1/collection").headers["cache-control"] == "no-store"
    assert "max-age" in local.get("/v1/thumbnails/P1").headers["cache-control"]


def test_with_keys_no_cache_between_keeps_a_picture(keyed: Keyed) -> None:
    response = keyed.client.get("/v1/thumbnails/P1", headers=keyed.read)
    assert response.headers["cache-control"].startswith("private")


# ---- what a route could do wrong


def tiny(tmp_path: Path, response: Response) -> FastAPI:
    """Guards before one route that answers like this."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await response(scope, receive, send)

    app = FastAPI()
    app.state.metrics = Metrics()
    app.mount("/v1/images", answer)
    guard(app, Settings(tmp_path))
    return app


def with_headers(pairs: Sequence[tuple[bytes, bytes]]) -> Response:
    response = Response(b"{}", media_type="application/json")
    response.raw_headers.extend(pairs)
    return response


def test_no_header_breaks_its_line(tmp_path: Path) -> None:
    """Behind a real socket: uvicorn writes the values of headers as they are."""
    response = with_headers([(b"ETag", b'"key\r\nSet-Cookie: evil=1"'), (b"X-Fine", b"yes")])
    with listening(tiny(tmp_path, response)) as address:
        answer = send_raw(address, [request("/v1/images/x")])
    assert answer.status == 200
    assert answer.headers["x-fine"] == "yes"
    assert b"evil" not in answer.whole


@pytest.mark.parametrize(
    "kind", ["text/html", "image/svg+xml", "TEXT/HTML; charset=utf-8", "application/xml", "x/y"]
)
def test_no_document_that_runs_comes_out_of_a_collection(tmp_path: Path, kind: str) -> None:
    response = Response(b"<script>alert(1)</script>", media_type=kind)
    client = TestClient(tiny(tmp_path, response), base_url=LOCAL)
    answer = client.get("/v1/images/x")
    assert answer.headers.get_list("content-type") == ["application/octet-stream"]
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-security-policy"] == DATA_POLICY


def test_the_name_of_the_program_is_not_told(tmp_path: Path) -> None:
    app = tiny(tmp_path, with_headers([(b"Server", b"uvicorn"), (b"X-Powered-By", b"Python")]))
    headers = TestClient(app, base_url=LOCAL).get("/v1/images/x").headers
    assert "server" not in headers
    assert "x-powered-by" not in headers
