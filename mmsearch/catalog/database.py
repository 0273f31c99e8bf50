"""The SQLite file: opening and migrating it, transactions with sequence numbers, its errors."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from mmsearch.catalog import migrations, read_only, schema
from mmsearch.catalog.prepared import Rows, to_json
from mmsearch.catalog.schema import meta
from mmsearch.errors import CorruptionError, NoCollectionError, SchemaError, StorageError
from mmsearch.lexical.words import searchable, searchable_attributes, unicode_version

TIMEOUT_S = 30.0  # how long to wait for another process's transaction
# Every SQLite takes 32,766 bound values a statement: chunks stay well below, what is inserted fills
# it nearly.
CHUNK = 10_000
MAX_VALUES = 32_000
MAX_ROWS = 4_000  # of one statement, whose text may have a million characters

_T = TypeVar("_T")


class Database:
    """Connections to one catalog file. Raises StorageError, SchemaError, CorruptionError.

    One that cannot be written can be read (read_only.py).
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path.absolute()  # whatever the working directory will be
        self._frozen: read_only.Frozen | None = None
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(self.path)),
            creator=self._connect,
            json_serializer=to_json,
        )
        with self._errors():
            if create:
                self._create()
            self._bring_up_to_date()

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        if self._frozen is not None and not self._frozen.unchanged():
            self._open_again()
        with self._errors(), self._engine.connect() as connection:
            frozen = self._frozen
            yield connection
            if frozen is not None:
                frozen.require_unchanged()

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction that no reader's index has to learn of."""
        if self._frozen is not None:
            self._open_again()
        with self._errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[tuple[sa.Connection, int]]:
        """One transaction, and the new sequence number that it commits."""
        with self.writing() as connection:
            seq = int(fact(connection, "seq") or 0) + 1
            set_fact(connection, "seq", str(seq))
            yield connection, seq

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=TIMEOUT_S, check_same_thread=False)
        try:
            _use_wal(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            self._frozen = self._frozen or read_only.frozen(self.path, error)
            if self._frozen is None:
                raise
            connection = sqlite3.connect(self._frozen.uri, uri=True, check_same_thread=False)
        _prepare(connection)
        return connection

    def _open_again(self) -> None:
        """See what was committed meanwhile, or that the disk can be written by now."""
        self._frozen = None
        self._engine.dispose()

    def _create(self) -> None:
        """Make the tables where there are none yet: all of them, or, killed on the way, none."""
        if sa.inspect(self._engine).has_table(meta.name):
            return
        with self._at_once() as connection:
            # Another process may have been quicker, so there is a second look.
            if sa.inspect(connection).has_table(meta.name):
                return
            schema.metadata.create_all(connection)
            for statement in schema.WORD_TABLES:
                connection.exec_driver_sql(statement)
            set_fact(connection, "schema", str(schema.SCHEMA_VERSION))
            set_fact(connection, "seq", "0")

    def _bring_up_to_date(self) -> None:
        with self._engine.connect() as connection:
            if not sa.inspect(connection).has_table(meta.name):
                raise NoCollectionError(
                    f"{self.path} holds no tables: run `mmsearch index PATH`, or restore it from a "
                    "backup if there was something in it"
                )
            version = int(fact(connection, "schema") or 0)
        if version > schema.SCHEMA_VERSION:
            raise SchemaError(
                f"{self.path} has schema {version}, this mmsearch knows up to "
                f"{schema.SCHEMA_VERSION}: it was written by a newer version. Upgrade mmsearch"
            )
        if version == schema.SCHEMA_VERSION:
            return
        try:
            self._migrate()
        except sa.exc.OperationalError as error:
            if error.orig is None or not read_only.refused(error.orig):
                raise
            raise SchemaError(
                f"{self.path} has schema {version}, this mmsearch reads {schema.SCHEMA_VERSION}, "
                "and it cannot be brought up to date where it is read-only: run `mmsearch status` "
                "where it can be written, then copy or mount it again"
            ) from error

    def _migrate(self) -> None:
        with self._at_once() as connection:
            # Another process may have been quicker, so the version is read again.
            for statement in migrations.statements(int(fact(connection, "schema") or 0)):
                connection.exec_driver_sql(statement)
            set_fact(connection, "schema", str(schema.SCHEMA_VERSION))

    @contextmanager
    def _at_once(self) -> Iterator[sa.Connection]:
        """A transaction for statements that make or change tables."""
        with self._engine.connect() as connection:
            # Python's sqlite3 begins no transaction before DDL: it would commit in pieces.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate the database's errors into ours, once, here."""
        try:
            yield
        except (sa.exc.OperationalError, sqlite3.OperationalError) as error:
            cause = getattr(error, "orig", error)
            raise StorageError(
                read_only.reason(self.path, cause)
                or f"cannot use {self.path}: {cause}; what was committed before is safe. "
                "Check free space and permissions of that directory, then run the command again"
            ) from error
        except (sa.exc.DatabaseError, sqlite3.DatabaseError) as error:
            if self._frozen is not None:
                self._frozen.require_unchanged()
            raise CorruptionError(
                f"{self.path} is damaged: {getattr(error, 'orig', error)}. Where `mmsearch check "
                "--repair` cannot mend it, restore it from a backup, or delete the collection's "
                "directory and index again"
            ) from error


def fact(connection: sa.Connection, name: str) -> str | None:
    """One value of the table `meta`."""
    # Asked several times per query: building and compiling a select would cost more than it.
    found = connection.exec_driver_sql("SELECT value FROM meta WHERE name = ?", (name,)).first()
    return None if found is None else str(found[0])


def set_fact(connection: sa.Connection, name: str, value: str) -> None:
    statement = upsert(meta).values(name=name, value=value)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"value": value})
    )


def insert_rows(
    connection: sa.Connection, table: str, rows: Rows, counted_from: int = 0, **common: Any
) -> None:
    """Insert rows, the numbers of which are counted from there, with `common` for all of them.

    Many at once: SQLite works on a statement without Python's lock, so that other threads go on.
    What is common to them is bound once, which halves the time of rows of `items`.
    """
    common = {**rows.common, **common}
    width = len(rows.columns)
    every = list(rows.values)
    every[::width] = [counted_from + number for number in every[::width]]
    names = ", ".join(f'"{name}"' for name in (*common, *rows.columns))
    numbered = [f"?{place}" for place in range(1, len(common) + 1)]
    places = f"({','.join((*numbered, *'?' * width))})"
    size = min(MAX_ROWS, (MAX_VALUES - len(common)) // width)
    start = 0
    while start < len(rows):
        # Halves of halves: a dozen statements for any number of rows, which stay prepared.
        while size > len(rows) - start:
            size = (size + 1) // 2
        connection.exec_driver_sql(
            f"INSERT INTO {table} ({names}) VALUES {','.join([places] * size)}",
            (*common.values(), *every[start * width : (start + size) * width]),
        )
        start += size


def chunks(values: Iterable[_T]) -> Iterator[Sequence[_T]]:
    """`values` in pieces that fit one statement."""
    every = list(values)
    for start in range(0, len(every), CHUNK):
        yield every[start : start + CHUNK]


def _prepare(connection: sqlite3.Connection) -> None:
    # FULL: a commit that returned survives a power cut. 64 MiB of pages: in SQLite's own 2 MB the
    # indexes of a million items would be read and written anew for every batch of rows.
    for pragma in ("synchronous=FULL", "cache_size=-65536"):
        connection.execute(f"PRAGMA {pragma}").close()
    # What the word tables are written with.
    for function, values in ((searchable, 1), (searchable_attributes, 1), (unicode_version, 0)):
        connection.create_function(function.__name__, values, function, deterministic=True)


def _use_wal(connection: sqlite3.Connection) -> None:
    # WAL: readers never wait for the writer.
    # SQLite itself waits for nobody who turns the same new file to WAL at the same time.
    until = time.monotonic() + TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)
