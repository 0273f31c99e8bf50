"""A filter means the same in the database and in Python."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmsearch.catalog.schema import items
from mmsearch.errors import FilterError
from mmsearch.filters import Filter, parse, to_sql, to_text
from mmsearch.filters.build import MAX_CONDITIONS, MAX_DEPTH, MAX_PATTERN, Builder
from mmsearch.filters.nodes import NEGATED, Contains, Field, Not, Value
from tests.filters.worlds import (
    HUGE,
    NAMES,
    NUMBERS,
    STRANGE,
    STRINGS,
    Item,
    Shelf,
    filters,
    pattern,
    stored_items,
)


@pytest.fixture(scope="module")
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.engine.dispose()


def same(shelf: Shelf, filter: Filter) -> list[int]:
    """What the filter finds in the database, which is what it finds in Python."""
    found = shelf.find(filter)
    assert found == shelf.matching(filter), to_text(filter)
    return found


def test_two_thousand_random_filters_find_the_same_in_sql_and_in_python(shelf: Shelf) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=100, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(stored_items, min_size=15, max_size=20),
        st.lists(filters, min_size=20, max_size=20),
    )
    def agree(stored: list[Item], asked: list[Filter]) -> None:
        shelf.put(stored)
        for filter in asked:
            for one in (filter, Not(filter)):
                found = same(shelf, one)
                seen["none" if not found else "all" if len(found) == len(stored) else "some"] += 1

    agree()
    assert sum(seen.values()) >= 4000
    assert min(seen["none"], seen["all"], seen["some"]) > 200, seen


def test_each_value_compares_with_each_other_the_same(shelf: Shelf) -> None:
    values: list[Any] = [*STRINGS, *STRANGE, *NUMBERS, *HUGE, True, False, None, [], ["a"], {}]
    shelf.put([item for value in values for item in one_item(a=value)])
    literals: list[Value] = [*STRINGS[::3], *NUMBERS]
    for value in literals:
        for op in NEGATED:
            same(shelf, Builder().compare(Field("a"), op, value))
        assert same(shelf, Builder().within(Field("a"), [value]))


def test_each_string_fits_patterns_the_same(shelf: Shelf) -> None:
    shelf.put([item for value in [*STRINGS, *STRANGE] for item in one_item(a=value)])
    dice = random.Random(7)
    fits = 0
    for _ in range(150):
        made = pattern(dice)
        for fold in (True, False):
            fits += bool(same(shelf, Builder().like(Field("a"), made, fold=fold)))
    assert 150 < fits < 300


def one_item(**attributes: Any) -> list[Item]:
    return [{"text": None, "group": None, "path": None, "attributes": attributes}]


@pytest.mark.parametrize(
    ("text", "attributes", "truth"),
    [
        # Missing, null and another type are unknown, and so is the opposite.
        ("a = 1", {}, None),
        ("a != 1", {"a": None}, None),
        ("a = '1'", {"a": 1}, None),
        ("a = 1", {"a": True}, None),
        ("a = true", {"a": 1}, None),
        ("a < 'z'", {"a": ["b"]}, None),
        ("a like '%1%'", {"a": 1}, None),
        ("a in (1, 2)", {"a": "1"}, None),
        ("a contains 'x'", {"a": "x"}, None),
        ("a = 1 and b = 1", {"b": 2}, False),
        ("a = 1 or b = 1", {"b": 1}, True),
        ("a = 1 or b = 1", {"b": 2}, None),
        # Numbers are numbers, exactly.
        ("a = 1", {"a": 1.0}, True),
        ("a = 0.0", {"a": -0.0}, True),
        ("a = 19.99", {"a": 19.99}, True),
        ("a = 9007199254740992.0", {"a": 2**53 + 1}, False),
        ("a > 9223372036854775807", {"a": 2**63}, True),
        ("a = 18446744073709551616", {"a": 2**64 + 1}, True),
        ("a > 1e308", {"a": 10**400}, True),
        # Strings are ordered by code point and compared as they are.
        ("a < 'a'", {"a": "Z"}, True),
        ("a < '\uffff'", {"a": "😀"}, False),
        ("a = 'é'", {"a": "e\u0301"}, False),
        ("a between 'b' and 'd'", {"a": "d"}, True),
        ("a between 3 and 1", {"a": 2}, False),
        # Patterns: like tells cases apart, ilike folds A-Z and nothing else.
        ("a like '%car%'", {"a": "a Car"}, False),
        ("a ilike '%CAR%'", {"a": "a car"}, True),
        ("a ilike 'É'", {"a": "é"}, False),
        ("a like '_'", {"a": "😀"}, True),
        ("a like '_'", {"a": "\uffff"}, True),
        (r"a like '50\%'", {"a": "50%"}, True),
        (r"a like '50\%'", {"a": "500"}, False),
        ("a like '[x]*?'", {"a": "[x]*?"}, True),
        ("a like '[x]*?'", {"a": "x"}, False),
        ("a like '%b'", {"a": "a\nb"}, True),
        ("a like 'a'", {"a": "aa"}, False),
        # Lists.
        ("a contains 1", {"a": ["1", 1.0]}, True),
        ("a contains 1", {"a": ["1", True, [1], None]}, False),
        ("a contains true", {"a": [1]}, False),
        ("a contains 'x'", {"a": []}, False),
        # Being there and having a value are two things.
        ("a is null", {}, True),
        ("a is null", {"a": None}, True),
        ("a is not null", {"a": {}}, True),
        ("a exists", {"a": None}, True),
        ("a not exists", {}, True),
        ("a = true", {"a": True}, True),
        ("a != true", {"a": False}, True),
        ("a in (true, false)", {"a": False}, True),
    ],
)
def test_truth_of(shelf: Shelf, text: str, attributes: Item, truth: bool | None) -> None:
    filter = parse(text)
    shelf.put(one_item(**attributes))
    for one, wanted in ((filter, truth is True), (Not(filter), truth is False)):
        assert bool(same(shelf, one)) == wanted


def test_bare_names_of_columns_mean_the_item_and_quoted_ones_its_attributes(shelf: Shelf) -> None:
    stored = [
        {"text": "a car", "group": "g", "path": None, "attributes": {"text": "x", "title": "y"}}
    ]
    shelf.put(stored)
    for text in (
        "text = 'a car'",
        "title = 'a car'",
        "\"text\" = 'x'",
        "\"title\" = 'y'",
        "key = 'k1'",
        "group = 'g'",
        "path is null",
        "not path exists",
        '"group" is null',
    ):
        assert same(shelf, parse(text)) == [1]


def test_title_is_an_attribute_where_the_collection_has_one(shelf: Shelf) -> None:
    shelf.put([{"text": "a car", "group": None, "path": None, "attributes": {"title": "y"}}])
    assert shelf.find(parse("title = 'y'", {"title": {"string"}})) == [1]


@pytest.mark.parametrize("name", NAMES)
def test_attributes_of_any_name_are_found(shelf: Shelf, name: str) -> None:
    others = {other: 0 for other in NAMES if other != name}
    missing = one_item(**others)
    shelf.put([*one_item(**{**others, name: 7}), *one_item(**{**others, name: None}), *missing])
    field, build = Field(name), Builder()
    assert shelf.find(build.compare(field, "=", 7)) == [1]
    assert shelf.find(build.exists(field)) == [1, 2]
    assert shelf.find(Not(build.exists(field))) == [3]
    assert shelf.find(build.is_null(field)) == [2, 3]
    assert shelf.find(Not(build.is_null(field))) == [1]


def test_ten_thousand_values_in_one_list(shelf: Shelf) -> None:
    shelf.put(one_item(a="v9999") + one_item(a="v10000") + one_item(a=9999))
    listed = ", ".join(f"'v{number}'" for number in range(10_000))
    assert shelf.find(parse(f"a in ({listed})")) == [1]
    assert shelf.find(parse(f"a not in ({listed})")) == [2]


def test_very_long_strings_compare(shelf: Shelf) -> None:
    long = "名" * 300_000
    shelf.put(one_item(a=long) + one_item(a=long + "x"))
    assert shelf.find(parse(f"a = '{long}'")) == [1]
    assert shelf.find(parse("a like '%x'")) == [2]


CONDITIONS = [
    "a = 1",
    '"q""uote" not contains \'x\'',
    "title not ilike '%x%'",
    "b not in (1.5, 2)",
    "\"é\" not between 'a' and 'b'",
]


def nested(depth: int, width: int) -> str:
    """Filters in filters, the deeper one always last, where it costs a parser the most."""
    here = [CONDITIONS[(depth + number) % len(CONDITIONS)] for number in range(width)]
    word = " and " if depth % 2 else " or "
    if depth == 0:
        return word.join(here)
    return word.join([*here, f"({nested(depth - 1, width)})"])


def test_the_deepest_filters_run_on_sqlite(shelf: Shelf) -> None:
    shelf.put(one_item(a=1))
    wide = MAX_CONDITIONS // (MAX_DEPTH + 1)
    for text in (
        nested(MAX_DEPTH, wide),
        nested(MAX_DEPTH, 1),
        "not " * MAX_DEPTH + "a = 1",
        "not (a = 1 or " * (MAX_DEPTH // 2) + CONDITIONS[1] + ")" * (MAX_DEPTH // 2),
        " and ".join([CONDITIONS[1]] * MAX_CONDITIONS),
        " or ".join(CONDITIONS * (MAX_CONDITIONS // len(CONDITIONS))),
    ):
        filter = parse(text)
        same(shelf, filter)


@pytest.mark.parametrize("word", ["like", "ilike"])
@pytest.mark.parametrize("run", ["a", "[", "_", "a_", "*"])
def test_the_longest_patterns_run_on_sqlite_in_no_time(shelf: Shelf, run: str, word: str) -> None:
    """A matcher that went back to earlier % after a failure would not end today."""
    any_run = f"%{run}"
    long = any_run * (MAX_PATTERN // len(any_run) - 1) + "c"
    stored = one_item(a=run * 2_000 + "b") + one_item(a=run * 2_000 + "c")
    shelf.put(stored)
    filter = parse(f"a {word} '{long}'")
    assert same(shelf, filter) == [2]


def test_the_longest_pattern_without_wildcards_runs_on_sqlite(shelf: Shelf) -> None:
    shelf.put(one_item(a="*" * MAX_PATTERN))
    assert shelf.find(parse(f"a like '{'*' * MAX_PATTERN}'")) == [1]


INJECTIONS = [
    "x' OR '1'='1",
    "x'; DROP TABLE items; --",
    "') OR 1=1 --",
    "'; ATTACH DATABASE 'x' AS y; --",
    '" OR 1=1 --',
    ":filter_0",
    "?1",
    '$."a"\') OR 1=1 --',
    '") OR 1=1 --',
    "\\' OR 1=1 --",
    "%' OR '%'='",
    "x\u02bc OR 1=1",
]
# All that SQL made of filters is written with: nothing in it comes from the filter's words.
VOCABULARY = re.compile(
    r"""\(|\)|,|\s+|:filter_\d+|items\."?(?:key|text|group|path|attributes)"?
    |json_(?:each|type|extract)|(?:named|element)\.(?:key|value|type)|nullif
    |AND|OR|NOT|IN|IS|NULL|EXISTS|SELECT|FROM|AS|WHERE|CASE|WHEN|THEN|END|BETWEEN|LIKE|GLOB|ESCAPE
    |named|element|value|1|=|!=|<>|<=|>=|<|>
    |'(?:text|integer|real|true|false|null|array|\\|\$)'""",
    re.VERBOSE,
)


@pytest.mark.parametrize("attack", INJECTIONS)
def test_injections_are_only_words(shelf: Shelf, attack: str) -> None:
    shelf.put(one_item(a="innocent", b=["innocent"]))
    string, name = attack.replace("'", "''"), attack.replace('"', '""')
    for text in (
        f"a = '{string}'",
        f"a in ('{string}', 'x')",
        f"a between '{string}' and '{string}'",
        f"b contains '{string}'",
        f"\"{name}\" = 'innocent'",
        f"\"{name}\" contains 'innocent'",
        f'"{name}" is not null',
    ):
        sql = to_sql(parse(text))
        assert VOCABULARY.sub("", sql.text) == "", sql.text
        assert shelf.find(parse(text)) == []
    assert shelf.find(parse("a = 'innocent'")) == [1]


@pytest.mark.parametrize("attack", INJECTIONS)
def test_injections_beside_a_condition_are_errors(attack: str) -> None:
    with pytest.raises(FilterError) as raised:
        parse(f"a = 'x' {attack}")
    assert raised.value.position is not None


@settings(max_examples=200, derandomize=True)
@given(filters)
def test_sql_is_written_from_a_fixed_vocabulary(filter: Filter) -> None:
    assert VOCABULARY.sub("", to_sql(filter).text) == ""


def test_the_condition_fits_into_a_query_of_sqlalchemy(shelf: Shelf) -> None:
    shelf.put(one_item(a="x:y") + one_item(a=1))
    sql = to_sql(parse("a = 'x:y' or \":b\" exists"))
    chosen = sa.text(sql.text).bindparams(**sql.parameters)
    query = sa.select(items.c.id).where(items.c.state == "live", chosen)
    with shelf.engine.connect() as connection:
        assert list(connection.execute(query).scalars()) == [1]


def test_parameters_do_not_collide(shelf: Shelf) -> None:
    filter = parse(" or ".join(f"a{number} = {number}" for number in range(30)))
    shelf.put(one_item(a1=10) + one_item(a11=11) + one_item(a2=1))
    assert shelf.find(filter) == [2]


def test_contains_is_never_given_a_string_that_is_no_json(shelf: Shelf) -> None:
    shelf.put(one_item(**{'q"': "not json ["}) + one_item(**{'q"': ["x"]}))
    filter = Contains(Field('q"'), "x")
    assert shelf.find(filter) == [2]
    assert shelf.find(Not(filter)) == []
