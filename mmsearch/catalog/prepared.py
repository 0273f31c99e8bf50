"""Rows of items as they are bound to statements: all that can be done before a transaction begins.

Nothing here knows a database, so that another process can do it (ingest.ahead).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
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

    def column(self, name: str) -> Sequence[Any]:
        """The values of one column."""
        if name in self.common:
            return [self.common[name]] * len(self)
        return self.values[self.columns.index(name) :: len(self.columns)]

    def mappings(self) -> Iterator[dict[str, Any]]:
        """Each row with all of its columns."""
        for values in zip(*map(self.column, self.columns), strict=True):
            yield {**self.common, **dict(zip(self.columns, values, strict=True))}


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
    columns = tuple(name for name in rows[0] if name != "id") if rows else ()
    new = [row for row in rows if row["id"] is None]
    old = [row for row in rows if row["id"] is not None]
    values_of_old = zip(*_bound(columns, old).values(), strict=True)
    return Prepared(
        rows_of("id", range(len(new)), _bound(columns, new)),
        rows_of_words({n: words for n, row in enumerate(new) if (words := words_of_row(row))}),
        Counter(map(_kind, new)),
        columns,
        {
            row["id"]: (values, words_of_row(row))
            for row, values in zip(old, values_of_old, strict=True)
        },
        types_of(row["attributes"] for row in rows if row["state"] == "live"),
    )


def _bound(columns: Sequence[str], rows: Sequence[Row]) -> dict[str, Sequence[Any]]:
    """The values of each column as SQLite takes them."""
    return {
        name: [None if row[name] is None else to_json(row[name]) for row in rows]
        if name in _IN_JSON
        else [row[name] for row in rows]
        for name in columns
    }


def rows_of(name: str, numbers: Sequence[int], columns: Mapping[str, Sequence[Any]]) -> Rows:
    """Of columns, and one called `name` before them, in which each row has a number of its own."""
    if not numbers:
        return Rows((name,), (), {})
    # By ==, as no column holds both 1 and 1.0.
    common = {
        name: of[0]
        for name, of in columns.items()
        if of[0] == of[-1] and of.count(of[0]) == len(of)
    }
    varying = {name: numbers, **{name: of for name, of in columns.items() if name not in common}}
    values = tuple(chain.from_iterable(zip(*varying.values(), strict=True)))
    return Rows(tuple(varying), values, common)


def rows_of_words(words: Mapping[int, Words]) -> Rows:
    """Rows of `words`, for items by id."""
    columns = dict(zip(Words._fields, zip(*words.values(), strict=True), strict=False))
    return rows_of("rowid", list(words), columns)


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
