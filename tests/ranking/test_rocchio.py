"""Feedback moves the query, and concepts survive JSON."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from mmsearch.errors import UsageError
from mmsearch.ranking.rocchio import Concept, Feedback
from mmsearch.types import Term


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
