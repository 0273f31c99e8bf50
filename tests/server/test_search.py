"""Searching over HTTP gives what the library gives."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import mmsearch
from mmsearch.server.convert import answer_json, query_of
from mmsearch.server.schemas import SearchRequest
from mmsearch.server.settings import Settings
from tests.server.worlds import picture, serving
from tests.support import ColourEncoder

REQUESTS: list[dict[str, Any]] = [
    {"text": "red", "k": 3},
    {"text": "red", "to": "text"},
    {"text": "blue shoe", "mode": "hybrid", "to": "both"},
    {"terms": [{"text": "red"}, {"text": "blue", "weight": -0.5}]},
    {"terms": [{"item": "P1"}], "exclude": ["P1"]},
    {"text": "red", "where": "price < 5", "facets": ["brand", "price"]},
    {"text": "red", "where": {"attribute": "price", "op": ">=", "value": 4}},
    {"where": "price > 0", "sort": ["-price", "brand"]},
    {"text": "shoe", "group": True, "to": "both"},
    {"text": "green", "liked": ["P2"], "disliked": ["P1"], "diversity": 0.3},
    {"text": "red", "modifiers": {"pinned": {"P3": 1}, "buried": ["P1"]}, "to": "both"},
    {"text": "red", "templates": ["a photo of {}"], "weights": {"image": 2.0, "text": 1.0}},
]


@pytest.mark.parametrize("body", REQUESTS, ids=lambda body: json.dumps(body)[:60])
def test_answer_is_that_of_the_library(
    client: TestClient, folder: Path, encoder: ColourEncoder, body: dict[str, Any]
) -> None:
    response = client.post("/v1/search", json=body)
    assert response.status_code == 200, response.text
    with mmsearch.open(folder, encoder=encoder) as collection:
        query = query_of(SearchRequest.model_validate(body), Settings(folder))
        expected = json.loads(json.dumps(answer_json(collection.answer(query))))
    assert response.json() == expected
    assert expected["hits"]


def test_link_asks_the_same_as_a_body(client: TestClient) -> None:
    link: dict[str, Any] = {
        "q": "red",
        "k": 3,
        "facet": ["brand", "price"],
        "sort": ["-price"],
        "to": "both",
    }
    body = {"text": "red", "k": 3, "facets": ["brand", "price"], "sort": ["-price"], "to": "both"}
    got = client.get("/v1/search", params={**link, "where": "price >= 4"}).json()
    assert got == client.post("/v1/search", json={**body, "where": "price >= 4"}).json()
    liked = client.get(
        "/v1/search",
        params={
            "like": ["P1", "P2"],
            "where": '{"attribute": "brand", "op": "=", "value": "Acme"}',
        },
    )
    terms = [{"item": "P1"}, {"item": "P2"}]
    same = client.post("/v1/search", json={"terms": terms, "where": "brand = 'Acme'"})
    assert [hit["key"] for hit in liked.json()["hits"]] == [
        hit["key"] for hit in same.json()["hits"]
    ]


def test_pages_hold_each_item_once(client: TestClient) -> None:
    keys: list[str] = []
    cursor = None
    while True:
        page = client.post("/v1/search", json={"text": "red", "k": 3, "cursor": cursor}).json()
        keys += [hit["key"] for hit in page["hits"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert len(keys) == len(set(keys)) == page["total"] == 11


def test_hit_has_a_thumbnail_if_and_only_if_it_has_a_picture(client: TestClient) -> None:
    hits = client.post("/v1/search", json={"text": "green", "to": "text"}).json()["hits"]
    addresses = {hit["key"]: hit["thumbnail_url"] for hit in hits}
    assert addresses["note.txt"] is None
    assert client.get(addresses["red.png"]).headers["content-type"] == "image/jpeg"


def test_uploaded_picture_is_looked_for(client: TestClient) -> None:
    files = [("image", ("any.png", picture("blue")))]
    answer = client.post("/v1/search/image", files=files, data={"query": '{"k": 2}'}).json()
    assert {hit["key"] for hit in answer["hits"]} == {"blue.png", "P3"}


def test_pictures_and_words_are_summed(client: TestClient) -> None:
    files = [("image", ("a", picture("blue"))), ("image", ("b", picture("blue", format="JPEG")))]
    query = {"terms": [{"text": "red", "weight": 5}], "k": 1, "where": "price < 5"}
    data: dict[str, Any] = {"query": json.dumps(query), "weight": "0.1"}
    answer = client.post("/v1/search/image", files=files, data=data).json()
    assert [hit["key"] for hit in answer["hits"]] == ["P1"]


def test_each_picture_may_have_its_weight(client: TestClient) -> None:
    files = [("image", ("a", picture("blue"))), ("image", ("b", picture("red")))]
    query = json.dumps({"k": 1, "to": "image", "where": "price < 6"})
    for weights, key in ((["0.2", "1"], "P1"), (["1", "0.2"], "P3")):
        data = {"query": query, "weight": weights}
        answer = client.post("/v1/search/image", files=files, data=data).json()
        assert [hit["key"] for hit in answer["hits"]] == [key]
    three = {"query": query, "weight": ["1", "1", "1"]}
    assert client.post("/v1/search/image", files=files, data=three).status_code == 422


def test_upload_never_touches_the_disk(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")  # a spooled file would be made there
    files = [("image", ("big.bmp", picture("red", (1000, 1000), "BMP")))]
    assert client.post("/v1/search/image", files=files).status_code == 200


def test_upload_that_claims_too_many_pixels_is_refused_by_its_header(
    folder: Path, encoder: ColourEncoder
) -> None:
    with serving(folder, encoder, max_upload_pixels=10_000) as client:
        small = [("image", ("a", picture("red", (100, 100))))]
        assert client.post("/v1/search/image", files=small).status_code == 200
        files = [("image", ("a", picture("red", (101, 100))))]
        problem = client.post("/v1/search/image", files=files)
        assert problem.status_code == 413
        assert "101 x 100" in problem.json()["detail"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({"files": [("image", ("a", b"no picture"))]}, 400),
        ({"files": [("image", ("a", picture("red")))] * 9}, 400),
        ({"files": [("picture", ("a", picture("red")))]}, 422),
        ({"files": [("image", ("a", picture("red")))], "data": {"k": "3"}}, 422),
        ({"files": [("image", ("a", picture("red")))], "data": {"query": '{"q": 1}'}}, 422),
        ({"files": [("image", ("a", picture("red")))], "data": {"query": "{"}}, 400),
        ({"files": [("image", ("a", picture("red")))], "data": {"weight": "heavy"}}, 422),
        ({"json": {"image": "x"}}, 415),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400),
    ],
)
def test_senseless_upload_is_a_problem(
    client: TestClient, arguments: dict[str, Any], status: int
) -> None:
    response = client.post("/v1/search/image", **arguments)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (picture("red")[:60], "the picture is damaged or cut off"),
        (b"words", "the picture: not a picture in any format"),
        (b"", "the picture: "),
    ],
)
def test_fault_of_an_upload_is_one_of_the_picture(
    client: TestClient, data: bytes, said: str
) -> None:
    response = client.post("/v1/search/image", files=[("image", ("a.png", data))])
    assert response.status_code == 400
    assert response.json()["type"] == "urn:mmsearch:ImageError"
    assert response.json()["detail"].startswith(said)


def test_similar_leaves_the_item_itself_out(client: TestClient) -> None:
    hits = client.get("/v1/similar/red.png", params={"k": 2}).json()["hits"]
    assert hits[0]["key"] == "P1"
    only = client.get("/v1/similar/P1", params={"where": "brand = 'Bolt'"}).json()["hits"]
    assert {hit["key"] for hit in only} == {"P2", "P4"}


def test_beginnings_are_completed(client: TestClient) -> None:
    found = client.get("/v1/suggest", params={"q": "gre"}).json()
    assert found == {"suggestions": [{"text": "green shoe", "items": 1}]}
    assert client.get("/v1/suggest", params={"q": "gr\u0301e"}).json() == found
    for nothing in ("", "\u0301", "\u0301\u0327"):
        found = client.get("/v1/suggest", params={"q": nothing}).json()
        assert found == {"suggestions": []}


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        (b'{"text": "red", "typo": 1}', 422, "typo"),
        (b'{"text": 7}', 422, "text"),
        (b'{"text": "red", "k": 0}', 422, "k"),
        (b'{"text": "red", "k": 1001}', 400, "1000"),
        (b'{"text": "red", "diversity": NaN}', 400, "NaN"),
        (b'{"text": "red", "diversity": 1e999}', 400, "too large"),
        (b'{"text": "half \\ud800"}', 400, "surrogate"),
        (b'{"where": {"field": "brand", "op": "=", "value": "\\uDC00"}}', 400, "surrogate"),
        (b'{"text": "\xff"}', 400, "UTF-8"),
        (b"{", 400, "JSON"),
        (b"{}", 400, "empty"),
        (b'{"text": " "}', 400, "empty"),
        (b'{"text": "red", "where": "prise < 5"}', 400, "prise"),
        (b'{"terms": [{"item": "nope"}]}', 404, "nope"),
        (b'{"terms": [{"concept": "nope"}]}', 404, "nope"),
        (b'{"terms": [{"text": "a", "item": "P1"}]}', 400, "one of"),
        (b'{"text": "red", "cursor": "zzz"}', 400, "cursor"),
    ],
)
def test_senseless_query_is_a_problem(
    client: TestClient, body: bytes, status: int, part: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post("/v1/search", content=body, headers=headers)
    assert response.status_code == status, response.text
    problem = response.json()
    assert problem["status"] == status
    assert part in problem["detail"]


@pytest.mark.parametrize("path", ["search", "feedback", "items/delete", "evaluate", "jobs"])
def test_body_of_another_type_is_a_415(client: TestClient, path: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": kind}
        refused = client.post(f"/v1/{path}", content=b'{"text": "red"}', headers=headers)
        assert refused.status_code == 415
        assert kind in refused.json()["detail"]
    headers = {"Content-Type": "application/json; charset=utf-8"}
    taken = client.post("/v1/search", content=b'{"text": "red"}', headers=headers)
    assert taken.status_code == 200


def test_fault_of_a_filter_has_its_position(client: TestClient) -> None:
    where = "price < 5 and prise > 2"
    problem = client.post("/v1/search", json={"text": "red", "where": where}).json()
    assert problem["type"] == "urn:mmsearch:FilterError"
    assert where[problem["position"] :].startswith("prise")


@pytest.mark.parametrize(
    "query", ["q=red&k=x", "q=red&to=sound", "q=red&like=", "q=red&min_relevance=much"]
)
def test_senseless_link_is_a_problem(client: TestClient, query: str) -> None:
    assert client.get(f"/v1/search?{query}").status_code == 422


def test_unknown_parameter_is_named(client: TestClient) -> None:
    problem = client.get("/v1/search?text=red")
    assert problem.status_code == 400
    assert "unknown parameter 'text'" in problem.json()["detail"]
    assert " q, " in problem.json()["detail"]
    assert client.get("/v1/items/P1?fields=key").status_code == 400


def test_collection_without_items_answers_nothing(tmp_path: Path, encoder: ColourEncoder) -> None:
    mmsearch.open(tmp_path, create=True).close()
    with serving(tmp_path, encoder) as client:
        assert client.post("/v1/search", json={"text": "red"}).json()["hits"] == []
        assert client.get("/v1/collection").json()["encoder"] is None
        assert client.get("/readyz").status_code == 200
        item = {"key": "a", "text": "red"}
        assert client.post("/v1/items", json={"items": [item]}).json()["added"] == 1
        found = client.post("/v1/search", json={"text": "red"}).json()["hits"]
        assert [hit["key"] for hit in found] == ["a"]


def test_other_process_that_indexes_is_seen_by_the_next_search(
    client: TestClient, folder: Path, encoder: ColourEncoder
) -> None:
    before = client.get("/v1/collection").json()["sequence"]
    with mmsearch.open(folder, encoder=encoder) as other:
        other.upsert([{"key": "new", "image": picture("yellow"), "text": "yellow hat"}])
    hits = client.post("/v1/search", json={"text": "yellow hat", "to": "text", "k": 1}).json()
    assert [hit["key"] for hit in hits["hits"]] == ["new"]
    assert client.get("/v1/collection").json()["sequence"] > before
    with mmsearch.open(folder, encoder=encoder) as other:
        other.remove(["new"])
    hits = client.post("/v1/search", json={"text": "yellow hat", "to": "text"}).json()["hits"]
    assert "new" not in [hit["key"] for hit in hits]


def test_move_to_another_encoder_is_followed(folder: Path, encoder: ColourEncoder) -> None:
    other = ColourEncoder("0ther", name="other", dim=24, seed=3)
    with serving(folder, [encoder, other]) as client:
        first = client.post("/v1/search", json={"text": "red", "k": 1}).json()
        with mmsearch.open(folder, encoder=encoder) as moving:
            assert moving.reindex(other).switched
        second = client.post("/v1/search", json={"text": "red", "k": 1}).json()
        assert client.get("/v1/collection").json()["encoder"]["fingerprint"] == "0ther"
    assert first["hits"][0]["key"] == second["hits"][0]["key"]
    assert first["hits"][0]["score"] != second["hits"][0]["score"]


def test_lag_of_the_index_is_what_the_next_search_catches_up(
    client: TestClient, folder: Path, encoder: ColourEncoder
) -> None:
    def lag() -> str:
        lines = client.get("/metrics").text.splitlines()
        return next(line for line in lines if line.startswith("mmsearch_index_lag "))

    client.post("/v1/search", json={"text": "red", "to": "both"})
    assert lag() == "mmsearch_index_lag 0.0"
    with mmsearch.open(folder, encoder=encoder) as other:
        for number in range(3):
            other.upsert([{"key": f"new {number}", "text": "yellow hat"}])
    assert lag() == "mmsearch_index_lag 3.0"
    client.post("/v1/search", json={"text": "red", "to": "text"})
    assert lag() == "mmsearch_index_lag 3.0"  # of the pictures, which it had no use for
    client.post("/v1/search", json={"text": "red", "to": "both"})
    assert lag() == "mmsearch_index_lag 0.0"


def test_filter_of_a_link_has_the_bounds_of_one_in_a_body(client: TestClient) -> None:
    deep = '{"not":' * 40 + "{}" + "}" * 40
    for name in ("where", "wh%65re", "%77here"):
        response = client.get(f"/v1/search?q=red&{name}={deep}")
        assert (response.status_code, response.json()["detail"]) == (
            400,
            "the JSON is nested more than 32 deep",
        )
    response = client.get('/v1/search?q=red&where={"attribute":"price","op":"<","value":NaN}')
    assert response.status_code == 400
    assert "NaN is no JSON" in response.json()["detail"]
