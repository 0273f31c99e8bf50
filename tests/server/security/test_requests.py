"""What a request says of itself: paths, hosts, origins, methods."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mmsearch.server.hosts import is_local
from mmsearch.server.security.requests import host_name
from tests.server.security.conftest import Keyed
from tests.server.security.worlds import guarded, request, send_raw
from tests.support import ColourEncoder


@pytest.mark.parametrize(
    "target",
    [
        "/../../etc/passwd",
        "/static/../../settings.py",
        "/static/..%2f..%2fsettings.py",
        "/static/%2e%2e/settings.py",
        "/static/..%5c..%5csettings.py",
        "/v1/images/../../../etc/passwd",
        "/v1/images/%2e%2e/%2E%2e/etc/passwd",
        "/v1/thumbnails/./x",
        "/v1/items/..",
    ],
)
def test_no_path_steps_upwards(address: str, target: str) -> None:
    answer = send_raw(address, [request(target)])
    assert answer.status == 400
    assert b"segment" in answer.body


def test_a_key_may_hold_dots_where_its_slashes_are_escaped(address: str) -> None:
    """Nothing joins a key to a path: it is looked up, and here there is none."""
    for target in ("/v1/items/a%2F..%2Fb", "/v1/items/..a", "/v1/images/..%2F..%2Fetc%2Fpasswd"):
        assert send_raw(address, [request(target)]).status == 404


@pytest.mark.parametrize(
    "target",
    [
        "/v1/images/a%00.jpg",
        "/v1/items/%00",
        "/healthz%0a",
        "/v1/search%0a",
        "/v1/items%0a",
        "/v1/concepts/%1b[31m",
        "/static/page.css%7f",
    ],
)
def test_no_path_but_of_a_key_holds_a_control_character(address: str, target: str) -> None:
    answer = send_raw(address, [request(target)])
    assert answer.status == 400
    assert b"control character" in answer.body


@pytest.mark.parametrize(
    "target", ["/v1/items/a%0d%0aSet-Cookie:%20x=1", "/v1/images/%0a", "/v1/similar/%1b%7f"]
)
def test_a_key_may_hold_them_and_is_only_looked_up(address: str, target: str) -> None:
    answer = send_raw(address, [request(target)])
    assert answer.status == 404
    assert b"no item has the key" in answer.body
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "target", ["/v1/items/%ff", "/v1/items/%c0%af", "/v1/search?q=%ff", "/v1/search?%80=1"]
)
def test_addresses_are_utf_8(address: str, target: str) -> None:
    answer = send_raw(address, [request(target)])
    assert answer.status == 400
    assert b"UTF-8" in answer.body


def test_other_alphabets_are_welcome(address: str) -> None:
    assert send_raw(address, [request("/v1/search?q=%E7%BA%A2%20%F0%9F%9F%A5")]).status == 200


# ---- the host


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8765", "localhost", "LOCALHOST:1", "localhost.", "[::1]:8765", "127.9.9.9"]
)
def test_without_keys_local_names_are_served(local: TestClient, host: str) -> None:
    assert local.get("/v1/collection", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "evil.example@localhost",
        "192.168.1.5:8765",
        "",
        "[::1",
    ],
)
def test_without_keys_a_rebound_name_is_refused_on_every_route(
    local: TestClient, host: str
) -> None:
    for path in ("/", "/v1/collection", "/v1/search?q=red", "/metrics", "/healthz"):
        response = local.get(path, headers={"Host": host})
        assert response.status_code == 421
        assert response.json()["request_id"]


def test_a_request_without_a_host_or_with_two_is_refused(address: str) -> None:
    old = send_raw(address, [b"GET /v1/collection HTTP/1.0\r\n\r\n"])
    assert old.status == 421
    two = request("/v1/collection", headers=["Host: localhost", "Host: evil.example"])
    assert send_raw(address, [two]).status in (400, 421)


def test_a_trusted_name_is_served(still_shop: Path) -> None:
    with guarded(still_shop, ColourEncoder(), trusted_hosts=("Search.Example",)) as client:
        for host, status in (
            ("search.example:80", 200),
            ("localhost", 200),
            ("other.example", 421),
        ):
            assert client.get("/healthz", headers={"Host": host}).status_code == status


def test_with_keys_any_name_is_served_unless_names_are_given(keyed: Keyed) -> None:
    headers = {**keyed.read, "Host": "any.example"}
    assert keyed.client.get("/v1/collection", headers=headers).status_code == 200


def test_with_keys_and_names_only_these_are_served(still_shop: Path, keyed: Keyed) -> None:
    names = ("search.example",)
    with guarded(still_shop, ColourEncoder(), keys_file=keyed.file, trusted_hosts=names) as client:
        for host, status in (("search.example", 200), ("any.example", 421)):
            headers = {**keyed.read, "Host": host}
            assert client.get("/v1/collection", headers=headers).status_code == status


def test_names_are_read_as_browsers_write_them() -> None:
    assert host_name("[::1]:80") == "::1"
    assert host_name("Localhost.:80") == "localhost"
    assert [name for name in ("127.1", "0x7f.0.0.1", "0", "::2", "") if is_local(name)] == []


# ---- pages of other sites

BODY = {"text": "red", "k": 1}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://localhost:8765"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:3000"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8765"},
    ],
)
def test_pages_of_other_sites_write_nothing_without_keys(
    local: TestClient, headers: dict[str, str]
) -> None:
    for method, path in (
        ("POST", "/v1/items"),
        ("PATCH", "/v1/items"),
        ("POST", "/v1/search"),
        ("DELETE", "/v1/items/P1"),
        ("PUT", "/v1/concepts/x"),
        ("POST", "/v1/jobs"),
    ):
        response = local.request(method, path, json=BODY, headers=headers)
        assert response.status_code == 403, (method, path)
        assert "access-control-allow-origin" not in response.headers
    assert local.get("/v1/items/P1").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1:8765"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8765"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_its_own_page_and_programs_write(local: TestClient, headers: dict[str, str]) -> None:
    assert local.post("/v1/search", json=BODY, headers=headers).status_code == 200


def test_a_key_says_enough_about_where_a_request_comes_from(keyed: Keyed) -> None:
    """A page of another site has no key: browsers send none by themselves."""
    headers = {**keyed.read, "Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}
    assert keyed.client.post("/v1/search", json=BODY, headers=headers).status_code == 200


# ---- the method


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x-method-override"]
)
def test_no_header_overrides_the_method(keyed: Keyed, name: str) -> None:
    headers = {**keyed.read, name: "DELETE"}
    for method in ("GET", "POST"):
        response = keyed.client.request(method, "/v1/items/P1", headers=headers)
        assert response.status_code == 400
        assert "overridden" in response.json()["detail"]
    assert keyed.client.get("/v1/items/P1", headers=keyed.read).status_code == 200
