"""Tokens and merges of a tokenizer in a read-only SQLite file: opened at once, whatever its size.

Parsing a tokenizer.json of 50,000 tokens takes longer than answering a query; a lookup here takes
microseconds, and a query has few of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from urllib.parse import quote


class TokenTable:
    """The ids of tokens and, for byte pair encoding, the ranks of merges. Safe in threads."""

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.Error for a file that is missing or no such table."""
        # Immutable: nobody changes the file in place, so no lock is needed to read it.
        uri = f"file:{quote(str(path))}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self._lock = Lock()
        self._one("SELECT id FROM tokens WHERE token = ?", "")

    def id(self, token: str) -> int | None:
        """The id of a token, None for one that there is not."""
        return self._one("SELECT id FROM tokens WHERE token = ?", token)

    def rank(self, left: str, right: str) -> int | None:
        """The rank of a merge, the most frequent first; None where these two are never merged."""
        return self._one("SELECT rank FROM merges WHERE pair = ?", f"{left} {right}")

    def _one(self, query: str, value: str) -> int | None:
        with self._lock:
            row: tuple[int] | None = self._connection.execute(query, (value,)).fetchone()
        return None if row is None else row[0]


def write_token_table(
    path: Path, tokens: Mapping[str, int], merges: Sequence[tuple[str, str]] = ()
) -> None:
    """Write the file that `TokenTable` reads; `merges` by descending rank. Raises sqlite3.Error."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            for statement in (
                "CREATE TABLE tokens (token TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID",
                "CREATE TABLE merges (pair TEXT PRIMARY KEY, rank INTEGER NOT NULL) WITHOUT ROWID",
            ):
                connection.execute(statement)
            connection.executemany("INSERT INTO tokens VALUES (?, ?)", sorted(tokens.items()))
            pairs = (f"{left} {right}" for left, right in merges)
            ranked = sorted((pair, rank) for rank, pair in enumerate(pairs))
            connection.executemany("INSERT INTO merges VALUES (?, ?)", ranked)
    finally:
        connection.close()
