"""Text, JSON and tree are three forms of one filter."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsearch.errors import FilterError
from mmsearch.filters import Filter, from_json, parse, to_json, to_text
from mmsearch.filters.build import MAX_CONDITIONS, MAX_DEPTH
from mmsearch.filters.json_form import OPERATORS
from mmsearch.filters.like import FOLD, like, matcher
from tests.filters.worlds import filters


@settings(max_examples=300, derandomize=True)
@given(filters)
def test_text_and_json_give_the_same_filter_back(filter: Filter) -> None:
    assert repr(parse(to_text(filter))) == repr(filter)
    assert repr(from_json(json.loads(json.dumps(to_json(filter))))) == repr(filter)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("price < 50", {"attribute": "price", "op": "<", "value": 50}),
        ("text like 'a%'", {"field": "text", "op": "like", "value": "a%"}),
        (
            "colour in ('red', 'blue')",
            {"attribute": "colour", "op": "in", "value": ["red", "blue"]},
        ),
        ("price between 1 and 2.5", {"attribute": "price", "op": "between", "value": [1, 2.5]}),
        ('"key" is null', {"attribute": "key", "op": "is null"}),
        ("tags not contains 'x'", {"not": {"attribute": "tags", "op": "contains", "value": "x"}}),
        (
            "(a exists or b != true) and not c = 1",
            {
                "and": [
                    {
                        "or": [
                            {"attribute": "a", "op": "exists"},
                            {"attribute": "b", "op": "!=", "value": True},
                        ]
                    },
                    {"not": {"attribute": "c", "op": "=", "value": 1}},
                ]
            },
        ),
    ],
)
def test_written_as(text: str, value: dict[str, Any]) -> None:
    filter = parse(text)
    assert to_text(filter) == text
    assert to_json(filter) == value
    assert from_json(value) == filter


def test_field_reads_a_name_as_text_does() -> None:
    for name in ("key", "title", "price"):
        value = {"field": name, "op": "=", "value": "x"}
        assert from_json(value) == parse(f"{name} = 'x'")


def leaf(**changes: Any) -> dict[str, Any]:
    value = {"field": "a", "op": "=", "value": 1} | changes
    return {name: part for name, part in value.items() if part is not ...}


def deep(levels: int) -> dict[str, Any]:
    value = leaf()
    for _ in range(levels):
        value = {"not": value}
    return value


@pytest.mark.parametrize(
    ("value", "place", "says"),
    [
        ([], "$", "of type list where an object {…} is needed"),
        ("a = 1", "$", "of type string where an object"),
        (None, "$", "of type null where an object"),
        ({}, "$", "a filter has and, or, not, or one of field and attribute"),
        (leaf(attribute="a"), "$", "one of field and attribute"),
        ({"and": []}, "$.and", "and takes a list of one filter or more"),
        ({"or": leaf()}, "$.or", "or takes a list"),
        ({"and": [leaf(), leaf(op="~")]}, "$.and[1].op", "op is one of = != <"),
        ({"and": [leaf()], "or": [leaf()]}, "$", "'or' does not belong beside and"),
        ({"not": leaf(), "x": 1}, "$", "'x' does not belong beside not"),
        (leaf(op=["="]), "$.op", "op is one of"),
        (leaf(op=...), "$.op", "op is one of"),
        (leaf(extra=1), "$", "'extra' does not belong beside field and op and value"),
        (leaf(op="exists"), "$", "'value' does not belong beside field and op"),
        (leaf(value=...), "$", "'value' is missing"),
        (leaf(field=5), "$.field", "a name is a string, not a value of type number"),
        (leaf(field="prize"), "$.field", "did you mean price?"),
        (leaf(field="a\0"), "$.field", "U+0000"),
        (leaf(value=None), "$.value", "use the op is null"),
        (leaf(value=[1]), "$.value", "of type list where a string"),
        (leaf(value={}), "$.value", "of type object where a string"),
        (leaf(value=float("nan")), "$.value", "NaN"),
        (leaf(value=float("inf")), "$.value", "too large"),
        (leaf(value=10**400), "$.value", "too large"),
        (leaf(value="\ud800"), "$.value", "half a character"),
        (leaf(op="in", value="x"), "$.value", "in takes a list, not a value of type string"),
        (leaf(op="in", value=[]), "$.value", "never true"),
        (leaf(op="in", value=[1, "x"]), "$.value", "give values of one type"),
        (leaf(op="between", value=[1]), "$.value", "two values, not of 1"),
        (leaf(op="like", value=1), "$.value", "like compares strings"),
        (leaf(op="<", value="x"), "$.value", "'a' is a number, never a string"),
        (deep(MAX_DEPTH + 1), "$" + ".not" * (MAX_DEPTH + 1), "nested more than"),
        ({"or": [leaf()] * (MAX_CONDITIONS + 1)}, f"$.or[{MAX_CONDITIONS}]", "more than"),
    ],
)
def test_bad_json_is_named_by_its_place(value: object, place: str, says: str) -> None:
    with pytest.raises(FilterError) as raised:
        from_json(value, {"a": {"number"}, "price": {"number"}})
    assert str(raised.value).startswith(f"in the filter, at {place}: ")
    assert says in str(raised.value)
    assert raised.value.position is None


def test_as_deep_as_text_may_be() -> None:
    assert from_json(deep(MAX_DEPTH)) == parse("not " * MAX_DEPTH + "a = 1")


def refusal(value: object) -> FilterError | None:
    try:
        from_json(value)
    except FilterError as error:
        return error
    return None


_words = st.sampled_from(["and", "or", "not", "field", "attribute", "op", "value", *OPERATORS])
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _words),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(_words, inner)),
    max_leaves=8,
)


@settings(max_examples=150, derandomize=True)
@given(_json)
def test_any_json_is_a_filter_or_a_filter_error(value: object) -> None:
    refused = refusal(value)
    assert refused is None or str(refused).startswith("in the filter, at $")


def fits(text: str, pattern: str) -> bool:
    """The definition of like, character by character, for patterns without escapes."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(fits(text[skipped:], pattern[1:]) for skipped in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and fits(text[1:], pattern[1:])


@settings(max_examples=500, derandomize=True)
@given(st.text("ab.", max_size=6), st.text("ab.%_", max_size=6))
def test_like_equals_its_definition(text: str, pattern: str) -> None:
    assert like(text, pattern, fold=False) == fits(text, pattern)


# Letters whose other case is ASCII, or that have one that is not (Kelvin, long s, dotless i).
_CASES = "aAkKsSiI\u212a\u017f\u0131\u0130éÉ."


@settings(max_examples=500, derandomize=True)
@given(st.lists(st.text(_CASES, max_size=6), max_size=4), st.text(_CASES + "%_", max_size=6))
def test_ilike_is_like_with_ascii_letters_folded(texts: list[str], pattern: str) -> None:
    test = matcher(pattern, fold=True)
    folded = pattern.translate(FOLD)
    assert [test(text) for text in texts] == [fits(text.translate(FOLD), folded) for text in texts]


def test_stray_backslash_is_an_error_before_any_text() -> None:
    with pytest.raises(ValueError, match="have a meaning"):
        matcher("a\\b", fold=False)
