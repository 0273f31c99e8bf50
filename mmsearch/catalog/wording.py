"""Beside the items, in the same transactions: their words, and the types of their attributes.

FTS5 keeps no copy of the words that it was given. To forget those of an item it is given them once
more, made of what still stands in `items` (prepared.words_of): they are looked for before the
item changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from mmsearch.catalog.database import fact, insert_rows, set_fact
from mmsearch.catalog.prepared import Rows, Words, rows_of_words, words_of
from mmsearch.lexical.words import unicode_version

# Which change last altered the words; changes of numbers and vectors leave them alone.
WORDS_SEQ = "words_seq"
# The version of Unicode by which they are folded.
_WORDS_UNICODE = "words_unicode"

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

_HAVE_WORDS = "state = 'live' AND picture_of IS NULL"  # as prepared.words_of_row has it
_WORDED = f"""SELECT id, text, attributes, "key" FROM items
    WHERE id IN (SELECT value FROM json_each(?)) AND {_HAVE_WORDS}"""
_ANEW = f"""INSERT INTO words (rowid, text, names, "key")
    SELECT id, searchable(text), searchable_attributes(attributes), searchable("key")
    FROM items WHERE {_HAVE_WORDS} ORDER BY id"""
# Words without an item, or an item without words.
_ASTRAY = f"""SELECT EXISTS (SELECT 1 FROM postings WHERE doc NOT IN (SELECT id FROM words_docsize))
    OR EXISTS (SELECT id FROM words_docsize EXCEPT SELECT id FROM items WHERE {_HAVE_WORDS})
    OR EXISTS (SELECT id FROM items WHERE {_HAVE_WORDS} EXCEPT SELECT id FROM words_docsize)"""
_FORGET = """INSERT INTO words (words, rowid, text, names, "key") VALUES ('delete', ?, ?, ?, ?)"""


def words_are_astray(connection: sa.Connection) -> bool:
    """Whether the words are not those of the items."""
    try:
        return bool(connection.exec_driver_sql(_ASTRAY).scalar())
    except sa.exc.DatabaseError:  # FTS5 calls its own tables malformed
        return True


def words_anew(connection: sa.Connection, seq: int) -> None:
    """Part of a transaction: make all words anew."""
    connection.exec_driver_sql("INSERT INTO words (words) VALUES ('delete-all')")
    connection.exec_driver_sql(_ANEW)
    set_fact(connection, WORDS_SEQ, str(seq))
    set_fact(connection, _WORDS_UNICODE, unicode_version())


def require_own_unicode(connection: sa.Connection, seq: int) -> None:
    """Part of a transaction that changes words: where another Python folded them, and could have
    folded otherwise, they are made anew, for this one could not forget them."""
    if fact(connection, _WORDS_UNICODE) != unicode_version():
        words_anew(connection, seq)


def stored_words(connection: sa.Connection, ids: Iterable[int]) -> dict[int, Words]:
    """By id, the words of those of the items that have some; asked for before these change."""
    found = connection.exec_driver_sql(_WORDED, (json.dumps(list(ids)),))
    return {
        item: words_of(text, json.loads(attributes), key) for item, text, attributes, key in found
    }


def replace_words(
    connection: sa.Connection, seq: int, old: Mapping[int, Words], new: Mapping[int, Words]
) -> None:
    """Part of a transaction: what differs between the words that some items had and their new
    ones, by id."""
    gone = [(item, *words) for item, words in old.items() if new.get(item) != words]
    come = {item: words for item, words in new.items() if old.get(item) != words}
    if gone:
        connection.exec_driver_sql(_FORGET, gone)
        set_fact(connection, WORDS_SEQ, str(seq))
    insert_words(connection, seq, rows_of_words(come))


def insert_words(connection: sa.Connection, seq: int, words: Rows, counted_from: int = 0) -> None:
    """Part of a transaction: the words of items that have none; see database.insert_rows."""
    if words:
        insert_rows(connection, "words", words, counted_from)
        set_fact(connection, WORDS_SEQ, str(seq))


def learn_types(connection: sa.Connection, types: Sequence[tuple[str, str]]) -> None:
    """Part of a transaction: what live items have, see prepared.types_of."""
    if types:
        into = "INSERT OR IGNORE INTO attribute_types VALUES (?, ?)"
        connection.exec_driver_sql(into, list(types))
