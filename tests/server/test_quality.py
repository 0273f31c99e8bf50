"""Concepts, feedback and measures over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import mmsearch
from mmsearch.adaptation.pairs import read_pairs
from mmsearch.evaluation.dataset import read_dataset
from mmsearch.evaluation.query_file import query_file_task
from tests.server.worlds import serving
from tests.support import ColourEncoder


def test_concept_is_kept_used_and_forgotten(
    client: TestClient, folder: Path, encoder: ColourEncoder
) -> None:
    body = {"text": "red", "liked": ["P1"]}
    saved = client.put("/v1/concepts/warm%2Fcolours", json=body)
    assert saved.status_code == 200
    assert client.get("/v1/concepts").json() == {"concepts": [saved.json()]}
    assert client.get("/v1/concepts/warm%2Fcolours").json() == saved.json()
    asked = {"terms": [{"concept": "warm/colours"}], "k": 1, "to": "image"}
    (hit,) = client.post("/v1/search", json=asked).json()["hits"]
    with mmsearch.open(folder, encoder=encoder) as collection:
        assert list(collection.concepts()) == ["warm/colours"]
        own = mmsearch.Query((mmsearch.Term(concept="warm/colours"),), k=1, to="image")
        assert collection.answer(own).hits[0].key == hit["key"]
    assert client.delete("/v1/concepts/warm%2Fcolours").status_code == 204
    assert client.delete("/v1/concepts/warm%2Fcolours").status_code == 404
    assert client.get("/v1/concepts/warm%2Fcolours").status_code == 404
    assert client.put("/v1/concepts/x", json={}).status_code == 400
    assert client.put("/v1/concepts/x", json={"liked": ["nope"]}).status_code == 404


def test_feedback_can_be_evaluated_and_learned_from(client: TestClient, folder: Path) -> None:
    for given in (
        {"query": {"text": "red shoe"}, "key": "P1", "action": "click", "rank": 1},
        {"query": {"text": "red shoe"}, "key": "P1", "action": "up"},
        {"query": {"terms": [{"item": "P3"}]}, "key": "blue.png", "action": "up"},
        {"query": {"text": "red shoe"}, "key": "P4", "action": "down"},
    ):
        assert client.post("/v1/feedback", json=given).status_code == 202
    path = folder / ".mmsearch" / "feedback.jsonl"
    task = query_file_task(read_dataset(folder), path)
    assert [task.shown_queries[q].text for q in task.queries] == [
        "red shoe",
        "red shoe",
        "blue shoe",
    ]
    assert [dict(task.qrels[q]) for q in task.queries][1:] == [{"P1": 2}, {"blue.png": 2}]
    pairs = read_pairs(path)
    assert not pairs.failures
    assert [(pair.text, pair.weight) for pair in pairs.pairs] == [
        ("red shoe", 1.0),
        ("red shoe", 2.0),
        ("blue shoe", 2.0),
    ]
    assert all(pair.image.is_file() for pair in pairs.pairs)
    (down,) = (folder / ".mmsearch" / "dislikes.jsonl").read_text().splitlines()
    assert json.loads(down)["relevant"] == {"P4": 0}


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"query": {"text": "red"}, "key": "nope", "action": "up"}, 404),
        ({"query": {"where": "price > 1"}, "key": "P1", "action": "up"}, 400),
        ({"query": {"text": "red"}, "key": "P1", "action": "love"}, 422),
    ],
)
def test_senseless_feedback_is_a_problem(
    client: TestClient, folder: Path, given: dict[str, object], status: int
) -> None:
    assert client.post("/v1/feedback", json=given).status_code == status
    assert not (folder / ".mmsearch" / "feedback.jsonl").exists()


def test_measures_are_those_of_the_evaluation(client: TestClient) -> None:
    ranked = [hit["key"] for hit in client.post("/v1/search", json={"text": "red"}).json()["hits"]]
    queries = [
        {"query": "red", "relevant": {ranked[1]: 1, ranked[3]: 1}},
        {"query": {"text": "red", "exclude": [ranked[0]]}, "relevant": {ranked[1]: 3, "nope": 1}},
    ]
    measures = ["hit@1", "recall@2", "AP", "RR", "median rank"]
    got = client.post("/v1/evaluate", json={"queries": queries, "measures": measures}).json()
    assert got["queries"] == 2
    assert got["unknown_keys"] == ["nope"]
    assert got["measures"] == pytest.approx(
        {
            "hit@1": (0 + 1) / 2,
            "recall@2": (1 / 2 + 1 / 2) / 2,
            "mAP": ((1 / 2 + 2 / 4) / 2 + 1 / 2) / 2,
            "MRR": (1 / 2 + 1) / 2,
            "median rank": 1.5,
        }
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"queries": []}, 422),
        ({"queries": [{"query": "a", "relevant": {"P1": -1}}]}, 422),
        ({"queries": [{"query": "a", "relevant": {"P1": 1}}], "measures": ["joy"]}, 400),
        ({"queries": [{"query": "a", "relevant": {"P1": 1}}], "measures": ["hit@5000"]}, 400),
        ({"queries": [{"query": {"where": "x = 1"}, "relevant": {"P1": 1}}]}, 400),
        ({"queries": [{"query": "a", "relevant": {"P1": 0}}]}, 400),
    ],
)
def test_senseless_evaluation_is_a_problem(
    client: TestClient, body: dict[str, object], status: int
) -> None:
    response = client.post("/v1/evaluate", json=body)
    assert response.status_code == status, response.text


def test_too_many_judged_queries_are_refused(folder: Path, encoder: ColourEncoder) -> None:
    with serving(folder, encoder, max_batch=1) as client:
        queries = [{"query": "a", "relevant": {"P1": 1}}] * 2
        assert client.post("/v1/evaluate", json={"queries": queries}).status_code == 413
