"""The vectors of the latest texts that were asked for: asked again, they need no text tower.

An SQLite file for each encoder beside the index. It is a cache: damaged, locked by another process
or in a place that cannot be written, it remembers nothing, and nobody waits for it.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mmsearch.types import Vectors

MOST = 1000  # texts: 1.5 MB at d = 384
LONGEST = 2000  # characters of a text that is kept
# The time of a text's last use is only written this often: a write costs more than a read.
_FRESH_S = 3600.0


class Remembered:
    """Text -> (d,) float32 vector."""

    def __init__(self, path: Path, dim: int) -> None:
        self._path = path
        self._dim = dim
        self._fresh: set[str] = set()

    def get(self, text: str) -> Vectors | None:
        """The vector of a text; None for one that is not known."""
        self._fresh.discard(text)
        if not self._path.exists():
            return None
        with suppress(sqlite3.Error, UnicodeEncodeError), closing(self._open()) as connection:
            row = connection.execute(
                "SELECT vector, checksum, used FROM queries WHERE text = ?", (text,)
            ).fetchone()
            if row is None or len(row[0]) != 4 * self._dim or _checksum(text, row[0]) != row[1]:
                return None
            if abs(time.time() - row[2]) < _FRESH_S:
                self._fresh.add(text)
            return np.frombuffer(row[0], np.float32)
        return None

    def put(self, text: str, vector: Vectors) -> None:
        """Remember a text that was used now, and forget the longest unused beyond MOST."""
        if text in self._fresh or len(text) > LONGEST:
            return
        blob = np.ascontiguousarray(vector, np.float32).tobytes()
        with suppress(sqlite3.Error, UnicodeEncodeError):
            try:
                self._write(text, blob)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    return  # locked, or not to be written
                with suppress(OSError):  # damaged: begun anew by the next one
                    self._path.unlink(missing_ok=True)

    def _write(self, text: str, blob: bytes) -> None:
        with closing(self._open()) as connection, connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS queries (text TEXT PRIMARY KEY, vector BLOB, "
                "checksum INTEGER, used REAL)"
            )
            connection.execute(
                "INSERT OR REPLACE INTO queries VALUES (?, ?, ?, ?)",
                (text, blob, _checksum(text, blob), time.time()),
            )
            (count,) = connection.execute("SELECT count(*) FROM queries").fetchone()
            if count > MOST:
                connection.execute(
                    "DELETE FROM queries WHERE text IN "
                    "(SELECT text FROM queries ORDER BY used LIMIT ?)",
                    (count - MOST,),
                )

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=0)
        # Nothing here is worth a disk's time: what a power cut garbles, its checksum tells.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA journal_mode=MEMORY")
        return connection


def _checksum(text: str, blob: bytes) -> int:
    return zlib.crc32(blob, zlib.crc32(text.encode()))
