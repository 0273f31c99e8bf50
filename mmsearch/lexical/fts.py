"""What SQLite's FTS5 answers of the table of words, over any connection of Python's sqlite3.

SQLAlchemy's rows would be four times as dear, which counts where a common word has as many as there
are items; and a query in a new process does without it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING

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
# Words with one beginning that a misspelt word is compared with: about 10 ms.
MAX_COMPARED = 2_000
# Words of one query that are corrected, the first ones: 10 to 20 ms each.
MAX_CORRECTED = 20
LAST = "\U0010ffff"  # behind every word with the same beginning


def asked(text: str, *, prefix: bool = False) -> list[Word]:
    """`words_of` a query. Raises UsageError for more than MAX_WORDS."""
    words = words_of(text, prefix=prefix)
    if len(words) > MAX_WORDS:
        raise UsageError(
            f"the query has {len(words):,} different words: {MAX_WORDS} at most; name what matters"
        )
    return words


def search(
    connection: sqlite3.Connection, words: Sequence[Word], k: int, allowed: Ids | None
) -> list[tuple[int, float]]:
    """The k best by BM25, as (id, score), ties by ascending id; see Catalog.lexical_search."""
    known = dict.fromkeys(one for terms in resolve(connection, words) for one in terms)
    if not known:
        return []
    only, ids = _only("+rowid", allowed)  # the sign: FTS5 is not asked anew for each
    found = connection.execute(
        "SELECT rowid, -bm25(words, ?, ?, ?) AS score FROM words"
        f" WHERE words MATCH ?{only} ORDER BY score DESC, rowid LIMIT ?",
        (*WEIGHTS, _expression(known), *ids, k),
    )
    return [(row[0], row[1]) for row in found]


def having(connection: sqlite3.Connection, known: Sequence[Word], ids: Ids) -> tuple[int, Flags]:
    """How many items have one of the words, and (n,) which of `ids` do."""
    import numpy as np

    if not known:
        return 0, np.zeros(len(ids), np.bool_)
    only, among = _only("+rowid", ids)
    found = connection.execute(
        f"SELECT rowid FROM words WHERE words MATCH ?{only}", (_expression(known), *among)
    )
    there = {row[0] for row in found}
    return count(connection, known), np.fromiter((item in there for item in ids.tolist()), np.bool_)


def coverage(connection: sqlite3.Connection, words: Sequence[Word], ids: Ids) -> Floats:
    """(n,) how much of the words each of `ids` has; see bm25.coverage."""
    from mmsearch.lexical import bm25

    resolved = resolve(connection, words)
    return bm25.coverage(size(connection), [having(connection, known, ids) for known in resolved])


def size(connection: sqlite3.Connection) -> int:
    """How many items there are to look for words in."""
    return _number(connection.execute("SELECT count(*) FROM words_docsize"))


def resolve(
    connection: sqlite3.Connection,
    words: Sequence[Word],
    learnt: MutableMapping[Word, list[Word]] | None = None,
) -> list[list[Word]]:
    """For each word of a query, itself if an item has it, else known ones in its place, else none.

    Of the words that no item has and that are long enough to be misspelt, the first MAX_CORRECTED
    are corrected. `learnt` holds what was found before, and takes what is found now.
    """
    learnt = {} if learnt is None else learnt
    left = MAX_CORRECTED
    resolved = []
    for word in words:
        known = learnt.get(word)
        if known is None and _is_known(connection, word):
            known = learnt[word] = [word]
        if known != [word]:
            limit = spelling.allowed_distance(word.text)
            if not limit or not left:
                known = []  # and not learnt: it may be among the first of another query
            else:
                left -= 1
                if known is None:
                    terms = _corrections(connection, word.text, limit)
                    known = learnt[word] = [Word(term) for term in terms]
        resolved.append(known)
    return resolved


def _is_known(connection: sqlite3.Connection, word: Word) -> bool:
    query = "SELECT 1 FROM words WHERE words MATCH ? LIMIT 1"
    return connection.execute(query, (_expression([word]),)).fetchone() is not None


def _corrections(connection: sqlite3.Connection, word: str, limit: int) -> list[str]:
    made = json.dumps(sorted(spelling.one_edit_away(word)))
    known = connection.execute(
        "SELECT term, doc FROM terms WHERE term IN (SELECT value FROM json_each(?))", (made,)
    )
    if found := spelling.nearest(word, ((row[0], row[1]) for row in known), 1):
        return found
    if limit < 2:
        return []
    beginning = word[: spelling.SAME_BEGINNING]
    alike = connection.execute(
        "SELECT term, doc FROM terms WHERE term >= ? AND term < ? LIMIT ?",
        (beginning, beginning + LAST, MAX_COMPARED),
    )
    return spelling.nearest(word, ((row[0], row[1]) for row in alike), limit)


def occurrences(
    connection: sqlite3.Connection, word: Word, among: Ids | None
) -> Iterator[tuple[int, float]]:
    """(item, weight of the column) for each time that the word stands somewhere, or somewhere
    in these items."""
    last = word.text + LAST if word.prefix else word.text
    only, ids = _only("doc", among)
    return connection.execute(
        "SELECT doc, CASE col WHEN 'text' THEN ? WHEN 'names' THEN ? ELSE ? END FROM postings"
        f" WHERE term >= ? AND term <= ?{only}",
        (*WEIGHTS, word.text, last, *ids),
    )


def lengths(
    connection: sqlite3.Connection, among: Ids | None = None
) -> Iterator[tuple[int, float]]:
    """(item, its number of words) by id, of all items or these."""
    from mmsearch.lexical.bm25 import length_of

    only, ids = _only("id", among)
    found = connection.execute(
        f"SELECT id, sz FROM words_docsize WHERE true{only} ORDER BY id", ids
    )
    return ((item, length_of(size)) for item, size in found)


def _only(column: str, ids: Ids | None) -> tuple[str, tuple[str, ...]]:
    """The end of a condition that leaves only these ids, and its parameters."""
    if ids is None:
        return "", ()
    return f" AND {column} IN (SELECT value FROM json_each(?))", (json.dumps(ids.tolist()),)


def count(connection: sqlite3.Connection, words: Sequence[Word]) -> int:
    """How many items have one of the words."""
    if not words:
        return 0
    query = "SELECT count(*) FROM words WHERE words MATCH ?"
    return _number(connection.execute(query, (_expression(words),)))


def _expression(words: Iterable[Word]) -> str:
    """What FTS5 reads as any of these words: quoted, nothing in them is syntax."""
    return " OR ".join(f'"{word.text}"{" *" if word.prefix else ""}' for word in words)


def _number(found: sqlite3.Cursor) -> int:
    return int(found.fetchone()[0])
