"""Search by words: the FTS5 table, kept in step with the items in the same transactions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mmsearch.catalog.database import Database, fact
from mmsearch.catalog.wording import WORDS_SEQ
from mmsearch.errors import UsageError
from mmsearch.lexical import spelling
from mmsearch.lexical.words import Word, words_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mmsearch.types import Ids

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

# A word of the title says more of an item than one of its attributes or its key.
WEIGHTS = (2.0, 1.0, 1.0)
# Each word is looked up; nobody means each of more than these.
MAX_WORDS = 200
# Corrections that are remembered while the words stay as they are.
MAX_RESOLVED = 10_000
# Words with one beginning that a misspelt word is compared with: about 10 ms.
MAX_COMPARED = 2_000
# Of all items: where more have changed, their words are read from the start.
MAX_FOLLOWED = 0.2
LAST = "\U0010ffff"  # behind every word with the same beginning


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
        words = _words(text, prefix)
        with self._reading() as connection:
            warm = self._current(connection)
            if warm is None:
                return _search(connection, words, k, allowed)
            return warm.search(connection, words, k, allowed)

    def coverage(self, text: str, ids: Ids) -> Floats:
        """See Catalog.word_coverage."""
        from mmsearch.lexical.bm25 import coverage

        words = _words(text, prefix=False)
        with self._reading() as connection:
            # What was just found by FTS5 itself is looked up there again: one query alone is not
            # worth postings in memory.
            warm = self._warm if _state(connection) == self._asked else None
            if warm is not None:
                return coverage(warm.items, [warm.having(connection, word, ids) for word in words])
            return coverage(_size(connection), [_having(connection, word, ids) for word in words])

    def explain(self, text: str, *, prefix: bool = False) -> list[WordMatch]:
        """What each word of a query is taken for. Raises UsageError as `search` does."""
        matches = []
        with self._reading() as connection:
            for word in _words(text, prefix):
                known = _resolve(connection, word)
                matches.append(
                    WordMatch(
                        word.text,
                        tuple(one.text for one in known),
                        corrected=bool(known) and known != [word],
                        items=_count(connection, known),
                    )
                )
        return matches

    def _current(self, connection: sa.Connection) -> _Warm | None:
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
    def _reading(self) -> Iterator[sa.Connection]:
        """A connection to which the catalog stays as it is."""
        with self._database.reading() as connection:
            connection.exec_driver_sql("BEGIN")  # Python's sqlite3 begins none to read
            yield connection


class _Warm:
    """Postings and corrections in memory."""

    def __init__(self, connection: sa.Connection) -> None:
        from mmsearch.lexical import bm25  # with NumPy, which a single query can do without

        self._bm25 = bm25
        ids, lengths = bm25.pairs(_lengths(connection))
        self._postings = bm25.Postings(ids, lengths)
        self._resolved: dict[Word, list[Word]] = {}

    def follow(self, connection: sa.Connection, since: int) -> bool:
        """Take in what changed after the sequence number `since`; False: too much has."""
        changed = self._bm25.pairs(
            (row[0], 0)
            for row in connection.exec_driver_sql(
                "SELECT id FROM items WHERE content_seq > ?", (since,)
            )
        )[0]
        if len(changed) > MAX_FOLLOWED * len(self._postings):
            return False
        self._postings.change(changed, *self._bm25.pairs(_lengths(connection, changed)))
        self._resolved.clear()
        return True

    def search(
        self, connection: sa.Connection, words: Sequence[Word], k: int, allowed: Ids | None
    ) -> list[tuple[int, float]]:
        known = dict.fromkeys(one for word in words for one in self._learn(connection, word))
        return self._postings.best(known, k, allowed)

    @property
    def items(self) -> int:
        return len(self._postings)

    def having(self, connection: sa.Connection, word: Word, ids: Ids) -> tuple[int, Flags]:
        """How many items have a word, and (n,) which of `ids` do."""
        return self._postings.having(self._learn(connection, word), ids)

    def _learn(self, connection: sa.Connection, word: Word) -> list[Word]:
        """The known words in the place of `word`, each with its posting."""
        known = self._resolve(connection, word)
        for one in known:
            among = self._postings.unknown(one)
            if among is None or len(among):
                found = self._bm25.pairs(_occurrences(connection, one, among))
                self._postings.learn(one, among, *found)
        return known

    def _resolve(self, connection: sa.Connection, word: Word) -> list[Word]:
        if word not in self._resolved:
            if len(self._resolved) >= MAX_RESOLVED:
                self._resolved.clear()
            self._resolved[word] = _resolve(connection, word)
        return self._resolved[word]


def _state(connection: sa.Connection) -> int:
    """The sequence number at which words last changed; 0: there are none yet."""
    return int(fact(connection, WORDS_SEQ) or 0)


def _words(text: str, prefix: bool) -> list[Word]:
    words = words_of(text, prefix=prefix)
    if len(words) > MAX_WORDS:
        raise UsageError(
            f"the query has {len(words):,} different words: {MAX_WORDS} at most; name what matters"
        )
    return words


def _search(
    connection: sa.Connection, words: Sequence[Word], k: int, allowed: Ids | None
) -> list[tuple[int, float]]:
    """The answer as FTS5 gives it."""
    known = dict.fromkeys(one for word in words for one in _resolve(connection, word))
    if not known:
        return []
    only, ids = _only("+rowid", allowed)  # the sign: FTS5 is not asked anew for each
    found = connection.exec_driver_sql(
        "SELECT rowid, -bm25(words, ?, ?, ?) AS score FROM words"
        f" WHERE words MATCH ?{only} ORDER BY score DESC, rowid LIMIT ?",
        (*WEIGHTS, _expression(known), *ids, k),
    )
    return [(row[0], row[1]) for row in found]


def _having(connection: sa.Connection, word: Word, ids: Ids) -> tuple[int, Flags]:
    """How many items have a word, and (n,) which of `ids` do."""
    import numpy as np

    known = _resolve(connection, word)
    if not known:
        return 0, np.zeros(len(ids), np.bool_)
    only, among = _only("+rowid", ids)
    found = connection.exec_driver_sql(
        f"SELECT rowid FROM words WHERE words MATCH ?{only}", (_expression(known), *among)
    )
    having = np.fromiter(found.scalars(), np.int64)
    return _count(connection, known), np.isin(ids, having)


def _size(connection: sa.Connection) -> int:
    """How many items there are to look for words in."""
    return int(connection.exec_driver_sql("SELECT count(*) FROM words_docsize").scalar() or 0)


def _resolve(connection: sa.Connection, word: Word) -> list[Word]:
    """The word if an item has it, else known ones in its place, else none."""
    query = "SELECT 1 FROM words WHERE words MATCH ? LIMIT 1"
    if connection.exec_driver_sql(query, (_expression([word]),)).first():
        return [word]
    return [Word(term) for term in _corrections(connection, word.text)]


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
        (beginning, beginning + LAST, MAX_COMPARED),
    )
    return spelling.nearest(word, ((row[0], row[1]) for row in alike), limit)


def _occurrences(
    connection: sa.Connection, word: Word, among: Ids | None
) -> Iterator[tuple[int, float]]:
    """(item, weight of the column) for each time that the word stands somewhere, or somewhere
    in these items."""
    last = word.text + LAST if word.prefix else word.text
    only, ids = _only("doc", among)
    found = connection.exec_driver_sql(
        "SELECT doc, CASE col WHEN 'text' THEN ? WHEN 'names' THEN ? ELSE ? END FROM postings"
        f" WHERE term >= ? AND term <= ?{only}",
        (*WEIGHTS, word.text, last, *ids),
    )
    return _tuples(found)


def _lengths(connection: sa.Connection, among: Ids | None = None) -> Iterator[tuple[int, float]]:
    """(item, its number of words) by id, of all items or these."""
    from mmsearch.lexical.bm25 import length_of

    only, ids = _only("id", among)
    found = connection.exec_driver_sql(
        f"SELECT id, sz FROM words_docsize WHERE true{only} ORDER BY id", ids
    )
    return ((item, length_of(size)) for item, size in _tuples(found))


def _tuples(found: sa.CursorResult[Any]) -> Iterator[Any]:
    """The rows as the driver gives them: SQLAlchemy's are four times as dear, which counts where a
    common word has as many as there are items."""
    assert found.cursor is not None, "rows were asked for"
    rows: Iterator[Any] = iter(found.cursor.fetchone, None)
    return rows


def _only(column: str, ids: Ids | None) -> tuple[str, tuple[str, ...]]:
    """The end of a condition that leaves only these ids, and its parameters."""
    if ids is None:
        return "", ()
    return f" AND {column} IN (SELECT value FROM json_each(?))", (json.dumps(ids.tolist()),)


def _count(connection: sa.Connection, words: Sequence[Word]) -> int:
    if not words:
        return 0
    query = "SELECT count(*) FROM words WHERE words MATCH ?"
    return int(connection.exec_driver_sql(query, (_expression(words),)).scalar() or 0)


def _expression(words: Iterable[Word]) -> str:
    """What FTS5 reads as any of these words: quoted, nothing in them is syntax."""
    return " OR ".join(f'"{word.text}"{" *" if word.prefix else ""}' for word in words)
