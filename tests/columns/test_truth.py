"""A filter means the same over columns, in the database and in Python."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmsearch.catalog.catalog import Catalog, Write
from mmsearch.columns.columns import Columns
from mmsearch.filters import Filter, matches, to_text
from mmsearch.filters.build import Builder
from mmsearch.filters.nodes import NEGATED, Field, Not, Value
from tests.filters.worlds import (
    HUGE,
    NUMBERS,
    STRANGE,
    STRINGS,
    Item,
    filters,
    pattern,
    stored_items,
)

EMPTY = ("origin", "image_digest", "text_digest", "size_bytes", "mtime_ns")


class World:
    """A catalog, the columns that follow it, and its items as Python sees them."""

    def __init__(self, path: Path) -> None:
        self.catalog = Catalog(path, create=True)
        self.columns = Columns(self.catalog)
        self._number = 0

    def put(self, stored: list[Item]) -> None:
        """Replace everything by these."""
        self.catalog.commit(Write(states={"removed": self.columns.ids.tolist()}))
        rows = []
        for item in stored:
            self._number += 1
            row = {"id": None, "key": f"k{self._number}", "state": "live", **item}
            rows.append({**row, **dict.fromkeys(EMPTY)})
        self.catalog.commit(Write(items=rows))
        self.columns.refresh()

    def agree(self, filter: Filter) -> int:
        """How many items the filter finds, the same three times."""
        ids = self.columns.candidates(filter).tolist()
        assert ids == self.catalog.candidates(filter).tolist(), to_text(filter)
        items = self.catalog.items(self.columns.ids.tolist())
        python = [item for item, row in sorted(items.items()) if matches(filter, row.fields)]
        assert ids == python, to_text(filter)
        assert self.columns.count(filter) == len(ids)
        return len(ids)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "catalog.sqlite3")
    yield world
    world.catalog.close()


def test_two_thousand_random_filters_find_the_same_three_times(world: World) -> None:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=50, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        st.lists(stored_items, min_size=25, max_size=30),
        st.lists(filters, min_size=20, max_size=20),
    )
    def agree(stored: list[Item], asked: list[Filter]) -> None:
        world.put(stored)
        for filter in asked:
            for one in (filter, Not(filter)):
                found = world.agree(one)
                seen["none" if not found else "all" if found == len(stored) else "some"] += 1

    agree()
    assert sum(seen.values()) >= 2000
    assert min(seen["none"], seen["all"], seen["some"]) > 100, seen


def test_each_value_compares_with_each_other_the_same(world: World) -> None:
    values: list[Any] = [*STRINGS, *STRANGE, *NUMBERS, *HUGE, True, False, None, [], ["a"], {}]
    world.put([one_item(a=value) for value in values])
    literals: list[Value] = [*STRINGS[::6], *NUMBERS[::2]]
    for value in literals:
        for op in NEGATED:
            world.agree(Builder().compare(Field("a"), op, value))
        world.agree(Builder().within(Field("a"), [value]))


def test_small_numbers_compare_the_same_on_the_short_way(world: World) -> None:
    values: list[Any] = [1, 1.0, 2, -3, 0.1, 0.30000000000000004, True, "1", None, 2**53]
    world.put([one_item(a=value, b=[value]) for value in values])
    literals: list[Value] = [1, 1.0, 0.3, 2**53, 2**53 + 1, 2.0**53, -4]
    for value in literals:
        for op in NEGATED:
            world.agree(Builder().compare(Field("a"), op, value))
        world.agree(Builder().between(Field("a"), value, 2))
        world.agree(Builder().contains(Field("b"), value))


def test_each_string_fits_patterns_the_same(world: World) -> None:
    world.put([one_item(a=value) for value in [*STRINGS, *STRANGE]])
    dice = random.Random(7)
    fits = 0
    for number in range(60):
        made = pattern(dice) if number % 2 else f"%{dice.choice('aAbB1é名')}%"
        for fold in (True, False):
            fits += bool(world.agree(Builder().like(Field("a"), made, fold=fold)))
    assert 60 < fits <= 120


def one_item(**attributes: Any) -> Item:
    return {"text": None, "group": None, "path": None, "attributes": attributes}
