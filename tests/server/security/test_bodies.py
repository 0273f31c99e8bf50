"""Bodies: how large, how slow, how deep, how many parts."""

from __future__ import annotations

import io
import json
import struct
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from mmsearch.server.security.json_shape import JsonShape
from mmsearch.server.security.refusal import Refusal
from tests.server.security.worlds import connected, guarded, request, send_raw
from tests.server.worlds import NDJSON, picture
from tests.support import ColourEncoder

JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


# ---- bytes; the server behind `address` takes 1 MB


def test_a_body_that_announces_too_much_is_refused_unread(address: str) -> None:
    head = request("/v1/items", "POST", headers=[JSON, "Content-Length: 50000000"])
    started = time.perf_counter()
    answer = send_raw(address, [head])  # and not one byte of the body
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert json.loads(answer.body)["detail"].startswith("the body is larger than")
    assert time.perf_counter() - started < 10  # else it was the limit of time


def test_a_chunked_body_is_counted_as_it_comes(address: str) -> None:
    head = request("/v1/items", "POST", headers=[JSON, CHUNKED])
    pieces = [chunk(b'"' + b"x" * 99_999)] + [chunk(b"x" * 100_000)] * 10
    answer = send_raw(address, [head, *pieces, b"0\r\n\r\n"])
    assert answer.status == 413


def test_a_body_that_never_ends_is_cut_off(address: str) -> None:
    """Its client hears of it while it still sends, and is not read for ever."""
    with connected(address) as peer:
        peer.sendall(request("/v1/items", "POST", headers=[JSON, CHUNKED]))
        sent = 0
        with suppress(OSError):  # reset, or broken pipe
            while sent < 500_000_000:
                peer.sendall(chunk(b"x" * 1_000_000))
                sent += 1_000_000
        assert sent < 200_000_000


def test_only_routes_that_take_pictures_take_large_bodies(local: TestClient) -> None:
    text = json.dumps({"text": "red", "exclude": ["x" * 1000] * 4200})  # 4.2 MB
    headers = {"Content-Type": "application/json"}
    assert local.post("/v1/search", content=text, headers=headers).status_code == 413
    items = json.dumps({"items": [{"key": "k", "image_base64": "!" * 4_200_000}]})
    response = local.post("/v1/items", content=items, headers=headers)
    assert (response.status_code, response.json()["results"][0]["status"]) == (200, "failed")


def test_feedback_which_is_kept_for_good_is_short(local: TestClient) -> None:
    query = {"text": "red", "exclude": ["x" * 1000] * 70}
    text = json.dumps({"query": query, "key": "red.png", "action": "click"})
    headers = {"Content-Type": "application/json"}
    assert local.post("/v1/feedback", content=text, headers=headers).status_code == 413


def test_ndjson_has_no_end_but_its_lines_have(still_shop: Path) -> None:
    line = b'{"key": "%s", "attributes": {"price": 1}}\n'
    with guarded(still_shop, ColourEncoder(), max_body_bytes=10_000) as client:
        body = b"".join(line % str(number).encode() for number in range(1000))
        assert len(body) > 40_000
        response = client.patch("/v1/items", content=body, headers=NDJSON)
        assert len(response.text.splitlines()) == 1000
        response = client.patch(
            "/v1/items", content=line % (b"x" * 20_000) + line % b"y", headers=NDJSON
        )
        first, second = (json.loads(line) for line in response.text.splitlines())
        assert "too long" in first["reason"]
        assert second["key"] == "y"
        # No other route is without an end because its client says so.
        response = client.post("/v1/search", content=body, headers=NDJSON)
        assert response.status_code == 413


# ---- seconds


def test_a_slow_upload_is_refused_in_time(impatient: str) -> None:
    with connected(impatient) as peer:
        peer.sendall(request("/v1/search", "POST", headers=[JSON, "Content-Length: 1000"]))
        started = time.perf_counter()
        peer.settimeout(0.2)
        answer = b""
        while time.perf_counter() - started < 10 and not answer:
            peer.sendall(b" ")  # a byte now and then must not buy it more time
            try:
                answer = peer.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408")
    assert 0.9 < time.perf_counter() - started < 5


def test_a_stalled_line_ends_the_request_and_those_before_are_kept(impatient: str) -> None:
    with connected(impatient, 10) as peer:
        head = request(
            "/v1/items", "PATCH", headers=["Content-Type: application/x-ndjson", CHUNKED]
        )
        peer.sendall(head + chunk(b'{"key": "P1", "attributes": {"slow": 1}}\n'))
        started = time.perf_counter()
        whole = b""
        while received := peer.recv(65536):
            whole += received
        assert time.perf_counter() - started < 8
    assert b'"key":"P1","status":"done"' in whole
    assert not whole.endswith(b"0\r\n\r\n")  # cut off: nobody takes it for the whole answer


def test_waiting_for_the_answer_is_no_slow_upload(local: TestClient) -> None:
    assert local.post("/v1/search", json={"text": "red"}).status_code == 200


# ---- the shape of JSON


@pytest.mark.parametrize("path", ["/v1/search", "/v1/items", "/v1/feedback", "/v1/jobs"])
@pytest.mark.parametrize("deep", ['{"a":', "["])
def test_deep_json_is_refused(local: TestClient, path: str, deep: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = local.post(path, content=deep * 40, headers=headers)
    assert (response.status_code, response.json()["detail"]) == (
        400,
        "the JSON is nested more than 32 deep",
    )
    assert local.post(path, content=deep * 10_000, headers=headers).status_code == 400


def test_a_filter_in_the_address_is_no_deeper(local: TestClient) -> None:
    deep = '{"not":' * 40 + '{"price": 1}' + "}" * 40
    response = local.get("/v1/search", params={"where": deep})
    assert response.status_code == 400
    assert "32 deep" in response.json()["detail"]
    text = "title like '{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{'"  # a text, no JSON
    assert "32 deep" not in local.get("/v1/search", params={"where": text}).text


def test_huge_json_is_refused_before_it_is_parsed(local: TestClient) -> None:
    body = b"[" + b"[]," * 1_100_000 + b"[]]"  # 3.3 MB, as Python objects 70 MB
    headers = {"Content-Type": "application/json"}
    for path in ("/v1/items", "/v1/search"):
        response = local.post(path, content=body, headers=headers)
        assert response.status_code == 413
        assert "1,000,000 values" in response.json()["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_no_number_is_no_number(local: TestClient, number: str) -> None:
    headers = {"Content-Type": "application/json"}
    for path, body in (
        ("/v1/search", '{"text": "red", "min_relevance": %s}'),
        ("/v1/search", '{"text": "red", "where": {"price": {"lt": %s}}}'),
        ("/v1/items", '{"items": [{"key": "n", "attributes": {"price": %s}}]}'),
    ):
        response = local.post(path, content=body % number, headers=headers)
        assert response.status_code == 400, (path, response.text)


def test_a_number_of_thousands_of_digits_is_refused(local: TestClient) -> None:
    number = "9" * 5000
    headers = {"Content-Type": "application/json"}
    for path, body in (
        ("/v1/search", '{"text": "red", "where": {"price": %s}}'),
        ("/v1/items", '{"items": [{"key": "n", "attributes": {"price": %s}}]}'),
    ):
        response = local.post(path, content=body % number, headers=headers)
        assert (response.status_code, "digits" in response.text) == (400, True)
    lines = '{"key": "none", "attributes": {"price": %s}}\n{"key": "no", "attributes": {}}\n'
    response = local.patch("/v1/items", content=lines % number, headers=NDJSON)
    first, second = (json.loads(line) for line in response.text.splitlines())
    assert "digits" in first["reason"]
    assert second["key"] == "no"


def test_invalid_utf_8_in_a_body_is_refused(local: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe7\xba"):
        response = local.post("/v1/search", content=b'{"text": "%s"}' % bad, headers=headers)
        assert response.status_code == 400
        assert "UTF-8" in response.json()["detail"]


def test_bounds_of_one_request(local: TestClient) -> None:
    assert local.post("/v1/search", json={"text": "red", "k": 1001}).status_code == 400
    assert local.get("/v1/search?q=red&k=1001").status_code == 400
    keys = [str(number) for number in range(1001)]
    assert local.post("/v1/items/delete", json={"keys": keys}).status_code == 413
    items = [{"key": key} for key in keys]
    assert local.post("/v1/items", json={"items": items}).status_code == 413


def shape_of(text: bytes, pieces: list[int]) -> tuple[int, int]:
    """The depth and number of values that JsonShape lets through just so."""
    for depth in range(64):
        for_depth = JsonShape(depth)
        if _fits(for_depth, text, pieces):
            break
    values = next(n for n in range(10_000) if _fits(JsonShape(64, n), text, pieces))
    return depth, values


def _fits(shape: JsonShape, text: bytes, pieces: list[int]) -> bool:
    rest = text
    try:
        for size in pieces:
            shape.feed(rest[:size])
            rest = rest[size:]
        shape.feed(rest)
    except Refusal:
        return False
    return True


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{},\n\u2028é', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((depth_of(one) for one in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth_of(one) for one in value), default=0)
    return 0


def count_of(value: Any) -> int:
    """Openings, and commas between what they hold."""
    if not isinstance(value, dict | list):
        return 0
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(0, len(inner) - 1) + sum(count_of(one) for one in inner)


@given(VALUES, st.booleans(), st.lists(st.integers(1, 5), max_size=8))
def test_shape_is_that_of_the_parsed_value_however_it_is_cut(
    value: Any, ascii_only: bool, pieces: list[int]
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert shape_of(text, pieces) == (depth_of(value), count_of(value))


def test_long_strings_cost_little_time() -> None:
    for text in (b"x" * 10_000_000, b"\\\\" * 5_000_000, b'\\"' * 5_000_000):
        shape = JsonShape(4)
        started = time.perf_counter()
        for start in range(0, len(text), 65536):
            shape.feed((b'"' if start == 0 else b"") + text[start : start + 65536])
        assert time.perf_counter() - started < 2


# ---- uploads


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be a picture of that size."""

    def part(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", head)
        + part(b"IDAT", zlib.compress(b"\0" * 1_000_000))
        + part(b"IEND", b"")
    )


def test_a_picture_bomb_is_not_decoded(local: TestClient) -> None:
    for size in ((20_000, 20_000), (2**31 - 1, 1), (65_500, 65_500)):
        response = local.post("/v1/search/image", files={"image": bomb(*size)})
        assert response.status_code in (400, 413), response.text
    assert "pixels" in local.post("/v1/search/image", files={"image": bomb(9000, 9000)}).text


def test_many_files_in_one_upload_are_refused(local: TestClient) -> None:
    files = [("image", (f"{number}.png", picture("red"), "image/png")) for number in range(9)]
    assert local.post("/v1/search/image", files=files[:8]).status_code == 200
    response = local.post("/v1/search/image", files=files)
    assert response.status_code == 400
    many = [("image", ("x.png", io.BytesIO(b"x"), "image/png"))] * 5000
    assert local.post("/v1/search/image", files=many).status_code == 400
    fields = {f"f{number}": "x" for number in range(1000)}
    assert local.post("/v1/search/image", files=files[:1], data=fields).status_code == 400
