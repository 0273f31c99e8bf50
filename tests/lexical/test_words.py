"""Texts become the same words, whether they are indexed or asked for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsearch.lexical.spelling import allowed_distance, distance, nearest, one_edit_away
from mmsearch.lexical.words import (
    Word,
    fold,
    may_differ,
    searchable,
    searchable_attributes,
    searchable_names,
    words_of,
)

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["a", "b", "é"]),
    st.lists(st.sampled_from(["a", "b"]), max_size=2),
)  # fmt: skip
ATTRIBUTES = st.dictionaries(st.sampled_from("xyz"), VALUES)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Café", "cafe"),
        ("Cafe\u0301", "cafe"),
        ("STRASSE straße", "strasse strasse"),
        ("Ørsted Łódź æ", "orsted lodz ae"),
        ("ＡＢＣ１２", "abc12"),
        ("ﾃﾞｰﾀ が", "データ が"),
        ("Ёлка", "елка"),
    ],
)
def test_accents_case_and_width_are_folded(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("Red  SHOES, red", ["red", "shoes"]),
        (
            "t-shirt 'x' \"y\" NEAR(a b) a* col:b ^c",
            ["t", "shirt", "x", "y", "near", "a", "b", "col", "c"],
        ),
        ("a\0b", ["a", "b"]),
        ("皮靴", ["皮靴"]),
        ("黑色皮靴 nike鞋子", ["黑色", "色皮", "皮靴", "nike", "鞋子"]),
        ("जूते", ["जूते"]),
        ("😀 !", []),
        ("", []),
    ],
)
def test_query_is_cut_into_words(query: str, words: list[str]) -> None:
    assert [word.text for word in words_of(query)] == words


def test_only_an_unfinished_last_word_is_a_prefix() -> None:
    assert words_of("red sh", prefix=True) == [Word("red"), Word("sh", prefix=True)]
    assert words_of("red sh ", prefix=True) == [Word("red"), Word("sh")]
    assert words_of("red sh") == [Word("red"), Word("sh")]


def test_single_character_of_an_unspaced_script_is_the_beginning_of_a_pair() -> None:
    assert words_of("靴") == [Word("靴", prefix=True)]
    assert searchable("皮靴").split() == ["皮靴", "靴"]


def test_attributes_give_strings_and_lists_of_strings_but_no_addresses() -> None:
    given = (
        '{"brand": "Acme", "tags": ["new", 5, null], "price": 5, "url": "https://a.b/c", "x": {}}'
    )
    assert searchable_attributes(given).split() == ["Acme", "new"]


@given(st.text())
def test_every_text_can_be_folded_and_cut(text: str) -> None:
    again = fold(text)
    assert all(word.text and " " not in word.text for word in words_of(text))
    assert [word.text for word in words_of(again)] == [word.text for word in words_of(text)]


@pytest.mark.parametrize(
    ("left", "right", "edits"),
    [("adidas", "adidas", 0), ("adidas", "adidsa", 1), ("ca", "abc", 3), ("nike", "mike", 1)],
)
def test_distance_counts_edits_and_swapped_neighbours(left: str, right: str, edits: int) -> None:
    assert distance(left, right, 3) == distance(right, left, 3) == edits


LETTERS = st.text("abc", max_size=6)


@given(LETTERS, LETTERS)
def test_strings_made_one_edit_away_are_those_at_distance_one(left: str, right: str) -> None:
    assert (right in one_edit_away(left) and bool(left)) == (
        distance(left, right, 1) == 1 and bool(left)
    )


@given(LETTERS, LETTERS, st.integers(0, 3))
def test_distance_stops_one_past_its_limit(left: str, right: str, limit: int) -> None:
    assert distance(left, right, limit) == min(distance(left, right, 9), limit + 1)


def test_numbers_and_short_words_are_taken_as_meant() -> None:
    assert [allowed_distance(word) for word in ("red", "12345", "nike", "sneakers", "x" * 31)] == [
        0,
        0,
        1,
        2,
        0,
    ]


def test_nearest_comes_first_then_the_more_frequent() -> None:
    known = [("adidas", 5), ("adidos", 9), ("abides", 99)]
    assert nearest("adidaz", known, 2) == ["adidas"]
    assert nearest("adidxs", known, 2) == ["adidos", "adidas"]
    assert nearest("zzzzzz", known, 2) == []


@settings(max_examples=500)
@given(ATTRIBUTES, ATTRIBUTES)
def test_names_that_may_not_differ_have_the_same_words(
    new: dict[str, object], old: dict[str, object]
) -> None:
    if not may_differ(new, old):
        assert sorted(searchable_names(new).split()) == sorted(searchable_names(old).split())


def test_numbers_alone_make_no_other_words() -> None:
    old = {"price": 5, "sale": True, "brand": "Acme"}
    assert not may_differ({**old, "price": 4.5, "sale": False}, old)
    assert may_differ({**old, "brand": "Other"}, old)
    assert may_differ({**old, "price": "5"}, old)
