"""Rows of items as they are bound to statements: all that can be done before a transaction begins.

Nothing here knows a database, so that another process can do it (ingest.ahead).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from mmsearch.filters import type_of
from mmsearch.lexical.words import may_differ, searchable, searchable_names

if TYPE_CHECKING:
    from mmsearch.catalog.records import StoredItem

Row = Mapping[str, Any]  # of `items`
Kind = tuple[str, bool, bool, bool]  # what `tallies` counts: state, picture, text, further picture

_IN_JSON = "attributes", "told"
# What an item keeps where only numbers, pictures, groups or files changed. Not to write its key
# again spares the index of keys a look.
_ALIKE = "key", "state", "text", "picture_of"
_alike_in_row, _alike_in_item = itemgetter(*_ALIKE), attrgetter(*_ALIKE)


class Words(NamedTuple):
    """What FTS5 is given of one item; the columns of its table."""

    text: str
    names: str
    key: str


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
class Changed:
    """Values of these columns for items that are there, by id, and the words of those with some.

    `words` None: they keep those that they had, and are counted as what they were.
    """

    columns: Sequence[str]
    values: Mapping[int, tuple[Any, ...]]
    words: Mapping[int, Words] | None


@dataclass(frozen=True)
class Prepared:
    """Rows of `items` as they are bound to statements.

    `new` are items to come, numbered from 0, `words` those of them that have some, and `kinds` how
    many there are of which kind. `types` are those of the attributes of live items, by name.
    """

    new: Rows
    words: Rows
    kinds: Mapping[Kind, int]
    changed: Sequence[Changed]
    types: Sequence[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.new) + sum(len(some.values) for some in self.changed)


def prepare(rows: Sequence[Row], alike: Container[int] = ()) -> Prepared:
    """All that can be done for new or changed rows before their transaction begins.

    They all have the same columns, and are whole: nothing is kept of what was in their place.
    `alike`: ids of those that `is_alike` was true of.
    """
    columns = [name for name in rows[0] if name != "id"] if rows else []
    new = [row for row in rows if row["id"] is None]
    old = [row for row in rows if row["id"] is not None]
    others = [row for row in old if row["id"] not in alike]
    kept = [name for name in columns if name not in _ALIKE]
    return Prepared(
        rows_of("id", range(len(new)), _bound(columns, new)),
        rows_of_words({n: words for n, row in enumerate(new) if (words := words_of_row(row))}),
        Counter(map(_kind, new)),
        [
            Changed(
                columns,
                _by_id(columns, others),
                {row["id"]: words for row in others if (words := words_of_row(row))},
            ),
            Changed(kept, _by_id(kept, [row for row in old if row["id"] in alike]), None),
        ],
        types_of(row["attributes"] for row in rows if row["state"] == "live"),
    )


def is_alike(row: Row, old: StoredItem) -> bool:
    """Whether a row leaves the item its words, and lets it count as what it does."""
    attributes = row["attributes"]
    return (
        _alike_in_row(row) == _alike_in_item(old)
        and (row["image_digest"] is None) == (old.image_digest is None)
        and (row["text_digest"] is None) == (old.text_digest is None)
        and tuple(attributes) == tuple(old.attributes)  # in the same order
        and not may_differ(attributes, old.attributes)
    )


def _by_id(columns: Sequence[str], rows: Sequence[Row]) -> dict[int, tuple[Any, ...]]:
    values = zip(*_bound(columns, rows).values(), strict=True)
    return dict(zip([row["id"] for row in rows], values, strict=True))


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
    return words_of(row["text"], row["attributes"], row["key"])


def words_of(text: str | None, attributes: Mapping[str, Any], key: str | None) -> Words:
    """The words of an item that has some."""
    return Words(searchable(text), searchable_names(attributes), searchable(key))


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
