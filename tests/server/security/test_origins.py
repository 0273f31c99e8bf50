"""Pages of other sites that the operator lets use the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mmsearch.errors import UsageError
from tests.server.security.worlds import application, guarded
from tests.support import ColourEncoder

SHOP = "https://shop.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x"}


@pytest.fixture
def open_to_shop(still_shop: Path) -> Iterator[TestClient]:
    with guarded(still_shop, ColourEncoder(), allow_origins=(SHOP,)) as client:
        yield client


def test_page_of_an_allowed_origin_reads_answers(open_to_shop: TestClient) -> None:
    answer = open_to_shop.get("/v1/search?q=red", headers={"Origin": SHOP})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert "Origin" in answer.headers["Vary"]
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]


def test_it_may_read_why_it_was_refused(open_to_shop: TestClient) -> None:
    answer = open_to_shop.get("/v1/search?q=red&k=0", headers={"Origin": SHOP})
    assert answer.status_code == 422
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP


def test_it_may_ask_before_it_writes_and_then_write(open_to_shop: TestClient) -> None:
    asked = open_to_shop.options("/v1/items", headers={"Origin": SHOP, **PREFLIGHT})
    assert asked.status_code == 204
    assert asked.headers["Access-Control-Allow-Origin"] == SHOP
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    headers = {"Origin": SHOP, "Sec-Fetch-Site": "cross-site"}
    done = open_to_shop.patch("/v1/items", json={"items": {}}, headers=headers)
    assert done.status_code == 200


def test_its_pictures_may_be_shown_there(open_to_shop: TestClient) -> None:
    shown = open_to_shop.get("/v1/thumbnails/red.png")
    assert shown.status_code == 200
    assert shown.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "https://shop.example.evil.example", "null", "http://shop.example"],
)
def test_other_origins_read_and_write_nothing(open_to_shop: TestClient, origin: str) -> None:
    read = open_to_shop.get("/v1/search?q=red", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in read.headers
    asked = open_to_shop.options("/v1/items", headers={"Origin": origin, **PREFLIGHT})
    assert "Access-Control-Allow-Origin" not in asked.headers
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    assert open_to_shop.patch("/v1/items", json={"items": {}}, headers=headers).status_code == 403


def test_without_a_list_no_origin_reads(still_shop: Path) -> None:
    with guarded(still_shop, ColourEncoder()) as client:
        answer = client.get("/v1/thumbnails/red.png", headers={"Origin": SHOP})
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize("given", ["*", "shop.example", "https://shop.example/", "null", ""])
def test_what_is_no_origin_is_told_before_the_server_starts(still_shop: Path, given: str) -> None:
    with pytest.raises(UsageError, match="no origin"):
        application(still_shop, ColourEncoder(), allow_origins=(given,))
