"""What is known: items and failures, every change in one transaction with a sequence number."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from mmsearch import collector
from mmsearch.catalog import lexical
from mmsearch.catalog.database import CHUNK, Database, chunks, fact
from mmsearch.catalog.prepared import prepare
from mmsearch.catalog.records import Content, EncoderInfo, StoredItem, Write
from mmsearch.catalog.schema import attribute_types, embeddings, failures, items, runs
from mmsearch.catalog.spaces import Spaces, insert_vectors, vectors_arrived
from mmsearch.catalog.wording import (
    OUTLIVED_TYPES,
    require_own_unicode,
    words_anew,
    words_are_astray,
)
from mmsearch.catalog.writing import set_state, write_attributes, write_items
from mmsearch.types import FileStamp, Modality

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mmsearch.filters import Filter, ValueType
    from mmsearch.types import Ids

__all__ = ["Catalog", "EncoderInfo", "StoredItem", "Write"]


class Catalog:
    """Reads and writes of one catalog file. Raises StorageError, SchemaError, CorruptionError."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self._database = Database(path, create=create)
        self.spaces = Spaces(self._database)
        self._lexical = lexical.Lexical(self._database)

    def close(self) -> None:
        self._database.close()

    def seq(self) -> int:
        """The number of the last committed change; an index with the same number is current."""
        with self._database.reading() as connection:
            return int(fact(connection, "seq") or 0)

    # ---- writing

    @collector.paused()
    def commit(self, write: Write) -> int:
        """Apply `write` in one transaction; returns the new sequence number.

        Vectors belong to the current space, and come with the items that need them or before:
        of others only those that are waiting (schema.waiting) change as well.
        """
        prepared = [*write.prepared, prepare(write.items)]
        with self._database.changing() as (connection, seq):
            require_own_unicode(connection, seq)
            for rows in prepared:
                write_items(connection, seq, rows)
            for state, ids in write.states.items():
                set_state(connection, seq, state, ids)
            if write.vectors is not None:
                insert_vectors(connection, seq, write.vectors)
                vectors_arrived(connection, seq, write.vectors)
            if write.recovered and connection.exec_driver_sql(_ANY_FAILED).scalar():
                connection.exec_driver_sql(
                    "DELETE FROM failures WHERE key IN " + _GIVEN, (_json(write.recovered),)
                )
            if write.failures:
                statement = upsert(failures)
                columns = ("reason", "size_bytes", "mtime_ns", "origin")
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=["key"],
                        set_={name: statement.excluded[name] for name in columns},
                    ),
                    write.failures,
                )
        return seq

    def set_attributes(
        self,
        attributes: Mapping[int, Mapping[str, Any]],
        were: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        """Give items other attributes, by id, in one transaction.

        `were` are those that they had, as far as the caller knows them: where only numbers differ,
        their words need no look.
        What their rows told of is kept beside them. The items' own sequence numbers stay: an index
        of vectors has nothing to learn of it.
        """
        with self._database.changing() as (connection, seq):
            require_own_unicode(connection, seq)
            write_attributes(connection, seq, attributes, were or {})

    def forget_types(self) -> None:
        """Forget that an attribute had values of another type once, when no live item has one."""
        with self._database.reading() as connection:
            outlived = connection.exec_driver_sql(OUTLIVED_TYPES).all()
        if outlived:
            with self._database.changing() as (connection, _seq):
                for name, of_type in outlived:
                    here = attribute_types.c.name == name, attribute_types.c.type == of_type
                    connection.execute(sa.delete(attribute_types).where(*here))

    def record_run(self, report: Mapping[str, Any]) -> None:
        with self._database.writing() as connection:
            finished = datetime.now(UTC).isoformat(timespec="seconds")
            connection.execute(sa.insert(runs).values(finished_at=finished, report=dict(report)))

    # ---- reading

    def encoder(self) -> EncoderInfo | None:
        """The encoder whose space answers queries; None until the first one was loaded."""
        return self.spaces.current()

    def row(self, modality: Modality, digest: bytes, fingerprint: str) -> int | None:
        """The vector row of one digest, if it is embedded."""
        return self.spaces.row(modality, digest, fingerprint)

    def stored(self) -> Iterator[StoredItem]:
        """Every item that is not removed."""
        with self._database.reading() as connection:
            found = connection.execution_options(yield_per=CHUNK).exec_driver_sql(
                f"{_SELECT} state <> 'removed'"
            )
            yield from starmap(StoredItem, found)

    def item(self, key: str) -> StoredItem | None:
        return self.by_key([key]).get(key)

    def by_key(self, keys: Iterable[str]) -> dict[str, StoredItem]:
        """Items by key, live or missing; unknown keys are left out."""
        with self._database.reading() as connection:
            rows = connection.exec_driver_sql(f"{_SELECT} key IN {_GIVEN}", (_json(keys),)).all()
            return {item.key: item for item in starmap(StoredItem, rows)}

    def further_pictures(self, keys: Iterable[str]) -> dict[str, list[StoredItem]]:
        """By key, the items, live or missing, that are further pictures of that one."""
        found: dict[str, list[StoredItem]] = {}
        if not self.counts()["further_pictures"]:
            return found
        among = f"{_SELECT} picture_of IN {_GIVEN} ORDER BY id"
        with self._database.reading() as connection:
            for item in starmap(StoredItem, connection.exec_driver_sql(among, (_json(keys),))):
                found.setdefault(str(item.picture_of), []).append(item)
        return found

    def items(self, ids: Iterable[int]) -> dict[int, StoredItem]:
        """Live items by id; ids that are not live are left out."""
        among = f"{_SELECT} id IN {_GIVEN} AND state = 'live'"
        with self._database.reading() as connection:
            rows = connection.exec_driver_sql(among, (_json(ids),)).all()
            return {item.id: item for item in starmap(StoredItem, rows)}

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
            .order_by(sa.text(_by_id(since)))
        )
        with self._database.reading() as connection:
            result = connection.execution_options(yield_per=CHUNK).execute(query)
            for part in result.partitions(CHUNK):
                yield [(item, row if state == "live" else None) for item, state, row in part]

    def vector_rows(
        self, modality: Modality, fingerprint: str
    ) -> Iterator[Sequence[Sequence[int]]]:
        """Chunks of (item id, vector row) of all live items that have such a vector, by id."""
        # CROSS JOIN keeps SQLite from going by digests and sorting what it finds.
        query = f"""SELECT items.id, embeddings.row FROM items CROSS JOIN embeddings
            ON embeddings.digest = items.{modality}_digest
            AND embeddings.modality = ? AND embeddings.fingerprint = ?
            WHERE items.state = 'live' AND items.{modality}_digest IS NOT NULL ORDER BY items.id"""
        with self._database.reading() as connection:
            result = connection.exec_driver_sql(query, (modality, fingerprint))
            yield from result.partitions(CHUNK)

    def count_changes(self, since: int) -> int:
        """How many items an index that has reached `since` would have to replay."""
        query = sa.select(sa.func.count()).where(items.c.seq > since)
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar() or 0)

    # ---- choosing by words and conditions

    def candidates(self, filter: Filter) -> Ids:
        """(n,) int64 ascending ids of the live items for which `filter` is true.

        See filters.live_items. columns.Columns answers the same in milliseconds where many filters
        are asked.
        """
        import numpy as np

        from mmsearch.filters import live_items

        sql = live_items(filter)
        with self._database.reading() as connection:
            found = connection.exec_driver_sql(sql.text, sql.parameters).scalars()
            return np.fromiter(found, np.int64)

    def attribute_types(self) -> dict[str, set[ValueType]]:
        """The schema for filters.parse: each attribute's types, as `forget_types` left them."""
        from mmsearch.filters import schema_of

        with self._database.reading() as connection:
            found = connection.execute(sa.select(attribute_types))
            return schema_of((name, of_type) for name, of_type in found)

    def lexical_search(
        self, text: str, k: int, allowed: Ids | None = None, *, prefix: bool = False
    ) -> list[tuple[int, float]]:
        """The k best live items by their words, as (id, score), ties by ascending id.

        The score is BM25 (Robertson et al. 1994, k1 = 1.2, b = 0.75, as SQLite's FTS5 computes it)
        over text, attributes and key, larger for what fits better. One word in common is enough to
        be found, rare words count most. A word that no item has is replaced by known ones that
        differ in a letter or two, the first fts.MAX_CORRECTED such words of a query. `prefix`: the
        last word may be unfinished. `allowed` (ids) restricts the answer. No text is ever read as
        syntax. Raises UsageError for a query of more than fts.MAX_WORDS words.
        """
        return self._lexical.search(text, k, allowed, prefix=prefix)

    def word_coverage(self, text: str, ids: Ids) -> npt.NDArray[np.float64]:
        """(n,) in [0, 1]: how much of the query's words each of the live items `ids` has, rare
        words counting more (bm25.coverage). Words are taken for others as in `lexical_search`.
        """
        return self._lexical.coverage(text, ids)

    def explain_words(self, text: str, *, prefix: bool = False) -> list[lexical.WordMatch]:
        """What `lexical_search` takes each word of a query for."""
        return self._lexical.explain(text, prefix=prefix)

    def content_changes(self, since: int) -> Iterator[list[Content]]:
        """Chunks, by id, of what items hold that changed after `since`; 0: of all items.

        Items that went come as not live, so that a copy learns of it.
        """
        # As text and plain rows: a select's own take three times as long to read.
        query = f"""SELECT id, state = 'live', "group", attributes FROM items
            WHERE {"content_seq > ?" if since else "state <> 'removed'"} ORDER BY {_by_id(since)}"""
        with self._database.reading() as connection:
            rows = connection.execution_options(yield_per=CHUNK)
            result = rows.exec_driver_sql(query, (since,) if since else ())
            for part in result.partitions(CHUNK):
                yield list(starmap(Content, part))

    def field(
        self, name: Literal["key", "text", "path"], since: int
    ) -> Iterator[tuple[int, str | None]]:
        """(id, value) of one field of the live items whose content changed after `since`."""
        query = sa.select(items.c.id, items.c[name]).where(items.c.state == "live")
        if since:
            query = query.where(items.c.content_seq > since)
        with self._database.reading() as connection:
            for row in connection.execution_options(yield_per=CHUNK).execute(query):
                yield row[0], row[1]

    def paths_in_use(self, digests: Iterable[bytes]) -> set[str]:
        """Paths of the items, live or missing, whose picture has one of these digests."""
        found: set[str] = set()
        with self._database.reading() as connection:
            for part in chunks(digests):
                query = sa.select(items.c.path).where(
                    items.c.image_digest.in_(part), items.c.state != "removed"
                )
                found.update(path for path in connection.execute(query).scalars() if path)
        return found

    def known_failures(self) -> dict[str, tuple[str, FileStamp | None, str]]:
        """key -> (reason, stamp at which it failed, key of what told of it)."""
        with self._database.reading() as connection:
            return {
                row.key: (
                    row.reason,
                    None if row.size_bytes is None else FileStamp(row.size_bytes, row.mtime_ns),
                    row.origin or row.key,
                )
                for row in connection.execute(sa.select(failures))
            }

    def counts(self) -> dict[str, int]:
        """items, images, texts (live), missing, failures.

        An item with several pictures counts as one with a picture, and each further one among
        `further_pictures`.
        """
        with self._database.reading() as connection:
            found = connection.exec_driver_sql(
                "SELECT state, has_image, has_text, further, items FROM tallies"
            ).all()
            failed = connection.execute(sa.select(sa.func.count()).select_from(failures)).scalar()
        further = sum(row.items for row in found if row.further and row.state == "live")
        found = [row for row in found if not row.further]
        live = [row for row in found if row.state == "live"]
        return {
            "items": sum(row.items for row in live),
            "images": sum(row.items for row in live if row.has_image),
            "texts": sum(row.items for row in live if row.has_text),
            "missing": sum(row.items for row in found if row.state == "missing"),
            "further_pictures": further,
            "failures": int(failed or 0),
        }

    def last_run(self) -> dict[str, Any] | None:
        with self._database.reading() as connection:
            row = connection.execute(sa.select(runs).order_by(runs.c.id.desc()).limit(1)).first()
        return {"finished_at": row.finished_at, **row.report} if row else None

    def words_are_astray(self) -> bool:
        """Whether words of items are lost, or found that no item has any more."""
        with self._database.reading() as connection:
            return words_are_astray(connection)

    def make_words_anew(self) -> None:
        with self._database.changing() as (connection, seq):
            words_anew(connection, seq)

    def integrity(self) -> str:
        """SQLite's own verdict; "ok" when nothing is wrong."""
        with self._database.reading() as connection:
            return str(connection.exec_driver_sql("PRAGMA quick_check").scalar())


def _by_id(since: int) -> str:
    """The order of ids, for a query of what changed after `since`.

    To save itself a sort by id SQLite would read all items, 18 ms of 100,000, for one change; a
    sum is no column that it has in order, so it takes the index of changes and sorts those.
    """
    return "items.id + 0" if since else "items.id"


# As text: they are part of every query, and building a select would take longer than running it.
# The columns are those of StoredItem.
_SELECT = """SELECT id, "key", state, origin, "group", path, text, attributes, image_digest,
    text_digest, size_bytes, mtime_ns, told, picture_of, url FROM items WHERE"""
_ANY_FAILED = "SELECT EXISTS (SELECT 1 FROM failures)"
_GIVEN = "(SELECT value FROM json_each(?))"


def _json(values: Iterable[int | str]) -> str:
    """What stands for the place of `_GIVEN`."""
    return json.dumps(list(values))
