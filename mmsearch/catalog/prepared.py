"""Rows of items as they are bound to statements: all that can be done before a transaction begins.

Nothing here knows a database, so that another process can do it (ingest.ahead).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from mmsearch.filters import type_of
from mmsearch.lexical.words import searchable, searchable_names

Row = Mapping[str, Any]  # of `items`
Kind = tuple[str, bool, bool, bool]  # what `tallies` counts: state, picture, text, further picture

_IN_JSON = "attributes", "told"


class Words(NamedTuple):
    """What FTS5 is given of one item; the columns of its table."""

    text: str
    names: str
    key: str


WORD_COLUMNS = "rowid", *Words._fields
PreparedRow = tuple[tuple[Any, ...], Words | None]


@dataclass(frozen=True)
class Rows:
    """Rows of one table as they are bound to a statement, see `rows_of`.

    `values` are those of the `columns` of one row after the other; `common` is what all rows have.
    """

    columns: Sequence[str]
    values: Sequence[Any]
    common: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.values) // len(self.columns)


@dataclass(frozen=True)
class Prepared:
    """Rows of `items` as they are bound to statements.

    `new` are items to come, numbered from 0, `words` those of them that have some, and `kinds` how
    many there are of which kind. `old` are the values of `columns`, and the words, of items that
    are there, by id. `types` are those of the attributes of live items, by name.
    """

    new: Rows
    words: Rows
    kinds: Mapping[Kind, int]
    columns: Sequence[str]
    old: Mapping[int, PreparedRow]
    types: Sequence[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.new) + len(self.old)


def prepare(rows: Sequence[Row]) -> Prepared:
    """All that can be done for new or changed rows before their transaction begins.

    They all have the same columns, and are whole: nothing is kept of what was in their place.
    """
    if not rows:
        none = rows_of(("id",), ())
        return Prepared(none, none, {}, (), {}, ())
    plain = [name for name in rows[0] if name != "id" and name not in _IN_JSON]
    take = itemgetter(*plain)
    new: list[tuple[Any, ...]] = []
    new_words: list[tuple[Any, ...]] = []
    kinds: Counter[Kind] = Counter()
    old: dict[int, PreparedRow] = {}
    for row in rows:
        told = row.get("told")
        in_json = to_json(row["attributes"]), None if told is None else to_json(told)
        values, words = (*take(row), *in_json), words_of_row(row)
        if row["id"] is not None:
            old[row["id"]] = values, words
            continue
        kinds[_kind(row)] += 1
        if words is not None:
            new_words.append((len(new), *words))
        new.append((len(new), *values))
    columns = *plain, *_IN_JSON
    return Prepared(
        rows_of(("id", *columns), new),
        rows_of(WORD_COLUMNS, new_words),
        kinds,
        columns,
        old,
        types_of(row["attributes"] for row in rows if row["state"] == "live"),
    )


def rows_of(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Rows:
    """`rows` have a value for each of the columns; the first is a number of their own."""
    if not rows:
        return Rows(columns, (), {})
    first, *others = zip(columns, zip(*rows, strict=True), strict=True)
    # By ==, as no column holds both 1 and 1.0.
    common = {name: of[0] for name, of in others if of.count(of[0]) == len(of)}
    varying = dict([first, *((name, of) for name, of in others if name not in common)])
    values = chain.from_iterable(zip(*varying.values(), strict=True))
    return Rows(tuple(varying), tuple(values), common)


def words_of_row(row: Row) -> Words | None:
    """The words of an item that is to be found by them.

    An item has some if and only if it is live and no further picture of another one: such a picture
    is found by what it shows.
    """
    if row["state"] != "live" or row.get("picture_of") is not None:
        return None
    names = searchable_names(row["attributes"])
    return Words(searchable(row["text"]), names, searchable(row["key"]))


def types_of(attributes: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Which types there are under which names, sorted."""
    # The names and types of a row are mostly those of others.
    examples = {(*one, *map(type, one.values())): one for one in attributes}
    return sorted(
        {(name, type_of(value)) for one in examples.values() for name, value in one.items()}
    )


def to_json(value: Any) -> str:
    """JSON with null for NaN, on which SQLite's functions fail, and filters with them."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(value, allow_nan=False)


def _kind(row: Row) -> Kind:
    return (
        row["state"],
        row["image_digest"] is not None,
        row["text_digest"] is not None,
        row.get("picture_of") is not None,
    )
