"""Boosts and decay keep relevances in their range; pins and buried items stand where they must."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.errors import UsageError
from mmsearch.ranking.modifiers import Boost, Decay, Modifiers, Shape
from mmsearch.ranking.modifiers_json import modifiers_from_json

RELEVANCE = st.lists(st.floats(0, 1), min_size=1, max_size=12)
FACTOR = st.floats(0.01, 100)
SHAPES: tuple[Shape, ...] = ("gauss", "exp", "linear")


@given(RELEVANCE, FACTOR, FACTOR)
def test_relevances_stay_in_range_and_in_order(r: list[float], up: float, down: float) -> None:
    column = ["Nike"] * len(r)
    modifiers = Modifiers((Boost("brand", ("Nike",), up), Boost("brand", ("Nike", "Puma"), down)))
    after = modifiers.apply(np.array(r), {"brand": column})
    assert ((after >= 0) & (after <= 1)).all()
    assert (np.diff(after[np.argsort(r, kind="stable")]) >= -1e-12).all()


@given(st.floats(0.001, 0.999), FACTOR, FACTOR)
def test_factors_multiply_the_odds(r: float, first: float, second: float) -> None:
    boosts = (Boost("brand", ("Nike",), first), Boost("sale", (True,), second))
    got = Modifiers(boosts).apply(np.array([r]), {"brand": ["Nike"], "sale": [True]})[0]
    odds = r / (1 - r) * first * second
    assert got == pytest.approx(odds / (1 + odds), rel=1e-9)


def test_nothing_matches_a_value_of_another_kind() -> None:
    boost = Boost("a", (1,), 3.0)
    assert boost.factors([1, 1.0, True, "1", None, [2, 1], [], {"a": 1}]).tolist() == [
        3, 3, 1, 1, 1, 3, 1, 1,
    ]  # fmt: skip


def test_impossible_and_certain_stay_what_they_are() -> None:
    modifiers = Modifiers((Boost("a", ("x",), 50.0),))
    assert modifiers.apply(np.array([0.0, 1.0]), {"a": ["x", "x"]}).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("shape", SHAPES)
@given(
    origin=st.floats(-100, 100),
    scale=st.floats(0.1, 50),
    offset=st.floats(0, 10),
    decay=st.floats(0.05, 0.95),
)
def test_decay_is_one_at_the_origin_and_decay_at_the_scale(
    shape: Shape, origin: float, scale: float, offset: float, decay: float
) -> None:
    one = Decay("price", origin, scale, shape, offset, decay)
    at = [origin, origin - offset, origin + offset + scale, origin - offset - scale]
    assert one.factors(at) == pytest.approx([1, 1, decay, decay], rel=1e-6, abs=1e-9)
    far = one.factors([origin + step * scale for step in range(12)])
    assert (np.diff(far) <= 1e-12).all()
    assert ((far >= 0) & (far <= 1)).all()


def test_an_item_without_a_number_does_not_decay() -> None:
    one = Decay("price", 10, 5)
    assert one.factors([None, "cheap", True, math.nan, 10]).tolist() == [1, 1, 1, 1, 1]


@given(st.dictionaries(st.sampled_from("abcxyz"), st.integers(1, 3), min_size=2, max_size=4))
def test_two_keys_cannot_be_pinned_to_one_place(pinned: dict[str, int]) -> None:
    if len(set(pinned.values())) < len(pinned):
        with pytest.raises(UsageError, match="one place"):
            Modifiers(pinned=pinned)
    else:
        assert Modifiers(pinned=pinned).pinned == pinned


FORM: dict[str, Any] = {
    "boosts": [{"attribute": "brand", "in": ["Nike", 1, True], "factor": 2}],
    "decays": [{"attribute": "price", "shape": "exp", "origin": 50, "scale": 20, "offset": 1}],
    "pinned": {"sku-1": 1},
    "buried": ["sku-9"],
}


def test_modifiers_come_back_from_json() -> None:
    read = modifiers_from_json(FORM)
    assert read.boosts == (Boost("brand", ("Nike", 1, True), 2.0),)
    assert read.decays == (Decay("price", 50, 20, "exp", 1, 0.5),)
    assert read.attributes == {"brand", "price"}
    assert modifiers_from_json(json.loads(json.dumps(read.to_json()))) == read
    assert modifiers_from_json({}) == Modifiers()


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ([], "modifiers must be"),
        ({"boost": []}, "no field 'boost'"),
        ({"boosts": {}}, "modifiers.boosts must be a list"),
        ({"boosts": [3]}, r"boosts\[0\] must be"),
        ({"boosts": [{"attribute": "a", "in": "x", "factor": 2}]}, r"boosts\[0\].in"),
        ({"boosts": [{"attribute": "a", "in": [None], "factor": 2}]}, r"boosts\[0\].in"),
        ({"boosts": [{"attribute": "a", "in": ["x"]}]}, r"boosts\[0\].factor"),
        ({"boosts": [{"attribute": "a", "in": ["x"], "factor": True}]}, r"boosts\[0\].factor"),
        ({"boosts": [{"attribute": "a", "in": ["x"], "factor": 0}]}, "above 0"),
        ({"boosts": [{"attribute": "a", "in": [], "factor": 2}]}, "names no value"),
        ({"boosts": [{"attribute": "", "in": ["x"], "factor": 2}]}, r"boosts\[0\].attribute"),
        ({"decays": [{"attribute": "a", "origin": 1}]}, r"decays\[0\].scale"),
        ({"decays": [{"attribute": "a", "origin": 1, "scale": 0}]}, "scale .* above 0"),
        ({"decays": [{"attribute": "a", "origin": 1, "scale": 1, "decay": 1}]}, "between 0"),
        ({"decays": [{"attribute": "a", "origin": 1, "scale": 1, "offset": -1}]}, "at least 0"),
        ({"decays": [{"attribute": "a", "origin": 1, "scale": 1, "shape": "cubic"}]}, "'cubic'"),
        ({"decays": [{"attribute": "a", "origin": math.inf, "scale": 1}]}, "finite"),
        ({"pinned": ["a"]}, "modifiers.pinned"),
        ({"pinned": {"a": "first"}}, "modifiers.pinned"),
        ({"pinned": {"a": 0}}, "count from 1"),
        ({"pinned": {"a": 1, "b": 1}}, "one place"),
        ({"pinned": {"a": 1}, "buried": ["a"]}, "both pinned and buried"),
        ({"buried": "a"}, "modifiers.buried"),
        ({"buried": [1]}, "modifiers.buried"),
    ],
)
def test_faults_name_their_place(value: object, at: str) -> None:
    with pytest.raises(UsageError, match=at):
        modifiers_from_json(value)
