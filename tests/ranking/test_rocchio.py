"""Feedback moves the query, and concepts survive JSON."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmsearch.errors import UsageError
from mmsearch.ranking.rocchio import Concept, Feedback, move
from mmsearch.types import Term

NONE = np.empty((0, 4), np.float32)


def unit(seed: int, n: int) -> npt.NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@given(st.integers(0, 10_000), st.integers(0, 5), st.integers(0, 5))
def test_the_moved_query_is_rocchios_formula(seed: int, likes: int, dislikes: int) -> None:
    rows = unit(seed, 1 + likes + dislikes)
    query, liked, disliked = rows[0], rows[1 : 1 + likes], rows[1 + likes :]
    wanted = query.astype(float)
    if likes:
        wanted = wanted + 0.75 * liked.mean(axis=0)
    if dislikes:
        wanted = wanted - 0.15 * disliked.mean(axis=0)
    got = move(query, liked, disliked)
    assert got.dtype == np.float32
    assert got == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-5)


@given(st.integers(0, 10_000))
def test_a_liked_item_scores_more_and_a_disliked_one_less(seed: int) -> None:
    query, item = unit(seed, 2)
    before = float(query @ item)
    assert float(move(query, item[None], NONE) @ item) >= before - 1e-6
    assert float(move(query, NONE, item[None]) @ item) <= before + 1e-6


def test_without_feedback_the_query_stays() -> None:
    query = unit(1, 1)[0]
    assert move(query, NONE, NONE) == pytest.approx(query, abs=1e-6)


def test_feedback_that_cancels_the_query_is_an_error() -> None:
    query = unit(1, 1)[0]
    with pytest.raises(UsageError, match="cancel"):
        move(query, NONE, query[None], Feedback(disliked=1.0))


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_of_feedback_are_at_least_zero(weight: float) -> None:
    with pytest.raises(UsageError, match="'liked'"):
        Feedback(liked=weight)


def test_a_concept_comes_back_from_json() -> None:
    concept = Concept(
        "boots",
        (Term(text="leather boots"), Term(item="sku-1", weight=0.5), Term(text="red", weight=-1)),
        liked=("sku-2",),
        disliked=("sku-3", "sku-4"),
    )
    assert Concept.from_json(json.loads(json.dumps(concept.to_json()))) == concept


def test_concepts_that_cannot_be_saved_are_refused() -> None:
    with pytest.raises(UsageError, match="name"):
        Concept(" ", (Term(text="x"),))
    with pytest.raises(UsageError, match="empty"):
        Concept("boots", disliked=("sku-1",))
    with pytest.raises(UsageError, match="index the picture"):
        Concept("boots", (Term(image=Image.new("RGB", (1, 1))),))
    with pytest.raises(UsageError, match="'sku-1' is both"):
        Concept("boots", liked=("sku-1",), disliked=("sku-1",))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"name": "x", "terms": ["red"]},
        {"name": "x", "terms": [{"weight": 1}]},
        {"name": "x", "terms": [{"text": "a", "item": "b"}]},
        {"name": "x", "terms": [{"text": "a", "weight": "much"}]},
        {"name": "x", "liked": "sku-1"},
        {"name": 1, "liked": ["sku-1"]},
    ],
)
def test_json_that_is_no_concept_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Concept.from_json(value)
