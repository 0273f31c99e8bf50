"""Parts of a transaction that change items, with the words, types and counts that follow them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from mmsearch.catalog.database import chunks, insert_rows
from mmsearch.catalog.prepared import Changed, Kind, Prepared, to_json, types_of
from mmsearch.catalog.wording import insert_words, learn_types, replace_words, stored_words
from mmsearch.lexical.words import may_differ, searchable_names

_AMONG = "id IN (SELECT value FROM json_each(?))"
_REMOVED = {"attributes": "{}", **dict.fromkeys(("key", "text", "told", "picture_of", "url"))}


def write_items(connection: sa.Connection, seq: int, rows: Prepared) -> None:
    """Insert or replace whole rows."""
    if rows.new:
        first = 1 + int(connection.exec_driver_sql("SELECT max(id) FROM items").scalar() or 0)
        insert_rows(connection, "items", rows.new, first, seq=seq, content_seq=seq)
        _tally(connection, rows.kinds)
        insert_words(connection, seq, rows.words, first)
    for changed in rows.changed:
        _change(connection, seq, changed)
    learn_types(connection, rows.types)


def _change(connection: sa.Connection, seq: int, changed: Changed) -> None:
    sets = ", ".join(f'"{name}" = ?' for name in (*changed.columns, "seq", "content_seq"))
    update = f"UPDATE items SET {sets} WHERE id = ?"
    values = [(*values, seq, seq, item) for item, values in changed.values.items()]
    if not values:
        return
    if changed.words is None:
        connection.exec_driver_sql(update, values)
        return
    were = stored_words(connection, changed.values)
    with _counted(connection, changed.values):
        connection.exec_driver_sql(update, values)
    replace_words(connection, seq, were, changed.words)


def set_state(connection: sa.Connection, seq: int, state: str, ids: Iterable[int]) -> None:
    """Make items live, missing or removed; nothing is kept of removed ones but their digests."""
    values = {"state": state, "seq": seq, "content_seq": seq}
    if state == "removed":
        values |= _REMOVED
    sets = ", ".join(f"{name} = ?" for name in values)
    for part in chunks(ids):
        among = json.dumps(part)
        were = stored_words(connection, part)
        with _counted(connection, part):
            connection.exec_driver_sql(
                f"UPDATE items SET {sets} WHERE {_AMONG}", (*values.values(), among)
            )
        words = stored_words(connection, part) if state == "live" else {}
        replace_words(connection, seq, were, words)
        if state == "live":
            given = f"SELECT attributes FROM items WHERE {_AMONG}"
            found = connection.exec_driver_sql(given, (among,)).scalars()
            learn_types(connection, types_of(map(json.loads, found)))


def write_attributes(
    connection: sa.Connection,
    seq: int,
    attributes: Mapping[int, Mapping[str, Any]],
    were: Mapping[int, Mapping[str, Any]],
) -> None:
    """Give items other attributes, by id; what their rows told of is kept beside them.

    `were`: see Catalog.set_attributes.
    """
    known = stored_words(
        connection,
        (
            item
            for item, new in attributes.items()
            if item not in were or may_differ(new, were[item])
        ),
    )
    connection.exec_driver_sql(
        "UPDATE items SET attributes = ?, told = coalesce(told, attributes), content_seq = ?"
        " WHERE id = ?",
        [(to_json(new), seq, item) for item, new in attributes.items()],
    )
    live = connection.exec_driver_sql(
        f"SELECT id FROM items WHERE {_AMONG} AND state = 'live'", (json.dumps(list(attributes)),)
    )
    learn_types(connection, types_of(attributes[item] for item in live.scalars().all()))
    new = {
        item: words._replace(names=searchable_names(attributes[item]))
        for item, words in known.items()
    }
    replace_words(connection, seq, known, new)


@contextmanager
def _counted(connection: sa.Connection, ids: Iterable[int]) -> Iterator[None]:
    """Count items again as what they are after the block."""
    among = json.dumps(list(ids))
    before = _kinds(connection, among)
    yield
    after = _kinds(connection, among)
    _tally(connection, {kind: after[kind] - before[kind] for kind in before | after})


def _kinds(connection: sa.Connection, among: str) -> Counter[Kind]:
    """How many of the items there are of each kind."""
    found = connection.exec_driver_sql(
        "SELECT state, image_digest IS NOT NULL, text_digest IS NOT NULL,"
        f" picture_of IS NOT NULL, count(*) FROM items WHERE {_AMONG} GROUP BY 1, 2, 3, 4",
        (among,),
    )
    return Counter({tuple(kind): count for *kind, count in found})


def _tally(connection: sa.Connection, more: Mapping[Kind, int]) -> None:
    """Part of a transaction: so many more items there are of each kind."""
    connection.exec_driver_sql(
        "INSERT INTO tallies VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET items = items + excluded.items",
        [(*kind, count) for kind, count in more.items()],
    )
