"""Answers are kept for as long as nothing has changed, whoever changes it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import mmsearch
from mmsearch.server.answer_cache import AnswerCache
from tests.server.worlds import serving
from tests.support import ColourEncoder

ASKED = {"text": "red", "k": 50, "facets": ["price"]}
Change = Callable[[mmsearch.Collection], object]


def lookups(client: TestClient) -> tuple[float, float]:
    registry = client.app.state.metrics.registry  # type: ignore[attr-defined]  # Starlette's Any
    hits, misses = (
        registry.get_sample_value("mmsearch_cache_lookups_total", {"result": result}) or 0
        for result in ("hit", "miss")
    )
    return hits, misses


def test_same_question_is_answered_once(client: TestClient) -> None:
    first = client.post("/v1/search", json=ASKED)
    assert lookups(client) == (0, 1)
    again = client.post("/v1/search", json={**ASKED, "group": False})  # a default, spelled out
    assert lookups(client) == (1, 1)
    assert again.content == first.content
    client.post("/v1/search", json={**ASKED, "k": 49})
    assert lookups(client) == (1, 2)


def test_explanation_is_of_its_own_answer(client: TestClient) -> None:
    explained = {**ASKED, "explain": True}
    first = client.post("/v1/search", json=explained).json()
    second = client.post("/v1/search", json=explained).json()
    assert first["explain"][-1] != second["explain"][-1]  # how long it took
    assert lookups(client)[0] == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update({"P1": {"price": 1000}}),
        lambda c: c.remove(["P1"]),
        lambda c: c.upsert([{"key": "n", "text": "red", "attributes": {"price": 1}}]),
        lambda c: c.save_concept("mine", "blue"),
    ],
    ids=["update", "remove", "upsert", "concept"],
)
def test_change_by_another_process_is_seen_at_once(
    client: TestClient, folder: Path, encoder: ColourEncoder, change: Change
) -> None:
    with mmsearch.open(folder, encoder=encoder) as other:
        other.save_concept("mine", "red")
        asked = {**ASKED, "text": None, "terms": [{"concept": "mine"}]}
        before = client.post("/v1/search", json=asked).json()
        assert client.post("/v1/search", json=asked).json() == before
        assert lookups(client)[0] == 1
        change(other)
    assert client.post("/v1/search", json=asked).json() != before


def test_own_change_is_seen_at_once(client: TestClient) -> None:
    before = client.post("/v1/search", json=ASKED).json()
    client.patch("/v1/items", json={"items": {"P1": {"price": 1000}}})
    after = client.post("/v1/search", json=ASKED).json()
    assert before["facets"][0]["high"] < after["facets"][0]["high"] == 1000


def test_answer_from_before_a_change_is_not_kept(folder: Path, encoder: ColourEncoder) -> None:
    root = folder / ".mmsearch"
    cache = AnswerCache(root / "catalog.sqlite3", root / "concepts.json", 1000)
    stamp = cache.stamp()
    with mmsearch.open(folder, encoder=encoder) as collection:
        collection.update({"P1": {"price": 7}})
    cache.put("asked before", stamp, b"old")
    assert cache.get("asked before", cache.stamp()) is None
    cache.close()


def test_answers_are_kept_up_to_their_bytes(folder: Path, encoder: ColourEncoder) -> None:
    with serving(folder, encoder, answer_cache_bytes=1) as client:
        for _ in range(2):
            assert client.post("/v1/search", json=ASKED).status_code == 200
        assert lookups(client) == (0, 2)


def test_long_requests_take_no_more_room_than_short_ones(folder: Path) -> None:
    root = folder / ".mmsearch"
    answers = AnswerCache(root / "catalog.sqlite3", root / "concepts.json", 1_000_000)
    stamp = answers.stamp()
    tracemalloc.start()
    for number in range(100):
        answers.put(f"{number} {'x' * 100_000}", stamp, b"no hits")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    answers.close()
    assert kept < 1_000_000
