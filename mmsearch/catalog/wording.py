"""Beside the items, in the same transactions: their words, and the types of their attributes.

An item has a row of words if and only if it is live and no further picture of another one: such a
picture is found by what it shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from mmsearch.catalog.database import Rows, insert_rows, rows_of, set_fact
from mmsearch.lexical.words import searchable, searchable_names

# Which change last altered the words; changes of numbers and vectors leave them alone.
WORDS_SEQ = "words_seq"

# filters.type_of of a JSON value, for SQLite.
_TYPE = """CASE each.type
        WHEN 'text' THEN 'string' WHEN 'array' THEN 'list'
        WHEN 'integer' THEN 'number' WHEN 'real' THEN 'number'
        WHEN 'true' THEN 'boolean' WHEN 'false' THEN 'boolean' ELSE each.type END"""

# Of attributes that had values of several types, those types that no item has any more. A type
# that is still there is found early; only one that went costs a look at each item (0.5 s of
# 100,000 with ten attributes).
OUTLIVED_TYPES = f"""SELECT name, type FROM attribute_types AS known
    WHERE name IN (SELECT name FROM attribute_types WHERE type <> 'null'
        GROUP BY name HAVING count(*) > 1)
    AND NOT EXISTS (SELECT 1 FROM items, json_each(items.attributes) AS each
        WHERE items.state = 'live' AND each.key = known.name AND {_TYPE} = known.type)"""

# FTS5's own table of what it was given: read by id, it is several times as fast as FTS5.
_STORED = """SELECT id, c0, c1, c2 FROM words_content
    WHERE id IN (SELECT value FROM json_each(?))"""


class Words(NamedTuple):
    """What FTS5 is given of one item; the columns of its table."""

    text: str
    names: str
    key: str


WORD_COLUMNS = "rowid", *Words._fields


def item_words(text: str | None, attributes: Mapping[str, Any], key: str | None) -> Words:
    """The words of an item that is to be found by them."""
    return Words(searchable(text), searchable_names(attributes), searchable(key))


def stored_words(connection: sa.Connection, ids: Iterable[int]) -> dict[int, Words]:
    """By id, the words of those of the items that have some."""
    found = connection.exec_driver_sql(_STORED, (json.dumps(list(ids)),)).all()
    return {row[0]: Words(*row[1:]) for row in found}


def replace_words(
    connection: sa.Connection, seq: int, old: Mapping[int, Words], new: Mapping[int, Words]
) -> None:
    """Part of a transaction: what differs between the stored words of some items and their new
    ones, by id."""
    gone = [(item,) for item, words in old.items() if new.get(item) != words]
    come = [(item, *words) for item, words in new.items() if old.get(item) != words]
    if gone:
        connection.exec_driver_sql("DELETE FROM words WHERE rowid = ?", gone)
        set_fact(connection, WORDS_SEQ, str(seq))
    insert_words(connection, seq, rows_of(WORD_COLUMNS, come))


def insert_words(connection: sa.Connection, seq: int, words: Rows, counted_from: int = 0) -> None:
    """Part of a transaction: the words of items that have none; see database.insert_rows."""
    if words:
        insert_rows(connection, "words", words, counted_from)
        set_fact(connection, WORDS_SEQ, str(seq))


def types_of(attributes: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Which types there are under which names, sorted."""
    from mmsearch.filters import type_of

    # The names and types of a row are mostly those of others.
    examples = {(*one, *map(type, one.values())): one for one in attributes}
    return sorted(
        {(name, type_of(value)) for one in examples.values() for name, value in one.items()}
    )


def learn_types(connection: sa.Connection, types: Sequence[tuple[str, str]]) -> None:
    """Part of a transaction: what live items have, see `types_of`."""
    if types:
        into = "INSERT OR IGNORE INTO attribute_types VALUES (?, ?)"
        connection.exec_driver_sql(into, list(types))
