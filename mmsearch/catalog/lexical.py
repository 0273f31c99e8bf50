"""Search by words: the FTS5 table, kept in step with the items in the same transactions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mmsearch.catalog.database import Database
from mmsearch.errors import UsageError
from mmsearch.lexical import spelling
from mmsearch.lexical.words import Word, words_of

if TYPE_CHECKING:
    from mmsearch.types import Ids

# A word of the title says more of an item than one of its attributes or its key.
WEIGHTS = (2.0, 1.0, 1.0)
# Each word is looked up; nobody means each of more than these.
MAX_WORDS = 200
# Words with one beginning that a misspelt word is compared with: about 10 ms.
MAX_COMPARED = 2_000

# Part of the transaction with the sequence number :seq.
_FOLLOW = (
    "DELETE FROM words WHERE rowid IN (SELECT id FROM items WHERE content_seq = :seq)",
    """INSERT INTO words (rowid, text, names, "key")
        SELECT id, searchable(text), searchable_attributes(attributes), searchable("key")
        FROM items WHERE content_seq = :seq AND state = 'live'""",
    """INSERT OR IGNORE INTO attribute_types
        SELECT DISTINCT each.key, CASE each.type
            WHEN 'text' THEN 'string' WHEN 'array' THEN 'list'
            WHEN 'integer' THEN 'number' WHEN 'real' THEN 'number'
            WHEN 'true' THEN 'boolean' WHEN 'false' THEN 'boolean' ELSE each.type END
        FROM items, json_each(items.attributes) AS each
        WHERE items.content_seq = :seq AND items.state = 'live'""",
)


@dataclass(frozen=True)
class WordMatch:
    """What one word of a query was taken for.

    `terms` are the words that are looked up for it: itself, or known ones in its place where no
    item has it (`corrected`), or none. `items` counts the live items with one of them.
    """

    word: str
    terms: tuple[str, ...]
    corrected: bool
    items: int


def follow(connection: sa.Connection, seq: int) -> None:
    """Part of a transaction: bring words and types up to date with the items that it changed."""
    for statement in _FOLLOW:
        connection.exec_driver_sql(statement, {"seq": seq})


class Lexical:
    """Ranks live items by BM25 over their words."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(
        self, text: str, k: int, allowed: Ids | None = None, *, prefix: bool = False
    ) -> list[tuple[int, float]]:
        """See Catalog.lexical_search."""
        words = self._words(text, prefix)
        with self._database.reading() as connection:
            resolved = [_resolve(connection, word) for word in words]
            expression = " OR ".join(phrase for phrases, _ in resolved for phrase in phrases)
            if not expression:
                return []
            among = "" if allowed is None else " AND rowid IN (SELECT value FROM json_each(?))"
            parameters: list[Any] = [*WEIGHTS, expression]
            if allowed is not None:
                parameters.append(json.dumps(allowed.tolist()))
            found = connection.exec_driver_sql(
                "SELECT rowid, -bm25(words, ?, ?, ?) AS score FROM words"
                f" WHERE words MATCH ?{among} ORDER BY score DESC, rowid LIMIT ?",
                (*parameters, k),
            )
            return [(row[0], row[1]) for row in found]

    def explain(self, text: str, *, prefix: bool = False) -> list[WordMatch]:
        """What each word of a query is taken for. Raises UsageError as `search` does."""
        matches = []
        with self._database.reading() as connection:
            for word in self._words(text, prefix):
                phrases, terms = _resolve(connection, word)
                matches.append(
                    WordMatch(
                        word.text,
                        tuple(terms),
                        corrected=bool(terms) and terms != [word.text],
                        items=_count(connection, phrases),
                    )
                )
        return matches

    @staticmethod
    def _words(text: str, prefix: bool) -> list[Word]:
        words = words_of(text, prefix=prefix)
        if len(words) > MAX_WORDS:
            raise UsageError(
                f"the query has {len(words):,} different words: {MAX_WORDS} at most; name what "
                "matters"
            )
        return words


def _resolve(connection: sa.Connection, word: Word) -> tuple[list[str], list[str]]:
    """FTS5 phrases, and the terms that they stand for: the word's own, or corrections, or none."""
    phrase = _phrase(word)
    query = "SELECT 1 FROM words WHERE words MATCH ? LIMIT 1"
    if connection.exec_driver_sql(query, (phrase,)).first():
        return [phrase], [word.text]
    terms = _corrections(connection, word.text)
    return [_phrase(Word(term)) for term in terms], terms


def _phrase(word: Word) -> str:
    """Quoted, nothing in it is syntax of FTS5; a word holds no quotes or NUL in any case."""
    quoted = '"' + word.text.replace('"', '""') + '"'
    return f"{quoted} *" if word.prefix else quoted


def _corrections(connection: sa.Connection, word: str) -> list[str]:
    limit = spelling.allowed_distance(word)
    if not limit:
        return []
    made = json.dumps(sorted(spelling.one_edit_away(word)))
    known = connection.exec_driver_sql(
        "SELECT term, doc FROM terms WHERE term IN (SELECT value FROM json_each(?))", (made,)
    )
    if found := spelling.nearest(word, ((row[0], row[1]) for row in known), 1):
        return found
    if limit < 2:
        return []
    beginning = word[: spelling.SAME_BEGINNING]
    alike = connection.exec_driver_sql(
        "SELECT term, doc FROM terms WHERE term >= ? AND term < ? LIMIT ?",
        (beginning, beginning + "\U0010ffff", MAX_COMPARED),
    )
    return spelling.nearest(word, ((row[0], row[1]) for row in alike), limit)


def _count(connection: sa.Connection, phrases: Sequence[str]) -> int:
    if not phrases:
        return 0
    query = "SELECT count(*) FROM words WHERE words MATCH ?"
    return int(connection.exec_driver_sql(query, (" OR ".join(phrases),)).scalar() or 0)
