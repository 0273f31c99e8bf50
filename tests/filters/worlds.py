"""Random items and random filters that meet often, and a real catalog table to ask."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st

from mmsearch.catalog.schema import items, metadata
from mmsearch.filters import Filter, matches, to_sql
from mmsearch.filters.build import Builder, junction
from mmsearch.filters.nodes import COLUMNS, NEGATED, And, Comparison, Condition, Not, Or, Value

Item = dict[str, Any]

# Near each other: letters that fold and do not, signs of LIKE, GLOB, JSON and SQL, several bytes.
ALPHABET = "aAbÄäßéız%_\\*?[]^-'\"$:;.\n\t 0１😀名\u0301"
WORDS = ["", "a", "A", "ab", "aB", "red", "1", "true", "null", "%", "a%", "_", "[a]", "*", "\\"]
# Characters that a pattern may not have and a value may.
STRANGE = ["\u0080", "À", "\ufffd", "\ufffe", "\uffff", "a\u0080", "\U0010ffff", "\x7f", "\u2028"]
INTS = [-1, 0, 1, 2, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
FLOATS = [-0.0, 0.0, 1.0, 0.1, 0.3, 0.1 + 0.2, 19.99, float(2**53), float(2**63), 5e-324, 1e308]
# An item may hold numbers that a filter turns down or rounds.
HUGE = [2**63, -(2**63) - 1, 2**64 + 1, 10**400, -(10**400)]
# Names of columns, names that a JSON path cannot tell, names that are not ASCII.
NAMES = ["a", "b", "tags", "key", "title", "in", "odd name", 'q"uote', "back\\slash", "é", "😀"]
NAMES += ["", "new\nline", "$", "[0]", "a.b", "\\u0061", "'", ":filter_0", "\x7f"]

# Hypothesis chooses from pools: that is several times faster than making up each string, name and
# value of 2,000 filters, and things from one pool meet more often.
_random = random.Random(7)
STRINGS = WORDS + ["".join(_random.choices(ALPHABET, k=_random.randint(1, 4))) for _ in range(60)]
NUMBERS = [*INTS, *FLOATS]


def _scalar(random: random.Random) -> Any:
    kinds: list[list[Any]] = [STRINGS, STRINGS, STRANGE, NUMBERS, NUMBERS, HUGE]
    return random.choice(random.choice([*kinds, [True, False], [None]]))


def _stored(random: random.Random) -> Any:
    lists = [_scalar(random) for _ in range(random.randint(0, 3))]
    return random.choice([*[_scalar(random)] * 6, lists, lists, {}, {"a": 1}, [["a"], "a"]])


def _item(random: random.Random) -> Item:
    """Often with a and b, so that filters find something to compare."""
    names = [name for name in "ab" if random.random() < 0.9] + random.choices(NAMES, k=3)
    columns: Item = {name: random.choice([None, *STRINGS, *STRANGE]) for name in COLUMNS[1:]}
    return {**columns, "attributes": {name: _stored(random) for name in names}}


stored_items = st.sampled_from([_item(_random) for _ in range(3_000)])


def pattern(random: random.Random) -> str:
    """A stored string with some characters made wild or of the other case."""
    made = ""
    for character in random.choice(STRINGS) + random.choice(["", "", "x"]):
        special = character in "%_\\"
        itself = f"\\{character}" if special else character
        swapped = itself if special or character == "ß" else character.swapcase()
        made += random.choice([itself, itself, itself, swapped, "_", "%"])
    return made


def _condition(random: random.Random) -> Condition:
    """Any condition that a filter can have."""
    build = Builder()
    if random.random() < 0.2:
        field, of_type = build.field(random.choice(COLUMNS)), "string"
    else:
        field = build.attribute(random.choice(random.choice(["ab", "ab", NAMES])))
        of_type = random.choice(["string", "number", "boolean"])
    pools: dict[str, list[Value]] = {
        "string": [*STRINGS],
        "number": [*NUMBERS],
        "boolean": [True, False],
    }
    pool = pools[of_type]
    kinds = ["compare", "compare", "in", "between", "like", "contains", "null", "exists"]
    kind = random.choice(kinds)
    if kind == "compare" or (kind == "between" and of_type == "boolean"):
        ops: list[Comparison] = ["=", "!="] if of_type == "boolean" else list(NEGATED)
        return build.compare(field, random.choice(ops), random.choice(pool))
    if kind == "in":
        return build.within(field, random.choices(pool, k=random.randint(1, 4)))
    if kind == "between":
        return build.between(field, random.choice(pool), random.choice(pool))
    if kind == "like":
        return build.like(field, pattern(random), fold=random.random() < 0.5)
    if kind == "contains" and field.column is None:
        return build.contains(field, random.choice(pool))
    return build.is_null(field) if kind == "null" else build.exists(field)


conditions = st.sampled_from([_condition(_random) for _ in range(5_000)])
filters: st.SearchStrategy[Filter] = st.recursive(
    conditions,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: junction(And, parts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: junction(Or, parts)),
    ),
    max_leaves=5,
)


class Shelf:
    """Items in the catalog's own table, in memory."""

    def __init__(self) -> None:
        self.engine = sa.create_engine("sqlite://")
        self.items: list[Item] = []  # as the table gives them back
        metadata.create_all(self.engine)

    def put(self, stored: Iterable[Mapping[str, Any]]) -> None:
        """Replace everything by these; the ids count from 1."""
        rows = [
            {"id": number, "key": f"k{number}", "state": "live", "seq": 1, **item}
            for number, item in enumerate(stored, 1)
        ]
        with self.engine.begin() as connection:
            connection.execute(sa.delete(items))
            if rows:
                connection.execute(sa.insert(items), rows)
            read = connection.execute(sa.select(items).order_by(items.c.id))
            self.items = [dict(row._mapping) for row in read]

    def matching(self, filter: Filter) -> list[int]:
        """The ids of the items for which the filter is true in Python."""
        return [item["id"] for item in self.items if matches(filter, item)]

    def find(self, filter: Filter) -> list[int]:
        """The ids of the items for which the filter's SQL is true."""
        sql = to_sql(filter)
        query = f"SELECT id FROM items WHERE state = 'live' AND {sql.text} ORDER BY id"
        with self.engine.connect() as connection:
            return list(connection.exec_driver_sql(query, sql.parameters).scalars())
