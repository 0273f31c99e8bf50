"""The encoders' spaces: whose vectors there are, in which rows, and which space answers queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from mmsearch.catalog.database import Database, chunks, fact, set_fact
from mmsearch.catalog.records import EncoderInfo, NewVectors, Space, SpaceState
from mmsearch.catalog.schema import batches, embeddings, items, spaces, waiting
from mmsearch.types import MODALITIES, Modality, Precision


@dataclass(frozen=True)
class Batch:
    """Rows of a vector file that were committed together."""

    seq: int
    first_row: int
    rows: int
    checksum: bytes


@dataclass(frozen=True)
class Pending:
    """A live item that lacks the vector of its picture, of its text, or both in some space."""

    id: int
    key: str
    path: str | None
    text: str | None
    image_digest: bytes | None
    text_digest: bytes | None
    lacks_image: bool
    lacks_text: bool

    def lacking(self, modality: Modality) -> bytes | None:
        """The digest of its picture or text, if that has no vector."""
        if modality == "image":
            return self.image_digest if self.lacks_image else None
        return self.text_digest if self.lacks_text else None


class Spaces:
    """Reads and writes of spaces; the caller of a writing method holds the writer's lock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ---- which there are

    def current(self) -> EncoderInfo | None:
        """The encoder whose space answers queries; None until the first one was loaded."""
        with self._database.reading() as connection:
            # As text: it is asked with every query, and building a select would take longer.
            row = connection.exec_driver_sql("SELECT * FROM spaces WHERE state = 'current'").first()
        return _info(row) if row else None

    def previous(self) -> EncoderInfo | None:
        """The encoder whose space answered before the last switch, if it is still kept."""
        query = sa.select(spaces).where(spaces.c.state == "left").order_by(spaces.c.left_at.desc())
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return _info(row) if row else None

    def all(self) -> list[Space]:
        """The current space first, then those that were left, the latest first."""
        rows = sa.func.coalesce(sa.func.sum(batches.c.rows), 0).label("vectors")
        query = (
            sa.select(spaces, rows)
            .outerjoin(batches, batches.c.fingerprint == spaces.c.fingerprint)
            .group_by(spaces.c.fingerprint)
            .order_by(spaces.c.state != "current", spaces.c.left_at.desc().nulls_last())
        )
        with self._database.reading() as connection:
            return [
                Space(_info(row), cast(SpaceState, row.state), row.vectors)
                for row in connection.execute(query)
            ]

    def begin(self, encoder: EncoderInfo) -> None:
        """Make room for an encoder: as the collection's first and own, or beside that one."""
        with self._database.writing() as connection:
            own = connection.execute(
                sa.select(sa.func.count()).where(spaces.c.state == "current")
            ).scalar()
            connection.execute(
                upsert(spaces)
                .values(**vars(encoder), state="unfinished" if own else "current")
                .on_conflict_do_update(index_elements=["fingerprint"], set_={"name": encoder.name})
            )

    def switch(self, fingerprint: str) -> EncoderInfo:
        """Let this space answer from now on: one transaction. Returns its encoder.

        Readers compare the whole EncoderInfo, so that a switch there and back does not go unseen.
        """
        with self._database.changing() as (connection, seq):
            connection.execute(
                sa.update(spaces)
                .where(spaces.c.state == "current")
                .values(state="left", left_at=seq)
            )
            connection.execute(
                sa.update(spaces)
                .where(spaces.c.fingerprint == fingerprint)
                # Nothing else was committed since the caller found it complete under the lock.
                .values(state="current", complete_at=seq - 1, left_at=None)
            )
            _note_waiting(connection)
            row = connection.execute(
                sa.select(spaces).where(spaces.c.fingerprint == fingerprint)
            ).one()
        return _info(row)

    def drop(self, fingerprints: Sequence[str]) -> None:
        """Forget these spaces with all their vectors; their files are the caller's to delete."""
        with self._database.writing() as connection:
            for table in (embeddings, batches, spaces):
                connection.execute(sa.delete(table).where(table.c.fingerprint.in_(fingerprints)))

    def precision(self, fingerprint: str) -> Precision | None:
        """The precision that somebody chose for pictures of this space; None: nobody did."""
        with self._database.reading() as connection:
            return cast("Precision | None", fact(connection, f"precision {fingerprint}"))

    def set_precision(self, fingerprint: str, precision: Precision) -> None:
        with self._database.writing() as connection:
            set_fact(connection, f"precision {fingerprint}", precision)

    # ---- their vectors

    def row(self, modality: Modality, digest: bytes, fingerprint: str) -> int | None:
        """The vector row of one digest, if it is embedded."""
        query = sa.select(embeddings.c.row).where(
            embeddings.c.fingerprint == fingerprint,
            embeddings.c.modality == modality,
            embeddings.c.digest == digest,
        )
        with self._database.reading() as connection:
            value = connection.execute(query).scalar()
        return None if value is None else int(value)

    def rows(
        self, modality: Modality, digests: Iterable[bytes], fingerprint: str
    ) -> dict[bytes, int]:
        """Digest -> vector row of those that are embedded."""
        found: dict[bytes, int] = {}
        with self._database.reading() as connection:
            for part in chunks(digests):
                query = sa.select(embeddings.c.digest, embeddings.c.row).where(
                    embeddings.c.fingerprint == fingerprint,
                    embeddings.c.modality == modality,
                    embeddings.c.digest.in_(part),
                )
                found.update((row.digest, row.row) for row in connection.execute(query))
        return found

    def known_digests(self, fingerprint: str) -> set[tuple[Modality, bytes]]:
        """(modality, digest) of everything that need not be encoded again."""
        query = sa.select(embeddings.c.modality, embeddings.c.digest).where(
            embeddings.c.fingerprint == fingerprint
        )
        with self._database.reading() as connection:
            return {(row.modality, row.digest) for row in connection.execute(query)}

    def head(self, fingerprint: str, *, sound: bool = False) -> int:
        """How many rows of the vector file are committed; `sound`: up to the last of those that no
        repair has forgotten."""
        end = sa.func.max(batches.c.first_row + batches.c.rows)
        query = sa.select(end).where(batches.c.fingerprint == fingerprint)
        if sound:
            query = query.where(batches.c.checksum != b"")
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar() or 0)

    def batches(self, fingerprint: str) -> list[Batch]:
        """Every batch that still counts."""
        query = sa.select(batches).where(
            batches.c.fingerprint == fingerprint, batches.c.checksum != b""
        )
        with self._database.reading() as connection:
            return [
                Batch(row.seq, row.first_row, row.rows, row.checksum)
                for row in connection.execute(query)
            ]

    def commit(self, vectors: NewVectors) -> None:
        """Commit vectors of a space that does not answer queries yet."""
        with self._database.changing() as (connection, seq):
            insert_vectors(connection, seq, vectors)

    def pending(self, fingerprint: str, after: int, limit: int) -> list[Pending]:
        """The next live items, by id, with a picture or a text that has no vector here."""
        image, text = _lacks("image", fingerprint), _lacks("text", fingerprint)
        query = (
            sa.select(items, image.label("lacks_image"), text.label("lacks_text"))
            .where(items.c.state == "live", items.c.id > after, sa.or_(image, text))
            .order_by(items.c.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [
                Pending(
                    row.id,
                    row.key,
                    row.path,
                    row.text,
                    row.image_digest,
                    row.text_digest,
                    bool(row.lacks_image),
                    bool(row.lacks_text),
                )
                for row in connection.execute(query)
            ]

    def count_pending(self, fingerprint: str) -> int:
        """How many live items have a picture or a text without a vector here."""
        lacking = sa.or_(_lacks("image", fingerprint), _lacks("text", fingerprint))
        query = sa.select(sa.func.count()).where(items.c.state == "live", lacking)
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar() or 0)

    def drop_batches(self, fingerprint: str, seqs: Sequence[int]) -> int:
        """Forget the vectors of these batches; what they stood for must be encoded again.

        Returns how many vectors are forgotten. The rows stay in the file as dead rows.
        """
        with self._database.changing() as (connection, seq):
            connection.exec_driver_sql("CREATE TEMP TABLE lost (modality, digest)")
            for batch in connection.execute(sa.select(batches).where(batches.c.seq.in_(seqs))):
                connection.exec_driver_sql(
                    "INSERT INTO lost SELECT modality, digest FROM embeddings"
                    " WHERE fingerprint = ? AND row BETWEEN ? AND ?",
                    (fingerprint, batch.first_row, batch.first_row + batch.rows - 1),
                )
                # The head must not move back over rows that other batches hold.
                connection.execute(
                    sa.update(batches).where(batches.c.seq == batch.seq).values(checksum=b"")
                )
            dropped = connection.exec_driver_sql(
                "DELETE FROM embeddings"
                " WHERE fingerprint = ? AND (modality, digest) IN (SELECT * FROM lost)",
                (fingerprint,),
            ).rowcount
            for modality in MODALITIES:
                connection.exec_driver_sql(
                    f"UPDATE items SET seq = ? WHERE state <> 'removed' AND {modality}_digest IN"
                    " (SELECT digest FROM lost WHERE modality = ?)",
                    (seq, modality),
                )
            connection.exec_driver_sql("DROP TABLE lost")
            _note_waiting(connection)
        return dropped


def insert_vectors(connection: sa.Connection, seq: int, vectors: NewVectors) -> None:
    """Part of a transaction: which rows hold what, and the batch that they came in."""
    connection.exec_driver_sql(
        "INSERT OR IGNORE INTO embeddings (fingerprint, modality, digest, row) VALUES (?, ?, ?, ?)",
        [
            (vectors.fingerprint, modality, digest, row)
            for row, (modality, digest) in enumerate(vectors.names, vectors.first_row)
        ],
    )
    connection.execute(
        sa.insert(batches).values(
            seq=seq,
            fingerprint=vectors.fingerprint,
            first_row=vectors.first_row,
            rows=len(vectors.names),
            checksum=vectors.checksum,
        )
    )


def vectors_arrived(connection: sa.Connection, seq: int, vectors: NewVectors) -> None:
    """Part of a transaction: of items that waited for these vectors indexes have to learn."""
    if not connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM waiting)").scalar():
        return
    names = list(vectors.names)
    connection.exec_driver_sql(
        "UPDATE items SET seq = ? WHERE state = 'live'"
        " AND id IN (SELECT item FROM waiting WHERE modality = ? AND digest = ?)",
        [(seq, *name) for name in names],
    )
    connection.exec_driver_sql("DELETE FROM waiting WHERE modality = ? AND digest = ?", names)


def _note_waiting(connection: sa.Connection) -> None:
    """Part of a transaction: note anew which live items wait for a vector of the current space."""
    connection.execute(sa.delete(waiting))
    own = sa.select(spaces.c.fingerprint).where(spaces.c.state == "current").scalar_subquery()
    for modality in MODALITIES:
        lacking = sa.select(sa.literal(modality), items.c[f"{modality}_digest"], items.c.id).where(
            items.c.state == "live", _lacks(modality, own)
        )
        connection.execute(sa.insert(waiting).from_select(["modality", "digest", "item"], lacking))


def _lacks(modality: Modality, fingerprint: str | sa.ScalarSelect[str]) -> sa.ColumnElement[bool]:
    digest = items.c.image_digest if modality == "image" else items.c.text_digest
    known = sa.exists().where(
        embeddings.c.fingerprint == fingerprint,
        embeddings.c.modality == modality,
        embeddings.c.digest == digest,
    )
    return sa.and_(digest.is_not(None), ~known)


def _info(row: Any) -> EncoderInfo:
    return EncoderInfo(row.name, row.fingerprint, row.dim, row.complete_at)
