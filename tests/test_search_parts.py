"""Stations of a query that have a law of their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.ranking.ranked import Ranked
from mmsearch.search.arrange import Shown, placed
from mmsearch.search.terms import with_feedback
from mmsearch.types import Term


@given(
    st.lists(st.integers(0, 7), unique=True),
    st.dictionaries(st.integers(20, 25), st.integers(1, 10), max_size=4),
)
def test_pinned_items_stand_at_their_places(found: list[int], pinned: dict[int, int]) -> None:
    pinned = {place: item for item, place in pinned.items()}  # one item a place
    pinned = {item: place for place, item in pinned.items()}
    ranking = Ranked(np.array(found, np.int64), np.linspace(1, 0, len(found)))
    got = placed(Shown(ranking, None), pinned, dict.fromkeys(pinned, 1)).ranking.ids.tolist()
    assert sorted(got) == sorted([*found, *pinned])
    for item, place in pinned.items():
        if place <= len(got) - sum(other > place for other in pinned.values()):
            assert got.index(item) == place - 1
    assert [item for item in got if item not in pinned] == found


def test_feedback_is_rocchios_formula() -> None:
    terms = with_feedback((Term(text="red"),), ("a", "b"), ("c",))
    assert terms == (
        Term(text="red"),
        Term(item="a", weight=0.375),
        Term(item="b", weight=0.375),
        Term(item="c", weight=-0.15),
    )


def test_without_feedback_the_terms_stay() -> None:
    terms = (Term(text="red", weight=0.5), Term(item="a"))
    assert with_feedback(terms, (), ()) == terms


def test_the_query_weighs_one_beside_its_feedback_however_many_terms_it_has() -> None:
    query = (Term(text="red", weight=3.0), Term(text="snow", weight=-1.0))
    moved = with_feedback(query, ("a",), ())
    assert sum(abs(term.weight) for term in moved[:2]) == pytest.approx(1.0)
    assert moved[2] == Term(item="a", weight=0.75)
