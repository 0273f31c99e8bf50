"""What is known: one SQLite file, every change in one transaction with a sequence number."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from mmsearch.catalog import schema
from mmsearch.catalog.schema import batches, embeddings, failures, items, meta, runs
from mmsearch.errors import CorruptionError, SchemaError, StorageError
from mmsearch.types import FileStamp, Modality

# SQLite takes at most 32,766 bound parameters a statement; chunks stay well below.
CHUNK = 10_000

_T = TypeVar("_T")


@dataclass(frozen=True)
class EncoderInfo:
    """The encoder whose vectors a collection holds."""

    name: str
    fingerprint: str
    dim: int


@dataclass(frozen=True)
class StoredItem:
    """An item as the catalog holds it; `path` and `key` are in key form."""

    id: int
    key: str
    state: str
    origin: str | None
    group: str | None
    path: str | None
    text: str | None
    attributes: Mapping[str, Any]
    image_digest: bytes | None
    text_digest: bytes | None
    stamp: FileStamp

    @property
    def live(self) -> bool:
        return self.state == "live"


@dataclass
class Write:
    """One transaction: everything that becomes visible together."""

    items: list[dict[str, Any]] = field(default_factory=list)  # rows of `items`, id None: new
    states: dict[str, list[int]] = field(default_factory=dict)  # state -> item ids
    embeddings: list[tuple[Modality, bytes, int]] = field(default_factory=list)  # ..., row
    fingerprint: str | None = None
    batch: tuple[int, int, bytes] | None = None  # first row, rows, checksum
    failures: list[dict[str, Any]] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)  # keys whose failure is over

    def __bool__(self) -> bool:
        return bool(self.items or self.states or self.embeddings or self.failures or self.recovered)


class Catalog:
    """Reads and writes of one catalog file. Raises StorageError, SchemaError, CorruptionError."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        sa.event.listen(self._engine, "connect", _set_pragmas)
        with self._errors():
            if create:
                self._create()
            self._check_version()

    def close(self) -> None:
        self._engine.dispose()

    # ---- single facts

    def seq(self) -> int:
        """The number of the last committed change; an index with the same number is current."""
        with self._errors(), self._engine.connect() as connection:
            return int(self._fact(connection, "seq") or 0)

    def encoder(self) -> EncoderInfo | None:
        """None until the first vector is committed."""
        with self._errors(), self._engine.connect() as connection:
            value = self._fact(connection, "encoder")
        return EncoderInfo(**json.loads(value)) if value else None

    def set_encoder(self, encoder: EncoderInfo) -> None:
        with self._errors(), self._engine.begin() as connection:
            self._set_fact(connection, "encoder", json.dumps(vars(encoder)))

    # ---- writing

    def commit(self, write: Write) -> int:
        """Apply `write` in one transaction; returns the new sequence number."""
        with self._errors(), self._engine.begin() as connection:
            seq = int(self._fact(connection, "seq") or 0) + 1
            self._set_fact(connection, "seq", str(seq))
            new = [{**row, "seq": seq} for row in write.items if row["id"] is None]
            old = [{**row, "seq": seq} for row in write.items if row["id"] is not None]
            if new:
                for row in new:
                    del row["id"]
                connection.execute(sa.insert(items), new)
            for row in old:
                values = {name: value for name, value in row.items() if name != "id"}
                connection.execute(sa.update(items).where(items.c.id == row["id"]).values(values))
            for state, ids in write.states.items():
                values = {"state": state, "seq": seq}
                if state == "removed":
                    values |= {"key": None, "text": None, "attributes": {}}
                for part in _chunks(ids):
                    connection.execute(sa.update(items).where(items.c.id.in_(part)).values(values))
            if write.embeddings:
                connection.execute(
                    upsert(embeddings).on_conflict_do_nothing(),
                    [
                        {
                            "fingerprint": write.fingerprint,
                            "modality": modality,
                            "digest": digest,
                            "row": row,
                        }
                        for modality, digest, row in write.embeddings
                    ],
                )
            if write.batch is not None:
                first, count, checksum = write.batch
                connection.execute(
                    sa.insert(batches).values(
                        seq=seq,
                        fingerprint=write.fingerprint,
                        first_row=first,
                        rows=count,
                        checksum=checksum,
                    )
                )
            for keys in _chunks(write.recovered):
                connection.execute(sa.delete(failures).where(failures.c.key.in_(keys)))
            if write.failures:
                statement = upsert(failures)
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=["key"],
                        set_={
                            name: statement.excluded[name]
                            for name in ("reason", "size_bytes", "mtime_ns")
                        },
                    ),
                    write.failures,
                )
        return seq

    def drop_batches(self, fingerprint: str, seqs: Sequence[int]) -> int:
        """Forget the vectors of these batches; their items must be encoded again.

        Returns how many vectors are forgotten. The rows stay in the file as dead rows.
        """
        dropped = 0
        with self._errors(), self._engine.begin() as connection:
            seq = int(self._fact(connection, "seq") or 0) + 1
            self._set_fact(connection, "seq", str(seq))
            for batch in connection.execute(sa.select(batches).where(batches.c.seq.in_(seqs))):
                inside = embeddings.c.row.between(batch.first_row, batch.first_row + batch.rows - 1)
                here = sa.and_(embeddings.c.fingerprint == fingerprint, inside)
                lost = sa.select(embeddings.c.digest).where(here)
                connection.execute(
                    sa.update(items)
                    .where(
                        sa.or_(items.c.image_digest.in_(lost), items.c.text_digest.in_(lost)),
                        items.c.state != "removed",
                    )
                    # An impossible stamp: the next run takes the file for changed.
                    .values(size_bytes=-1, seq=seq)
                )
                dropped += connection.execute(sa.delete(embeddings).where(here)).rowcount
                # The head must not move back over rows that other batches hold.
                connection.execute(
                    sa.update(batches).where(batches.c.seq == batch.seq).values(checksum=b"")
                )
        return dropped

    def record_run(self, report: Mapping[str, Any]) -> None:
        with self._errors(), self._engine.begin() as connection:
            finished = datetime.now(UTC).isoformat(timespec="seconds")
            connection.execute(sa.insert(runs).values(finished_at=finished, report=dict(report)))

    # ---- reading

    def stored(self) -> Iterator[StoredItem]:
        """Every item that is not removed."""
        with self._errors(), self._engine.connect() as connection:
            query = sa.select(items).where(items.c.state != "removed")
            for row in connection.execution_options(yield_per=CHUNK).execute(query):
                yield _stored(row)

    def item(self, key: str) -> StoredItem | None:
        with self._errors(), self._engine.connect() as connection:
            row = connection.execute(sa.select(items).where(items.c.key == key)).first()
        return _stored(row) if row else None

    def items(self, ids: Iterable[int]) -> dict[int, StoredItem]:
        """Live items by id; ids that are not live are left out."""
        found: dict[int, StoredItem] = {}
        with self._errors(), self._engine.connect() as connection:
            for part in _chunks(list(ids)):
                query = sa.select(items).where(items.c.id.in_(part), items.c.state == "live")
                found.update((row.id, _stored(row)) for row in connection.execute(query))
        return found

    def changes(
        self, since: int, modality: Modality, fingerprint: str
    ) -> Iterator[list[tuple[int, int | None]]]:
        """Chunks of (item id, vector row) changed after `since`; row None: no longer findable."""
        digest = items.c.image_digest if modality == "image" else items.c.text_digest
        query = (
            sa.select(items.c.id, items.c.state, embeddings.c.row)
            .outerjoin(
                embeddings,
                sa.and_(
                    embeddings.c.digest == digest,
                    embeddings.c.modality == modality,
                    embeddings.c.fingerprint == fingerprint,
                ),
            )
            .where(items.c.seq > since)
            .order_by(items.c.id)
        )
        with self._errors(), self._engine.connect() as connection:
            result = connection.execution_options(yield_per=CHUNK).execute(query)
            for part in result.partitions(CHUNK):
                yield [(row.id, row.row if row.state == "live" else None) for row in part]

    def row(self, modality: Modality, digest: bytes, fingerprint: str) -> int | None:
        """The vector row of one digest, if it is embedded."""
        query = sa.select(embeddings.c.row).where(
            embeddings.c.fingerprint == fingerprint,
            embeddings.c.modality == modality,
            embeddings.c.digest == digest,
        )
        with self._errors(), self._engine.connect() as connection:
            value = connection.execute(query).scalar()
        return None if value is None else int(value)

    def known_digests(self, fingerprint: str) -> set[tuple[str, bytes]]:
        """(modality, digest) of everything that need not be encoded again."""
        query = sa.select(embeddings.c.modality, embeddings.c.digest).where(
            embeddings.c.fingerprint == fingerprint
        )
        with self._errors(), self._engine.connect() as connection:
            return {(row.modality, row.digest) for row in connection.execute(query)}

    def head(self, fingerprint: str) -> int:
        """How many rows of the vector file are committed."""
        end = sa.func.max(batches.c.first_row + batches.c.rows)
        with self._errors(), self._engine.connect() as connection:
            query = sa.select(end).where(batches.c.fingerprint == fingerprint)
            return int(connection.execute(query).scalar() or 0)

    def all_batches(self, fingerprint: str) -> list[tuple[int, int, int, bytes]]:
        """(sequence number, first row, rows, checksum) of every batch that still counts."""
        query = sa.select(batches).where(
            batches.c.fingerprint == fingerprint, batches.c.checksum != b""
        )
        with self._errors(), self._engine.connect() as connection:
            return [
                (row.seq, row.first_row, row.rows, row.checksum)
                for row in connection.execute(query)
            ]

    def unembedded(self, fingerprint: str) -> list[str]:
        """Keys of live items with a picture or a text that has no vector."""
        missing = []
        for modality in ("image", "text"):
            digest = items.c.image_digest if modality == "image" else items.c.text_digest
            known = sa.exists().where(
                embeddings.c.fingerprint == fingerprint,
                embeddings.c.modality == modality,
                embeddings.c.digest == digest,
            )
            query = sa.select(items.c.key).where(
                items.c.state == "live", digest.is_not(None), ~known
            )
            with self._errors(), self._engine.connect() as connection:
                missing += list(connection.execute(query).scalars())
        return sorted(set(missing))

    def known_failures(self) -> dict[str, tuple[str, FileStamp | None]]:
        """key -> (reason, stamp at which it failed)."""
        with self._errors(), self._engine.connect() as connection:
            return {
                row.key: (
                    row.reason,
                    None if row.size_bytes is None else FileStamp(row.size_bytes, row.mtime_ns),
                )
                for row in connection.execute(sa.select(failures))
            }

    def counts(self) -> dict[str, int]:
        """items, images, texts (live), missing, failures."""
        live = items.c.state == "live"
        with self._errors(), self._engine.connect() as connection:
            row = connection.execute(
                sa.select(
                    sa.func.count().filter(live).label("items"),
                    sa.func.count(items.c.image_digest).filter(live).label("images"),
                    sa.func.count(items.c.text_digest).filter(live).label("texts"),
                    sa.func.count().filter(items.c.state == "missing").label("missing"),
                )
            ).one()
            failed = connection.execute(sa.select(sa.func.count()).select_from(failures)).scalar()
        return {**row._mapping, "failures": int(failed or 0)}

    def last_run(self) -> dict[str, Any] | None:
        with self._errors(), self._engine.connect() as connection:
            row = connection.execute(sa.select(runs).order_by(runs.c.id.desc()).limit(1)).first()
        return {"finished_at": row.finished_at, **row.report} if row else None

    def integrity(self) -> str:
        """SQLite's own verdict; "ok" when nothing is wrong."""
        with self._errors(), self._engine.connect() as connection:
            return str(connection.exec_driver_sql("PRAGMA quick_check").scalar())

    # ---- inside

    def _create(self) -> None:
        schema.metadata.create_all(self._engine)
        with self._engine.begin() as connection:
            if self._fact(connection, "schema") is None:
                self._set_fact(connection, "schema", str(schema.SCHEMA_VERSION))
                self._set_fact(connection, "seq", "0")

    def _check_version(self) -> None:
        with self._engine.connect() as connection:
            version = int(self._fact(connection, "schema") or 0)
        if version > schema.SCHEMA_VERSION:
            raise SchemaError(
                f"{self.path} has schema {version}, this mmsearch knows up to "
                f"{schema.SCHEMA_VERSION}: it was written by a newer version. Upgrade mmsearch"
            )

    @staticmethod
    def _fact(connection: sa.Connection, name: str) -> str | None:
        value = connection.execute(sa.select(meta.c.value).where(meta.c.name == name)).scalar()
        return None if value is None else str(value)

    @staticmethod
    def _set_fact(connection: sa.Connection, name: str, value: str) -> None:
        statement = upsert(meta).values(name=name, value=value)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"value": value})
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate the database's errors into ours, once, here."""
        try:
            yield
        except sa.exc.OperationalError as error:
            reason = str(error.orig)
            raise StorageError(
                f"cannot use {self.path}: {reason}; what was committed before is safe. "
                "Check free space and permissions of that directory, then run the command again"
            ) from error
        except sa.exc.DatabaseError as error:
            raise CorruptionError(
                f"{self.path} is damaged: {error.orig}. Restore it from a backup, or delete the "
                "collection's directory and index again"
            ) from error


def _set_pragmas(connection: Any, _record: Any) -> None:
    # WAL: readers never wait for the writer. FULL: a commit that returned survives a power cut.
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}").close()


def _stored(row: Any) -> StoredItem:
    return StoredItem(
        id=row.id,
        key=row.key,
        state=row.state,
        origin=row.origin,
        group=row.group,
        path=row.path,
        text=row.text,
        attributes=row.attributes,
        image_digest=row.image_digest,
        text_digest=row.text_digest,
        stamp=FileStamp(row.size_bytes, row.mtime_ns),
    )


def _chunks(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
