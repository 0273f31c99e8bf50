"""Facets, sorting, grouping and suggestions from columns that follow their catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmsearch.catalog.catalog import Catalog, Write
from mmsearch.columns import facets
from mmsearch.columns.columns import Columns
from mmsearch.columns.dictionary import Dictionary
from mmsearch.columns.facets import Facet, NumberRange
from mmsearch.columns.suggest import Completions
from mmsearch.errors import FilterError
from mmsearch.filters import parse

EMPTY = ("origin", "path", "image_digest", "text_digest", "size_bytes", "mtime_ns")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path / "catalog.sqlite3", create=True)
    yield catalog
    catalog.close()


def row(key: str, text: str | None = None, group: str | None = None, **attributes: Any) -> Any:
    return {
        "id": None,
        "key": key,
        "state": "live",
        "text": text,
        "group": group,
        "attributes": attributes,
        **dict.fromkeys(EMPTY),
    }


def of(catalog: Catalog, *rows: Any) -> Columns:
    """Fresh columns over a catalog with these items, whose ids count from 1."""
    catalog.commit(Write(items=list(rows)))
    columns = Columns(catalog)
    columns.refresh()
    return columns


def ids(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def test_items_that_went_after_they_were_ranked_have_no_values(catalog: Catalog) -> None:
    catalog.commit(Write(items=[row(key, key, key, price=n) for n, key in enumerate("abc", 1)]))
    catalog.commit(Write(states={"removed": [2, 3]}))
    columns = Columns(catalog)
    columns.refresh()
    assert columns.values("price", ids(1, 2, 3)) == [1, None, None]
    assert columns.order("price", ids(1, 2, 3)).tolist() == [0, -1, -1]
    assert columns.facet("price", ids(1, 2, 3)).values == ((1, 1),)
    assert (columns.groups(ids(1, 2, 3)) >= 0).tolist() == [True, False, False]


def test_attributes_that_no_item_has_any_more_have_no_values(catalog: Catalog) -> None:
    catalog.commit(Write(items=[row("a", brand="Acme", price=1), row("b")]))
    catalog.set_attributes({1: {"price": 1}})
    columns = Columns(catalog)
    columns.refresh()
    assert columns.facet("brand") == Facet("brand", (), 0, 2, None)
    assert columns.values("brand", ids(1, 2)) == [None, None]
    assert columns.order("brand", ids(1, 2)).tolist() == [-1, -1]
    assert columns.count(parse("brand = 'Acme'", columns.schema())) == 0
    with pytest.raises(FilterError, match="unknown attribute"):
        columns.facet("brnd")


def test_facet_counts_values_and_elements_of_lists(catalog: Catalog) -> None:
    columns = of(
        catalog,
        row("a", tags=["new", "red", "new"], colour="red"),
        row("b", tags=["red"], colour="blue"),
        row("c", tags="red", colour="red"),
        row("d", tags=None),
    )
    assert columns.facet("tags") == Facet("tags", (("red", 3), ("new", 1)), 2, 1, None)
    assert columns.facet("colour", k=1) == Facet("colour", (("red", 2),), 2, 1, None)
    assert columns.facet("colour", ids(2, 4)).values == (("blue", 1),)


def test_facet_of_numbers_tells_their_range(catalog: Catalog) -> None:
    columns = of(catalog, row("a", price=5), row("b", price=7.5), row("c", price="free"), row("d"))
    facet = columns.facet("price")
    assert facet.numbers == NumberRange(5.0, 7.5, 2)
    assert (facet.values, facet.missing) == (((5, 1), (7.5, 1), ("free", 1)), 1)


def test_facet_keeps_true_apart_from_one(catalog: Catalog) -> None:
    facet = of(catalog, row("a", x=True), row("b", x=1), row("c", x=[True])).facet("x")
    assert [(value, type(value), count) for value, count in facet.values] == [
        (True, bool, 2),
        (1, int, 1),
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(["x", "y", 1, 2.5, None, ["x"], ["x", "z", "x"], []]), min_size=1),
    st.data(),
)
def test_facet_counts_as_a_loop_does(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], data: st.DataObject
) -> None:
    catalog = Catalog(tmp_path_factory.mktemp("facet") / "c.sqlite3", create=True)
    columns = of(catalog, *(row(f"k{n}", a=value) for n, value in enumerate(values)))
    chosen = sorted(data.draw(st.sets(st.integers(1, len(values)))))
    facet = columns.facet("a", ids(*chosen))
    expected: dict[Any, int] = {}
    for item in chosen:
        value = values[item - 1]
        for one in set(value) if isinstance(value, list) else {value} - {None}:
            expected[one] = expected.get(one, 0) + 1
    assert dict(facet.values) == expected
    assert facet.distinct == len(expected)
    assert facet.missing == sum(values[item - 1] is None for item in chosen)
    catalog.close()


_scalars = st.sampled_from([True, False, 0, 1, 1.0, -3, 2**60, 2**60 + 1, "a", "b", "é", "", "1"])


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.lists(st.one_of(_scalars, st.none(), st.lists(_scalars, max_size=3)), max_size=20),
    st.integers(1, 6),
)
def test_facet_lists_the_first_of_all_values_in_order(values: list[Any], k: int) -> None:
    dictionary = Dictionary()
    codes = dictionary.encode(values)
    whole = facets.count("a", codes, dictionary, 1000)
    plain = sorted(whole.values, key=lambda one: (-one[1], facets.sort_key(one[0])))
    assert list(whole.values) == plain
    first = facets.count("a", codes, dictionary, k)
    assert repr(first.values) == repr(whole.values[:k])  # 1 is not 1.0
    assert (first.distinct, first.missing) == (whole.distinct, whole.missing)


@settings(deadline=None)
@given(st.lists(st.one_of(_scalars, st.floats(), st.none(), st.lists(_scalars, max_size=2))))
def test_values_are_coded_together_as_one_after_another(values: list[Any]) -> None:
    one, together = Dictionary(), Dictionary()
    assert together.encode(values).tolist() == [int(one.encode([value])[0]) for value in values]
    assert repr(together.values) == repr(one.values)
    types = {(type(value), repr(value)) for value in values if not isinstance(value, float)}
    kept = {(type(value), repr(value)) for value in one.values[1:] if not isinstance(value, float)}
    assert kept == types  # 1, 1.0 and True are three


def test_unknown_attribute_is_an_error_that_suggests(catalog: Catalog) -> None:
    columns = of(catalog, row("a", colour="red"))
    for ask in (columns.facet, lambda name: columns.order(name, ids(1))):
        with pytest.raises(FilterError, match="did you mean colour"):
            ask("colr")


def test_values_numbers_and_order(catalog: Catalog) -> None:
    columns = of(
        catalog,
        row("a", "one", price=10),
        row("b", "two", price=9.5),
        row("c", price="b"),
        row("d", price="a"),
        row("e"),
        row("f", price=10.0),
    )
    every = ids(6, 5, 4, 3, 2, 1)
    assert columns.values("price", every) == [10.0, None, "a", "b", 9.5, 10]
    np.testing.assert_array_equal(
        columns.numbers("price", every), [10, np.nan, np.nan, np.nan, 9.5, 10]
    )
    assert columns.order("price", every).tolist() == [1, -1, 2, 3, 0, 1]
    assert columns.values("key", ids(2)) == ["b"]
    assert columns.values("title", ids(2, 3)) == ["two", None]


def test_order_of_numbers_alone_is_that_of_their_values(catalog: Catalog) -> None:
    prices = [3, 1.5, 3.0, -2, None, 2**60, 2**60 + 1]
    columns = of(catalog, *(row(f"k{n}", price=p) for n, p in enumerate(prices)))
    assert columns.order("price", ids(1, 2, 3, 4, 5)).tolist() == [2, 1, 2, 0, -1]
    assert columns.order("price", ids(7, 6, 1)).tolist() == [2, 1, 0]
    few = of(catalog, row("x", size=2), row("y", size=1), row("z", size=2.0))
    assert few.order("size", ids(8, 9, 10, 1)).tolist() == [1, 0, 1, -1]


def test_items_of_one_group_share_a_number(catalog: Catalog) -> None:
    columns = of(catalog, row("a", group="g"), row("b"), row("c", group="g"), row("d"))
    one, two, three, four = columns.groups(ids(1, 2, 3, 4)).tolist()
    assert one == three >= 0
    assert (two < 0, four < 0, two != four) == (True, True, True)


def test_suggestions_come_from_titles_tags_and_values_by_frequency(catalog: Catalog) -> None:
    columns = of(
        catalog,
        row("a", "Red shoe", brand="Reebok", tags=["retro"], link="https://re.example"),
        row("b", "Red shoe", brand="Reebok", tags=["retro", "red"]),
        row("c", "Étoile hat", brand="Reebok", size=5),
    )
    assert columns.suggest("re") == [("Reebok", 3), ("Red shoe", 2), ("retro", 2), ("red", 1)]
    assert columns.suggest("RE", k=1) == [("Reebok", 3)]
    assert columns.suggest("etoi") == [("Étoile hat", 1)]
    assert columns.suggest("https") == columns.suggest(" ") == columns.suggest("zz") == []


_strings = st.one_of(
    st.text("aàAbB", max_size=3), st.just("a://b"), st.integers(0, 2), st.lists(st.text("aàb"))
)
_steps = st.lists(st.lists(st.tuples(st.integers(0, 2), _strings), max_size=3), max_size=6)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), _strings), min_size=1, max_size=60), _steps)
def test_completions_that_grow_are_those_made_anew(
    start: list[tuple[int, Any]], steps: list[list[tuple[int, Any]]]
) -> None:
    """Values, each in one of three dictionaries of which the third one may come later."""
    grown = Completions()
    dictionaries: list[Dictionary] = []
    codes: list[list[int]] = []
    for values in (start, *steps):
        for number, value in values:
            while len(dictionaries) <= number:
                dictionaries.append(Dictionary())
                codes.append([])
            codes[number] += dictionaries[number].encode([value]).tolist()
        anew = Completions()
        anew.update(dictionaries)
        grown.update(dictionaries)
        live = [
            (np.array(some, np.int32), one) for some, one in zip(codes, dictionaries, strict=True)
        ]
        for prefix in ("a", "b", "ab", "ba", "aa"):
            expected = anew.starting_with(prefix, anew.tally(live), 3)
            assert grown.starting_with(prefix, grown.tally(live), 3) == expected
        assert not grown.update(dictionaries)


def test_one_new_string_among_many_is_suggested_in_its_place(catalog: Catalog) -> None:
    columns = of(catalog, *(row(f"k{n}", f"Shoe {n:02}", tags=["shoe"]) for n in range(30)))
    assert columns.suggest("shoe 1", k=2) == [("Shoe 10", 1), ("Shoe 11", 1)]
    catalog.commit(Write(items=[row("new", "shoe 10b", "g", tags=["Shoé 105"], colour="shoe 11")]))
    columns.refresh()
    assert columns.suggest("shoe 1", k=4) == [
        ("Shoe 11", 2),  # a spelling that was there before is the one that is shown
        ("Shoe 10", 1),
        ("Shoé 105", 1),
        ("shoe 10b", 1),
    ]


def test_columns_follow_every_change(catalog: Catalog) -> None:
    columns = of(catalog, row("a", "red", colour="red"), row("b", "blue", colour="blue"))
    assert columns.values("text", ids(1, 2)) == ["red", "blue"]
    assert columns.suggest("r") == [("red", 2)]
    catalog.set_attributes({1: {"size": 3}})
    catalog.commit(Write(items=[row("c", "red", group="g", colour="red")]))
    columns.refresh()
    assert columns.candidates(parse("colour = 'red'")).tolist() == [3]
    assert columns.candidates(parse("size = 3")).tolist() == [1]
    assert columns.schema() == {"colour": {"string"}, "size": {"number"}}
    assert columns.values("text", ids(3)) == ["red"]
    assert columns.suggest("r") == [("red", 3)]
    catalog.set_attributes({1: {"size": 4, "stock": 9}, 2: {"colour": "blue", "size": 5}})
    columns.refresh()
    assert columns.suggest("b") == [("blue", 2)]
    catalog.set_attributes({1: {"size": 3}})
    catalog.commit(Write(items=[{**row("b", "beige", colour="blue"), "id": 2}]))
    columns.refresh()
    assert columns.suggest("b") == [("beige", 1), ("blue", 1)]
    catalog.commit(Write(states={"missing": [1], "removed": [3]}))
    columns.refresh()
    assert (columns.ids.tolist(), len(columns)) == ([2], 1)
    catalog.commit(Write(states={"live": [1]}))
    columns.refresh()
    assert columns.ids.tolist() == [1, 2]
    assert columns.candidates(parse("text = 'red' and size exists")).tolist() == [1]


def test_columns_that_were_loaded_after_items_went_missing_see_them_return(
    catalog: Catalog,
) -> None:
    catalog.commit(Write(items=[row("a", colour="red"), row("b", colour="red")]))
    catalog.commit(Write(states={"missing": [1]}))
    columns = Columns(catalog)
    columns.refresh()
    assert columns.ids.tolist() == [2]
    catalog.commit(Write(states={"live": [1]}))
    columns.refresh()
    assert columns.candidates(parse("colour = 'red'")).tolist() == [1, 2]


def test_values_that_no_item_has_any_more_are_forgotten(catalog: Catalog) -> None:
    columns = of(catalog, row("a", price=0), row("b", price=0), row("c", "one", price=["on sale"]))
    assert columns.suggest("o") == [("on sale", 1), ("one", 1)]
    columns._attributes["price"].dictionary.encode([float(price) for price in range(1100)])
    catalog.set_attributes({1: {"price": 7, "tags": ["old"]}})
    columns.refresh()
    assert columns.candidates(parse("price = 7")).tolist() == [1]
    assert columns.values("price", ids(1, 2, 3)) == [7, 0, ["on sale"]]
    assert len(columns._attributes["price"].dictionary) == 4
    assert columns.suggest("o") == [("old", 1), ("on sale", 1), ("one", 1)]


def test_columns_tell_when_what_items_hold_has_changed(catalog: Catalog) -> None:
    columns = of(catalog, row("a", "red", colour="red"))
    before = columns.content_seq
    catalog.commit(Write(recovered=["no item"]))
    columns.refresh()
    assert (columns.content_seq, columns.seq) == (before, catalog.seq())
    catalog.set_attributes({1: {"colour": "rose"}})
    columns.refresh()
    assert before < columns.content_seq == columns.seq
    catalog.set_attributes({1: {"colour": 3}})
    columns.refresh()
    before = columns.content_seq
    catalog.forget_types()
    columns.refresh()
    assert columns.content_seq > before


def test_empty_catalog_has_empty_columns(catalog: Catalog) -> None:
    columns = Columns(catalog)
    columns.refresh()
    assert (len(columns), columns.ids.tolist(), columns.suggest("a")) == (0, [], [])
    assert columns.candidates(parse("a = 1 or text is null")).tolist() == []
