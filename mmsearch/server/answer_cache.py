"""The answers that were asked for last, for as long as nothing has changed."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

from mmsearch.catalog import read_only
from mmsearch.errors import StorageError
from mmsearch.server.byte_cache import ByteCache

Stamp = tuple[int | tuple[int, ...], int]


class AnswerCache:
    """Sent bodies by request. On the event loop only: a look takes some microseconds.

    A popular search then costs no search. What is older than the last commit, of any process, is
    forgotten: SQLite's `data_version` moves with every commit of another connection, and the one
    here makes none.
    """

    def __init__(self, catalog: Path, concepts: Path, max_bytes: int) -> None:
        self._catalog = catalog
        self._concepts = concepts
        self._kept: ByteCache[bytes] = ByteCache(max_bytes)
        self._stamp: Stamp | None = None
        self._connection = sqlite3.connect(f"{catalog.as_uri()}?mode=ro", uri=True)

    def close(self) -> None:
        self._connection.close()

    def stamp(self) -> Stamp:
        """What the answers given now are the answers of. Raises StorageError."""
        version: int | tuple[int, ...]
        try:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            still = read_only.frozen(self._catalog, error)
            if still is None:
                raise StorageError(f"cannot read the catalog: {error}") from error
            version = still.stamp
        try:
            concepts = self._concepts.stat().st_mtime_ns
        except FileNotFoundError:
            concepts = 0
        return version, concepts

    def get(self, request: str, stamp: Stamp) -> bytes | None:
        """The body that answers this request, if it is known."""
        self._forget_others(stamp)
        return self._kept.get(_name(request))

    def put(self, request: str, stamp: Stamp, body: bytes) -> None:
        """`stamp` is from before the request was answered: a change since then is seen."""
        self._forget_others(stamp)
        if stamp == self.stamp():
            self._kept.put(_name(request), body)

    def _forget_others(self, stamp: Stamp) -> None:
        if stamp != self._stamp:
            self._kept.clear()
            self._stamp = stamp


def _name(request: str) -> bytes:
    """A request may be megabytes of keys to leave out, of which only its answer is counted."""
    return hashlib.blake2b(request.encode(), digest_size=16).digest()
