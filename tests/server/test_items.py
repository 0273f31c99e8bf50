"""Items over HTTP: what is acknowledged is there, and each failure is its own."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from starlette.testclient import TestClient

import mmsearch
from mmsearch.layout import Layout
from mmsearch.server.app import create_app
from mmsearch.server.settings import Settings
from tests.server.worlds import NDJSON, encoded, listening, picture, serving
from tests.support import ColourEncoder


def lines(response: httpx2.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def ndjson(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def test_item_comes_in_with_all_its_parts(client: TestClient) -> None:
    item = {
        "key": "new/1",
        "title": "Yellow hat",
        "description": "for the beach",
        "image_base64": encoded(picture("yellow")),
        "group": "hats",
        "attributes": {"price": 9.5, "tags": ["sun", "sea"]},
    }
    written = client.post("/v1/items", json={"items": [item]}).json()
    assert written == {
        "added": 1,
        "changed": 0,
        "unchanged": 0,
        "removed": 0,
        "results": [{"key": "new/1", "status": "done"}],
    }
    stored = client.get("/v1/items/new%2F1").json()
    assert stored == {
        "key": "new/1",
        "text": "Yellow hat. for the beach",
        "group": "hats",
        "attributes": {"price": 9.5, "tags": ["sun", "sea"]},
        "has_image": True,
        "image_url": "/v1/images/new%2F1",
        "thumbnail_url": "/v1/thumbnails/new%2F1",
    }
    assert client.get(stored["image_url"]).content == picture("yellow")
    hits = client.post("/v1/search", json={"text": "yellow", "to": "image", "k": 2}).json()["hits"]
    assert "new/1" in [hit["key"] for hit in hits]


def test_each_failure_is_its_own(client: TestClient) -> None:
    items = [
        {"key": 7, "text": "a number as its key"},
        {"key": "empty"},
        {"key": "bad", "image_base64": "no base64!"},
        {"key": "odd", "image_base64": "\u00fb"},
        {"key": "text", "image_base64": encoded(b"no picture")},
        {"key": "twice", "text": "first"},
        {"key": "twice", "text": "second"},
        {"key": "nul\0 ", "text": "cleaned"},
        {"key": "both", "text": "a", "attributes": {"text": "b"}},
    ]
    written = client.post("/v1/items", json={"items": items}).json()
    states = [(one["key"], one["status"]) for one in written["results"]]
    assert states == [
        ("7", "done"),
        ("empty", "failed"),
        ("bad", "failed"),
        ("odd", "failed"),
        ("text", "failed"),
        ("twice", "done"),
        ("twice", "done"),
        ("nul", "done"),
        ("both", "failed"),
    ]
    assert client.get("/v1/items/twice").json()["text"] == "second"
    assert client.get("/v1/items/empty").status_code == 404
    reasons = " ".join(one.get("reason", "") for one in written["results"])
    assert "row 2" not in reasons


ODD = "  e\u0301te\u0301 "  # stored as "\u00e9t\u00e9"


def test_key_finds_its_item_however_it_is_written(client: TestClient) -> None:
    item = {"key": ODD, "text": "a red thing", "image_base64": encoded(picture("red"))}
    assert client.post("/v1/items", json={"items": [item]}).json()["added"] == 1
    path = quote(ODD, safe="")
    assert client.get(f"/v1/items/{path}").json()["key"] == "\u00e9t\u00e9"
    for kind in ("images", "thumbnails", "similar"):
        assert client.get(f"/v1/{kind}/{path}").status_code == 200
    assert client.get("/v1/search", params={"like": ODD}).status_code == 200
    for asked in (
        {"terms": [{"item": ODD}]},
        {"terms": [{"item": "P1"}], "liked": [ODD], "disliked": ["P2"]},
        {"text": "red", "modifiers": {"pinned": {ODD: 2}}},
        {"text": "red", "modifiers": {"buried": [ODD]}},
    ):
        found = client.post("/v1/search", json=asked)
        assert found.status_code == 200, found.text
        left = client.post("/v1/search", json={**asked, "exclude": [ODD]}).json()["hits"]
        assert left
        assert "\u00e9t\u00e9" not in [hit["key"] for hit in left]
    concept = {"terms": [{"item": ODD}], "liked": [ODD]}
    kept = client.put("/v1/concepts/odd", json=concept).json()
    assert kept["liked"] == [kept["terms"][0]["item"]] == ["\u00e9t\u00e9"]
    judged = {"query": "red thing", "relevant": {ODD: 1}}
    measured = client.post("/v1/evaluate", json={"queries": [judged], "measures": ["hit@100"]})
    assert (measured.json()["unknown_keys"], measured.json()["measures"]["hit@100"]) == ([], 1)
    given = {"query": {"text": "red"}, "key": ODD, "action": "up"}
    assert client.post("/v1/feedback", json=given).status_code == 202
    changed = client.patch("/v1/items", json={"items": {ODD: {"price": 1}}}).json()
    assert (changed["changed"], changed["results"]) == (1, [{"key": ODD, "status": "done"}])
    twice = client.post("/v1/items/delete", json={"keys": [ODD, "\u00e9t\u00e9"]}).json()
    assert (twice["removed"], [one["status"] for one in twice["results"]]) == (1, ["done"] * 2)
    assert client.delete(f"/v1/items/{path}").status_code == 404


def test_key_of_a_file_is_meant_as_it_is(
    client: TestClient, folder: Path, encoder: ColourEncoder
) -> None:
    (folder / " e\u0301.png").write_bytes(picture("red"))
    with mmsearch.open(folder, encoder=encoder) as collection:
        collection.index([folder])
    hits = client.get("/v1/similar/red.png", params={"k": 3}).json()["hits"]
    (hit,) = (hit for hit in hits if hit["key"] == " e\u0301.png")
    assert client.get(hit["thumbnail_url"]).status_code == 200
    patch = {"items": {hit["key"]: {"price": 1}}}
    assert client.patch("/v1/items", json=patch).json()["changed"] == 1
    assert client.post("/v1/search", json={"terms": [{"item": hit["key"]}]}).status_code == 200
    assert client.post("/v1/items/delete", json={"keys": [hit["key"]]}).json()["removed"] == 1


@pytest.mark.parametrize("key", ["a\tb", "a\nb", "ctl\x01", "del\x7fete"])
def test_new_key_that_nobody_could_see_or_type_is_refused(client: TestClient, key: str) -> None:
    item = {"key": key, "text": "a"}
    refused = client.post("/v1/items", json={"items": [item]})
    assert refused.status_code == 422
    assert "control character" in refused.json()["detail"]
    (line,) = lines(client.post("/v1/items", content=ndjson(item), headers=NDJSON))
    assert line["status"] == "failed"


def test_no_request_names_a_file_of_the_server(client: TestClient, folder: Path) -> None:
    secret = str(folder / "red.png")
    for name in ("image", "path", "file", "img"):
        refused = client.post("/v1/items", json={"items": [{"key": "x", name: secret}]})
        assert refused.status_code == 422
    item = {"key": "x", "text": "a", "attributes": {"image": secret, "path": secret}}
    assert client.post("/v1/items", json={"items": [item]}).json()["added"] == 1
    assert client.get("/v1/items/x").json()["has_image"] is False
    assert client.get("/v1/images/x").status_code == 404


def test_picture_by_address_is_refused_unless_its_host_is_allowed(client: TestClient) -> None:
    item = {"key": "x", "image_url": "http://127.0.0.1/a.png"}
    (result,) = client.post("/v1/items", json={"items": [item]}).json()["results"]
    assert result["status"] == "failed"
    assert "--allow-url" in result["reason"]
    both = {**item, "image_base64": encoded(picture("red"))}
    assert client.post("/v1/items", json={"items": [both]}).status_code == 422


def test_slow_host_of_pictures_holds_no_other_picture_up(
    folder: Path, encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def fetch_slowly(*_arguments: object, **_options: object) -> bytes:
        assert answered.wait(30)
        return picture("yellow")

    monkeypatch.setattr("mmsearch.fetch.fetch_image", fetch_slowly)
    with (
        serving(folder, encoder, url_hosts=("cdn.example.com",)) as client,
        ThreadPoolExecutor(4) as others,
    ):
        item = {"key": "slow", "image_url": "https://cdn.example.com/a.png"}
        slow = [others.submit(client.post, "/v1/items", json={"items": [item]}) for _ in range(4)]
        assert client.get("/v1/thumbnails/red.png").status_code == 200
        assert not any(one.done() for one in slow)
        answered.set()
        assert [one.result().status_code for one in slow] == [200] * 4


def test_picture_with_too_many_pixels_is_refused_by_its_header(
    folder: Path, encoder: ColourEncoder
) -> None:
    with serving(folder, encoder, max_upload_pixels=1000) as client:
        item = {"key": "x", "image_base64": encoded(picture("red", (40, 26)))}
        (result,) = client.post("/v1/items", json={"items": [item]}).json()["results"]
        assert "40 x 26 pixels" in result["reason"]


def test_too_many_items_are_refused(folder: Path, encoder: ColourEncoder) -> None:
    with serving(folder, encoder, max_batch=2) as client:
        items = [{"key": str(number), "text": "a"} for number in range(3)]
        assert client.post("/v1/items", json={"items": items}).status_code == 413
        assert client.post("/v1/items/delete", json={"keys": ["a"] * 3}).status_code == 413
        assert client.patch("/v1/items", json={"items": {k: {} for k in "abc"}}).status_code == 413
        many = ndjson(*items)
        assert len(lines(client.post("/v1/items", content=many, headers=NDJSON))) == 3


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {"Content-Type": "application/json"}, 400),
        (b"[]", {"Content-Type": "application/json"}, 422),
        (b'{"items": [{"key": ""}]}', {"Content-Type": "application/json"}, 422),
        (
            b'{"items": [{"key": "a", "attributes": {"x": NaN}}]}',
            {"Content-Type": "application/json"},
            400,
        ),
        (
            b'{"items": [{"key": "a", "attributes": {"x": 1e999}}]}',
            {"Content-Type": "application/json"},
            400,
        ),
        (b"a,b", {"Content-Type": "text/csv"}, 415),
        (b"{}", {}, 415),
    ],
)
def test_senseless_body_is_a_problem(
    client: TestClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    for method in ("POST", "PATCH"):
        if method == "PATCH" and b"key" in content:
            continue
        response = client.request(method, "/v1/items", content=content, headers=headers)
        assert response.status_code == status, response.text


def test_numbers_are_taken_where_the_contract_says_so(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for field, named in schemas["ItemIn"]["properties"].items():
        if field == "attributes":
            continue
        item = {"key": "x", "text": "a", field: 7}
        status = client.post("/v1/items", json={"items": [item]}).status_code
        assert (status == 200) == ({"type": "number"} in named.get("anyOf", [])), field


def test_attributes_change_without_encoding(client: TestClient, encoder: ColourEncoder) -> None:
    encoded_before = encoder.encoded_images
    body = {"items": {"P1": {"price": 99, "brand": None, "new": True}, "nope": {"price": 1}}}
    written = client.patch("/v1/items", json=body).json()
    assert written["results"] == [
        {"key": "P1", "status": "done"},
        {"key": "nope", "status": "failed", "reason": "no item has this key"},
    ]
    assert client.get("/v1/items/P1").json()["attributes"] == {"price": 99, "new": True}
    assert encoder.encoded_images == encoded_before
    found = client.post("/v1/search", json={"where": "price = 99"}).json()["hits"]
    assert [hit["key"] for hit in found] == ["P1"]


def test_items_are_removed(client: TestClient) -> None:
    written = client.post("/v1/items/delete", json={"keys": ["P1", "nope", "P1"]}).json()
    assert written["removed"] == 1
    assert [one["status"] for one in written["results"]] == ["done", "failed", "done"]
    assert client.delete("/v1/items/P2").status_code == 204
    assert client.delete("/v1/items/P2").status_code == 404
    assert client.get("/v1/items/P1").status_code == 404
    hits = client.post("/v1/search", json={"text": "red", "k": 50}).json()["hits"]
    assert not {"P1", "P2"} & {hit["key"] for hit in hits}


def test_item_has_a_tag_that_changes_with_it(client: TestClient) -> None:
    tag = client.get("/v1/items/P1").headers["etag"]
    assert client.get("/v1/items/P1", headers={"If-None-Match": tag}).status_code == 304
    client.patch("/v1/items", json={"items": {"P1": {"price": 1}}})
    assert client.get("/v1/items/P1", headers={"If-None-Match": tag}).status_code == 200


def test_each_line_has_its_result_in_order(client: TestClient) -> None:
    body = (
        ndjson({"key": "a", "text": "one"})
        + b"\r\n\n{\n"
        + ndjson(
            {"key": "a", "text": "two"},
            {"kez": 1},
            {"key": "b", "image_base64": encoded(picture("red"))},
        ).rstrip()
    )  # the last line needs no end
    response = client.post("/v1/items", content=body, headers=NDJSON)
    assert response.headers["content-type"] == "application/x-ndjson"
    found = lines(response)
    assert [(one["line"], one["key"], one["status"]) for one in found] == [
        (1, "a", "done"),
        (4, None, "failed"),
        (5, "a", "done"),
        (6, None, "failed"),
        (7, "b", "done"),
    ]
    assert client.get("/v1/items/a").json()["text"] == "two"


def test_columns_of_a_flat_row_are_shown_the_way_into_attributes(client: TestClient) -> None:
    flat = {"key": "N1", "title": "nd one", "price": 3}
    told = lines(client.post("/v1/items", content=ndjson(flat, {**flat, "key": 7}), headers=NDJSON))
    assert [(one["key"], one["status"]) for one in told] == [("N1", "failed"), ("7", "failed")]
    assert told[0]["reason"] == (
        "there is no field 'price', but key, title, description, text, image_base64, image_url, "
        'group, attributes: what else an item has goes into "attributes"'
    )
    problem = client.post("/v1/items", json={"items": [flat]})
    assert problem.status_code == 422
    assert problem.json()["detail"] == f"body.items.0: {told[0]['reason']}"
    told = lines(
        client.patch("/v1/items", content=ndjson({"key": "P1", "price": 3}), headers=NDJSON)
    )
    assert told[0]["key"] == "P1"
    assert "'price', but key, attributes:" in told[0]["reason"]


def test_line_that_is_too_long_fails_alone(folder: Path, encoder: ColourEncoder) -> None:
    with serving(folder, encoder, max_body_bytes=1000) as client:
        items = [
            {"key": key, "text": "x" * size} for key, size in (("a", 5), ("b", 200_000), ("c", 5))
        ]
        found = lines(client.post("/v1/items", content=ndjson(*items), headers=NDJSON))
        assert [one["status"] for one in found] == ["done", "failed", "done"]


def test_lines_of_attributes(client: TestClient) -> None:
    changes = [{"key": "P1", "attributes": {"price": price}} for price in (1, 2)]
    response = client.patch("/v1/items", content=ndjson(*changes, {"key": "x"}), headers=NDJSON)
    assert [one["status"] for one in lines(response)] == ["done", "done", "failed"]
    assert client.get("/v1/items/P1").json()["attributes"]["price"] == 2


def test_line_is_acknowledged_before_the_next_one_is_sent(
    folder: Path, encoder: ColourEncoder
) -> None:
    import socket

    app = create_app(Settings(folder / ".mmsearch"), encoder=encoder)
    with listening(app) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as wire:
            reader = wire.makefile("rb")
            wire.sendall(
                b"POST /v1/items HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for number in range(3):
                line = ndjson({"key": f"n{number}", "text": f"text {number}"})
                wire.sendall(b"%x\r\n%s\r\n" % (len(line), line))
                while True:  # past headers and sizes of chunks
                    got = reader.readline()
                    if got.startswith(b"{"):
                        break
                assert json.loads(got) == {
                    "line": number + 1,
                    "key": f"n{number}",
                    "status": "done",
                }
                # It is committed: another process sees it while the request goes on.
                with mmsearch.open(folder, encoder=encoder) as other:
                    assert other.has_item(f"n{number}")
            wire.sendall(b"0\r\n\r\n")


def test_many_lines_are_committed_in_few_batches(client: TestClient) -> None:
    before = client.get("/v1/collection").json()["sequence"]
    items = [{"key": f"n{number}", "text": f"text {number}"} for number in range(700)]
    response = client.post("/v1/items", content=ndjson(*items), headers=NDJSON)
    assert [one["status"] for one in lines(response)] == ["done"] * 700
    assert client.get("/v1/collection").json()["sequence"] - before < 20


def test_other_process_that_writes_is_waited_for_and_then_a_conflict(
    folder: Path, encoder: ColourEncoder
) -> None:
    with serving(folder, encoder, lock_wait_s=0.1) as client:
        with Layout(folder / ".mmsearch").writing():
            body = {"items": [{"key": "x", "text": "a"}]}
            problem = client.post("/v1/items", json=body)
            assert problem.status_code == 409
            assert problem.headers["retry-after"]
            told = lines(client.post("/v1/items", content=ndjson(*body["items"]), headers=NDJSON))
            assert [one["status"] for one in told] == ["failed"]
            # Nobody who reads waits.
            assert client.post("/v1/search", json={"text": "red"}).status_code == 200
        assert client.post("/v1/items", json=body).status_code == 200
