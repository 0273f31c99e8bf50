"""Search by words: the FTS5 table, kept in step with the items in the same transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from mmsearch.catalog.database import Database
from mmsearch.catalog.wording import WORDS_SEQ
from mmsearch.lexical import fts
from mmsearch.lexical.words import Word

if TYPE_CHECKING:
    from mmsearch.lexical.fts import Flags, Floats
    from mmsearch.types import Ids

# Corrections that are remembered while the words stay as they are.
MAX_RESOLVED = 10_000
# Of all items: where more have changed, their words are read from the start.
MAX_FOLLOWED = 0.2


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


class Lexical:
    """Ranks live items by BM25 over their words.

    The first query is FTS5's own to answer. From the second one on, postings are kept in memory,
    which give the same answers several times faster, and follow what changes.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked = -1  # the state of the words that was asked last
        self._warm: _Warm | None = None

    def search(
        self, text: str, k: int, allowed: Ids | None = None, *, prefix: bool = False
    ) -> list[tuple[int, float]]:
        """See Catalog.lexical_search."""
        words = fts.asked(text, prefix=prefix)
        with self._reading() as connection:
            warm = self._current(connection)
            if warm is None:
                return fts.search(connection, words, k, allowed)
            return warm.search(connection, words, k, allowed)

    def coverage(self, text: str, ids: Ids) -> Floats:
        """See Catalog.word_coverage."""
        from mmsearch.lexical.bm25 import coverage

        words = fts.asked(text)
        with self._reading() as connection:
            # What was just found by FTS5 itself is looked up there again: one query alone is not
            # worth postings in memory.
            warm = self._warm if _state(connection) == self._asked else None
            if warm is not None:
                return coverage(warm.items, warm.having(connection, words, ids))
            return fts.coverage(connection, words, ids)

    def explain(self, text: str, *, prefix: bool = False) -> list[WordMatch]:
        """What each word of a query is taken for. Raises UsageError as `search` does."""
        words = fts.asked(text, prefix=prefix)
        matches = []
        with self._reading() as connection:
            for word, known in zip(words, fts.resolve(connection, words), strict=True):
                matches.append(
                    WordMatch(
                        word.text,
                        tuple(one.text for one in known),
                        corrected=bool(known) and known != [word],
                        items=fts.count(connection, known),
                    )
                )
        return matches

    def _current(self, connection: sqlite3.Connection) -> _Warm | None:
        """The postings, brought up to date; None where they are not worth it yet."""
        state = _state(connection)
        if self._warm is None:
            if state == self._asked:
                self._warm = _Warm(connection)
        elif state != self._asked and not self._warm.follow(connection, self._asked):
            self._warm = None
        self._asked = state
        return self._warm

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to which the catalog stays as it is."""
        with self._database.reading() as connection:
            plain = cast("sqlite3.Connection", connection.connection.dbapi_connection)
            plain.execute("BEGIN")  # Python's sqlite3 begins none to read
            yield plain


class _Warm:
    """Postings and corrections in memory."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        from mmsearch.lexical import bm25  # with NumPy, which a single query can do without

        self._bm25 = bm25
        ids, lengths = bm25.pairs(fts.lengths(connection))
        self._postings = bm25.Postings(ids, lengths)
        self._resolved: dict[Word, list[Word]] = {}

    def follow(self, connection: sqlite3.Connection, since: int) -> bool:
        """Take in what changed after the sequence number `since`; False: too much has."""
        changed = self._bm25.pairs(
            (row[0], 0)
            for row in connection.execute("SELECT id FROM items WHERE content_seq > ?", (since,))
        )[0]
        if len(changed) > MAX_FOLLOWED * len(self._postings):
            return False
        self._postings.change(changed, *self._bm25.pairs(fts.lengths(connection, changed)))
        self._resolved.clear()
        return True

    def search(
        self, connection: sqlite3.Connection, words: Sequence[Word], k: int, allowed: Ids | None
    ) -> list[tuple[int, float]]:
        known = dict.fromkeys(one for terms in self._resolve(connection, words) for one in terms)
        self._learn(connection, known)
        return self._postings.best(known, k, allowed)

    @property
    def items(self) -> int:
        return len(self._postings)

    def having(
        self, connection: sqlite3.Connection, words: Sequence[Word], ids: Ids
    ) -> list[tuple[int, Flags]]:
        """For each word, how many items have it, and (n,) which of `ids` do."""
        found = []
        for known in self._resolve(connection, words):
            self._learn(connection, known)  # only now: asking for one word may forget others
            found.append(self._postings.having(known, ids))
        return found

    def _learn(self, connection: sqlite3.Connection, known: Iterable[Word]) -> None:
        """Have the posting of each of these known words."""
        for one in known:
            among = self._postings.unknown(one)
            if among is None or len(among):
                found = self._bm25.pairs(fts.occurrences(connection, one, among))
                self._postings.learn(one, among, *found)

    def _resolve(self, connection: sqlite3.Connection, words: Sequence[Word]) -> list[list[Word]]:
        if len(self._resolved) >= MAX_RESOLVED:
            self._resolved.clear()
        return fts.resolve(connection, words, self._resolved)


def _state(connection: sqlite3.Connection) -> int:
    """The sequence number at which words last changed; 0: there are none yet."""
    found = connection.execute("SELECT value FROM meta WHERE name = ?", (WORDS_SEQ,)).fetchone()
    return int(found[0]) if found else 0
