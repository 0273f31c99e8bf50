"""Parts of a transaction that change items, with the words, types and counts that follow them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from mmsearch.catalog.database import chunks, to_json
from mmsearch.catalog.schema import items
from mmsearch.catalog.wording import Words, item_words, learn_types, replace_words, stored_words
from mmsearch.lexical.words import searchable_names

Row = Mapping[str, Any]  # of `items`

_IN_JSON = frozenset(column.name for column in items.c if isinstance(column.type, sa.JSON))
_AMONG = "id IN (SELECT value FROM json_each(?))"
_REMOVED = {"attributes": "{}", **dict.fromkeys(("key", "text", "told", "picture_of", "url"))}


def write_items(connection: sa.Connection, seq: int, rows: Sequence[Row]) -> None:
    """Insert or replace whole rows; new ones have the id None. All have the same columns."""
    new = [row for row in rows if row["id"] is None]
    old = {row["id"]: row for row in rows if row["id"] is not None}
    if new:
        first = 1 + int(connection.exec_driver_sql("SELECT max(id) FROM items").scalar() or 0)
        added = dict(enumerate(new, first))
        sql = "INSERT INTO items ({names}, id) VALUES ({places}, ?)"
        _execute(connection, seq, sql, added)
        _tally(connection, +1, "id >= ?", first)
        _follow(connection, seq, {}, added)
    if old:
        with _counted(connection, old):
            _execute(connection, seq, "UPDATE items SET ({names}) = ({places}) WHERE id = ?", old)
        _follow(connection, seq, stored_words(connection, old), old)


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
        rows: dict[int, Row] = {}
        if state == "live":
            found = connection.exec_driver_sql(f"SELECT * FROM items WHERE {_AMONG}", (among,))
            for row in found.mappings():
                rows[row["id"]] = {**row, "attributes": json.loads(row["attributes"])}
        _follow(connection, seq, stored_words(connection, part), rows)


def write_attributes(
    connection: sa.Connection, seq: int, attributes: Mapping[int, Mapping[str, Any]]
) -> None:
    """Give items other attributes, by id; what their rows told of is kept beside them."""
    connection.exec_driver_sql(
        "UPDATE items SET attributes = ?, told = coalesce(told, attributes), content_seq = ?"
        " WHERE id = ?",
        [(to_json(new), seq, item) for item, new in attributes.items()],
    )
    live = connection.exec_driver_sql(
        f"SELECT id FROM items WHERE {_AMONG} AND state = 'live'", (json.dumps(list(attributes)),)
    )
    learn_types(connection, (attributes[item] for item in live.scalars().all()))
    known = stored_words(connection, attributes)
    new = {
        item: words._replace(names=searchable_names(attributes[item]))
        for item, words in known.items()
    }
    replace_words(connection, seq, known, new)


def _execute(connection: sa.Connection, seq: int, sql: str, rows: Mapping[int, Row]) -> None:
    """`sql` for each of the rows, by id: names of columns, places of their values, then the id."""
    columns = [name for name in next(iter(rows.values())) if name != "id"]
    names = ", ".join(f'"{name}"' for name in (*columns, "seq", "content_seq"))
    in_json = [place for place, name in enumerate(columns) if name in _IN_JSON]
    take = itemgetter(*columns)

    def values(item: int, row: Row) -> tuple[Any, ...]:
        found = [*take(row), seq, seq, item]
        for place in in_json:
            if found[place] is not None:
                found[place] = to_json(found[place])
        return tuple(found)

    connection.exec_driver_sql(
        sql.format(names=names, places=", ".join("?" * (len(columns) + 2))),
        [values(item, row) for item, row in rows.items()],
    )


def _follow(
    connection: sa.Connection, seq: int, known: Mapping[int, Words], rows: Mapping[int, Row]
) -> None:
    """Bring words and types up to date with rows, by id, that had the words `known`."""
    live = {item: row for item, row in rows.items() if row["state"] == "live"}
    new = {
        item: item_words(row["text"], row["attributes"], row["key"])
        for item, row in live.items()
        if row.get("picture_of") is None
    }
    replace_words(connection, seq, known, new)
    learn_types(connection, (row["attributes"] for row in live.values()))


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
