"""Parts of a transaction that change items, with the words, types and counts that follow them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mmsearch.catalog.database import chunks, insert_rows, rows_of, to_json
from mmsearch.catalog.records import Prepared
from mmsearch.catalog.wording import (
    WORD_COLUMNS,
    Words,
    insert_words,
    item_words,
    learn_types,
    replace_words,
    stored_words,
    types_of,
)
from mmsearch.lexical.words import may_differ, searchable_names

if TYPE_CHECKING:
    from mmsearch.catalog.records import PreparedRow

Row = Mapping[str, Any]  # of `items`

_IN_JSON = "attributes", "told"
_AMONG = "id IN (SELECT value FROM json_each(?))"
_REMOVED = {"attributes": "{}", **dict.fromkeys(("key", "text", "told", "picture_of", "url"))}


def prepare(rows: Sequence[Row]) -> Prepared:
    """All that can be done for new or changed rows before their transaction begins.

    They all have the same columns, and are whole: nothing is kept of what was in their place.
    """
    if not rows:
        none = rows_of(("id",), ())
        return Prepared(none, none, (), {}, ())
    plain = [name for name in rows[0] if name != "id" and name not in _IN_JSON]
    take = itemgetter(*plain)
    new: list[tuple[Any, ...]] = []
    new_words: list[tuple[Any, ...]] = []
    old: dict[int, PreparedRow] = {}
    for row in rows:
        told = row.get("told")
        in_json = to_json(row["attributes"]), None if told is None else to_json(told)
        values, words = (*take(row), *in_json), _words(row)
        if row["id"] is not None:
            old[row["id"]] = values, words
            continue
        if words is not None:
            new_words.append((len(new), *words))
        new.append((len(new), *values))
    columns = *plain, *_IN_JSON
    return Prepared(
        rows_of(("id", *columns), new),
        rows_of(WORD_COLUMNS, new_words),
        columns,
        old,
        types_of(row["attributes"] for row in rows if row["state"] == "live"),
    )


def write_items(connection: sa.Connection, seq: int, rows: Prepared) -> None:
    """Insert or replace whole rows."""
    if rows.new:
        first = 1 + int(connection.exec_driver_sql("SELECT max(id) FROM items").scalar() or 0)
        insert_rows(connection, "items", rows.new, first, seq=seq, content_seq=seq)
        _tally(connection, +1, "id >= ?", first)
        insert_words(connection, seq, rows.words, first)
    if rows.old:
        sets = ", ".join(f'"{name}" = ?' for name in (*rows.columns, "seq", "content_seq"))
        with _counted(connection, rows.old):
            connection.exec_driver_sql(
                f"UPDATE items SET {sets} WHERE id = ?",
                [(*values, seq, seq, item) for item, (values, _) in rows.old.items()],
            )
        words = {item: words for item, (_, words) in rows.old.items() if words is not None}
        replace_words(connection, seq, stored_words(connection, rows.old), words)
    learn_types(connection, rows.types)


def set_state(connection: sa.Connection, seq: int, state: str, ids: Iterable[int]) -> None:
    """Make items live, missing or removed; nothing is kept of removed ones but their digests."""
    values = {"state": state, "seq": seq, "content_seq": seq}
    if state == "removed":
        values |= _REMOVED
    sets = ", ".join(f"{name} = ?" for name in values)
    for part in chunks(ids):
        among = json.dumps(part)
        with _counted(connection, part):
            connection.exec_driver_sql(
                f"UPDATE items SET {sets} WHERE {_AMONG}", (*values.values(), among)
            )
        rows: list[Row] = []
        if state == "live":
            found = connection.exec_driver_sql(f"SELECT * FROM items WHERE {_AMONG}", (among,))
            rows = [
                {**row, "attributes": json.loads(row["attributes"])} for row in found.mappings()
            ]
        words = {row["id"]: words for row in rows if (words := _words(row))}
        replace_words(connection, seq, stored_words(connection, part), words)
        learn_types(connection, types_of(row["attributes"] for row in rows))


def write_attributes(
    connection: sa.Connection,
    seq: int,
    attributes: Mapping[int, Mapping[str, Any]],
    were: Mapping[int, Mapping[str, Any]],
) -> None:
    """Give items other attributes, by id; what their rows told of is kept beside them.

    `were`: see Catalog.set_attributes.
    """
    connection.exec_driver_sql(
        "UPDATE items SET attributes = ?, told = coalesce(told, attributes), content_seq = ?"
        " WHERE id = ?",
        [(to_json(new), seq, item) for item, new in attributes.items()],
    )
    live = connection.exec_driver_sql(
        f"SELECT id FROM items WHERE {_AMONG} AND state = 'live'", (json.dumps(list(attributes)),)
    )
    learn_types(connection, types_of(attributes[item] for item in live.scalars().all()))
    known = stored_words(
        connection,
        (
            item
            for item, new in attributes.items()
            if item not in were or may_differ(new, were[item])
        ),
    )
    new = {
        item: words._replace(names=searchable_names(attributes[item]))
        for item, words in known.items()
    }
    replace_words(connection, seq, known, new)


def _words(row: Row) -> Words | None:
    """The words of an item that is to be found by them."""
    if row["state"] != "live" or row.get("picture_of") is not None:
        return None
    return item_words(row["text"], row["attributes"], row["key"])


@contextmanager
def _counted(connection: sa.Connection, ids: Iterable[int]) -> Iterator[None]:
    """Count items again as what they are after the block."""
    among = json.dumps(list(ids))
    _tally(connection, -1, _AMONG, among)
    yield
    _tally(connection, +1, _AMONG, among)


def _tally(connection: sa.Connection, by: int, condition: str, value: str | int) -> None:
    connection.exec_driver_sql(
        "INSERT INTO tallies"
        " SELECT state, image_digest IS NOT NULL, text_digest IS NOT NULL,"
        f" picture_of IS NOT NULL, ? * count(*) FROM items WHERE {condition} GROUP BY 1, 2, 3, 4"
        " ON CONFLICT DO UPDATE SET items = items + excluded.items",
        (by, value),
    )
