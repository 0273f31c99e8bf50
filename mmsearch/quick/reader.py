"""Answers a plain query of one text or one picture without the collection.

It reads the catalog's own tables, in one transaction, and gives what `Collection.answer` gives:
tests/test_cold_query.py holds the two together. Whatever it is not sure of (another schema, codes
that are missing or too far behind, a relevance that was not measured yet) it leaves to that one:
slower, and the same answer.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mmsearch.encoders.kept_tower import read_kept
from mmsearch.errors import MmsearchError
from mmsearch.quick.codes import Codes
from mmsearch.quick.index import QuickIndex
from mmsearch.quick.remembered import Remembered
from mmsearch.ranking.calibrate import DEPTH, SIZE_CHANGED, Background, no_match

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmsearch.types import Ids, Modality, Vectors

__all__ = ["COUNTED", "SIZE_CHANGED", "QuickAnswer", "QuickHit", "answers"]

# The schema of the catalog that this module reads, and which of its tallies count items.
COUNTED = {8: "state = 'live' AND NOT further"}
_KINDS: tuple[Modality, ...] = ("image", "text")  # types.MODALITIES takes a while to import
# More of them are in the next snapshot; replaying these takes 50 ms.
MOST_CHANGES = 10_000


class UnsureError(Exception):
    """The ordinary way has to answer. Never seen outside of `answers`."""


class QuickHit(NamedTuple):
    """The fields of `mmsearch.Hit`, whose module takes longer to import than a search."""

    rank: int
    score: float
    key: str
    modality: Modality
    path: str | None
    text: str | None
    group: str | None
    attributes: dict[str, Any]
    relevance: float | None
    variants: None = None
    parts: None = None


class QuickAnswer(NamedTuple):
    """What `mmsearch.Answer` says of such a query. `remember` is to be called when there is time:
    it keeps the query's vector for the next one."""

    hits: tuple[QuickHit, ...]
    no_match: str | None
    remember: Callable[[], None]


class Wanted(NamedTuple):
    """What is asked for beside the query itself."""

    k: int
    to: Modality | None
    where: str | None


class Asked(NamedTuple):
    """A query's own modality, its unit vector (d,), and the words to look for beside it ("": none);
    how many items are wanted, and among which (ids, ascending; None: all)."""

    of: Modality
    vector: Vectors
    words: str
    k: int
    allowed: Ids | None


class _Space(NamedTuple):
    """The current encoder's."""

    fingerprint: str
    dim: int
    complete_at: int


def answers(
    root: Path, query: str | Path, k: int, to: Modality | None = None, where: str | None = None
) -> list[QuickAnswer] | None:
    """What the collection in the directory `root` answers, never nothing; None: ask the other way.

    `query` is a text, or the path of a picture. `to` None is the collection's default, and there a
    folder of photos that also holds texts gives two answers to a picture, pictures and texts.
    `where` is a filter (docs/filters.md).
    """
    # What damaged files raise, of any kind, and our own errors: too many words, a filter that
    # cannot be read, no picture. The ordinary way tells the user what is wrong.
    wanted = Wanted(k, to, where)
    try:
        catalog = root / "catalog.sqlite3"
        try:
            return _ask(f"{catalog.as_uri()}?mode=ro", root, query, wanted)
        except sqlite3.OperationalError as error:
            from mmsearch.catalog.read_only import frozen

            still = frozen(catalog, error)
            found = still and _ask(still.uri, root, query, wanted)
            return found if still and still.unchanged() else None
    except (
        UnsureError,
        MmsearchError,
        OSError,
        sqlite3.Error,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
    ):
        return None


def _ask(uri: str, root: Path, query: str | Path, wanted: Wanted) -> list[QuickAnswer]:
    with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
        connection.execute("BEGIN")
        seq, counted = _facts(connection)
        space = _current(connection)
        counts = None if wanted.to else _counts(connection, counted)
        reader = _Reader(root, connection, space, seq)
        if counts and not counts["items"]:
            raise UnsureError
        if isinstance(query, Path):
            return _answer_picture(reader, query, wanted, counts)
        return [_answer_text(reader, query, wanted, counts)]


def _answer_text(
    reader: _Reader, text: str, wanted: Wanted, counts: Mapping[str, int] | None
) -> QuickAnswer:
    remembered = Remembered(Path(f"{reader.stem}queries.sqlite3"), reader.space.dim)
    query = remembered.get(text)
    if query is None:
        query = read_kept(reader.space.fingerprint).encode_texts([text])[0]
    vector = query
    asked = Asked("text", query, text, wanted.k, reader.allowed(wanted.where))
    if counts is None or _searches_pictures(counts):
        hits, nothing = reader.by_vector(asked, wanted.to or "image")
    else:
        hits, nothing = reader.by_vectors_and_words(asked, counts)
    return QuickAnswer(tuple(hits), nothing, lambda: remembered.put(text, vector))


def _answer_picture(
    reader: _Reader, path: Path, wanted: Wanted, counts: Mapping[str, int] | None
) -> list[QuickAnswer]:
    from mmsearch.quick.picture import encode

    query = encode(path, reader.space.fingerprint, reader.precision())
    if query is None:
        raise UnsureError
    asked = Asked("image", query, "", wanted.k, reader.allowed(wanted.where))
    if counts is None:
        found = [reader.by_vector(asked, wanted.to or "image")]
    elif _has_both(counts):
        found = [reader.by_vectors_and_words(asked, counts)]
    else:
        found = [reader.by_vector(asked, kind) for kind in _KINDS if counts[f"{kind}s"]]
    return [QuickAnswer(tuple(hits), nothing, _nothing_to_remember) for hits, nothing in found]


def _nothing_to_remember() -> None:
    pass


class _Reader:
    """Ranks items of one space of one catalog, as of the sequence number `seq`."""

    def __init__(self, root: Path, catalog: sqlite3.Connection, space: _Space, seq: int) -> None:
        self.stem = root / "index" / f"{space.fingerprint}-"
        self.catalog = catalog
        self.space = space
        self._seq = seq
        path = root / "vectors" / f"{space.fingerprint}.f16"
        # Rows that a crash cut short belong to nobody yet.
        shape = (path.stat().st_size // (2 * space.dim), space.dim)
        self._halves = np.memmap(path, np.float16, "r", shape=shape)
        self._indexes: dict[Modality, QuickIndex] = {}

    def allowed(self, where: str | None) -> Ids | None:
        """(n,) int64 ascending ids of the live items that a filter leaves; None without one."""
        if where is None:
            return None
        from mmsearch.filters import live_items, parse, schema_of

        types = self.catalog.execute("SELECT name, type FROM attribute_types")
        query = live_items(parse(where, schema_of(types)))
        found = self.catalog.execute(query.text, query.parameters)
        return np.array(found.fetchall(), np.int64).ravel()

    def precision(self) -> str | None:
        """The one that somebody chose for pictures (catalog.spaces)."""
        name = f"precision {self.space.fingerprint}"
        found = self.catalog.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return found and str(found[0])

    def by_vector(self, asked: Asked, modality: Modality) -> tuple[list[QuickHit], str | None]:
        query, k = asked.vector, asked.k
        index = self._index(modality)
        size, background = _background(self._measured(asked.of, modality))
        low, high = SIZE_CHANGED
        if not size * low <= len(index) <= size * high:
            raise UnsureError
        scores, ids = index.nearest(query, max(k, DEPTH), asked.allowed)
        if not len(ids):
            raise UnsureError  # the ordinary way knows why there is nothing
        relevance: list[float | None] = [None] * k
        nothing = None
        if background is not None:
            judged = background.relevance(
                query, scores.astype(np.float64), index.vectors(ids[:DEPTH])
            )
            judged = np.clip(judged, 1e-9, 1 - 1e-9)  # as search.rank's log-odds have it
            relevance = [float(share) for share in judged[:k]]
            nothing = no_match(float(judged.max()), background.least)
        return self._hits(ids[:k].tolist(), scores.tolist(), relevance, (modality,)), nothing

    def by_vectors_and_words(
        self, asked: Asked, counts: Mapping[str, int]
    ) -> tuple[list[QuickHit], str | None]:
        from mmsearch.quick.hybrid import best
        from mmsearch.search.defaults import Defaults

        found = best(asked, Defaults.of(counts), self._index, self.catalog, self._measured)
        hits = self._hits(found.ids, found.scores, found.relevances, found.modalities)
        return hits, found.no_match

    def _index(self, modality: Modality) -> QuickIndex:
        if modality not in self._indexes:
            codes = Codes(Path(f"{self.stem}{modality}.signs"), self.space.dim)
            if not self.space.complete_at <= codes.seq <= self._seq:
                raise UnsureError
            changes = _changes(self.catalog, self.space, modality, codes.seq)
            self._indexes[modality] = QuickIndex(codes, changes, self._halves)
        return self._indexes[modality]

    def _measured(self, of: Modality, to: Modality) -> Path:
        return Path(f"{self.stem}{of}-{to}.relevance.json")

    def _hits(
        self,
        ids: Sequence[int],
        scores: Sequence[float],
        relevances: Sequence[float | None],
        modalities: Sequence[Modality],
    ) -> list[QuickHit]:
        if not ids:
            raise UnsureError  # the ordinary way knows why there is nothing
        items = _items(self.catalog, self.space, ids)
        hits = []
        for rank, (item, score, share) in enumerate(zip(ids, scores, relevances, strict=False), 1):
            found = items.get(item)
            if found is None:
                raise UnsureError
            rows: dict[Modality, int | None] = {"image": found[0], "text": found[1]}
            if any(self._index(one).row(item) != rows[one] for one in modalities):
                raise UnsureError  # codes that are damaged, or of another catalog
            has: dict[Modality, int] = {"image": found[2], "text": found[3]}
            # What of the item was compared; its picture, where both were (as search.show has it).
            kind: Modality = "image" if has["image"] else "text"
            if len(modalities) == 1 and has[modalities[0]]:
                (kind,) = modalities
            key, path, text, group, attributes = found[4:]
            share = None if share is None else round(share, 4)
            told = json.loads(attributes)
            score = round(score, 6) + 0.0  # as search.hits has it
            hits.append(QuickHit(rank, score, key, kind, path, text, group, told, share))
        return hits


def _facts(catalog: sqlite3.Connection) -> tuple[int, str]:
    """The sequence number of a catalog that this module can read, and which tallies to count."""
    found = dict(catalog.execute("SELECT name, value FROM meta WHERE name IN ('schema', 'seq')"))
    return int(found["seq"]), COUNTED[int(found["schema"])]


def _current(catalog: sqlite3.Connection) -> _Space:
    row = catalog.execute(
        "SELECT fingerprint, dim, complete_at FROM spaces WHERE state = 'current'"
    ).fetchone()
    if row is None:
        raise UnsureError
    return _Space(*row)


def _changes(
    catalog: sqlite3.Connection, space: _Space, modality: Modality, since: int
) -> dict[int, int | None]:
    """Item -> row of its vector, or None without one, of all that changed after `since`."""
    changes = catalog.execute(
        f"SELECT i.id, CASE WHEN i.state = 'live' THEN e.row END FROM items i "
        f"LEFT JOIN embeddings e ON e.fingerprint = ? AND e.modality = ? "
        f"AND e.digest = i.{modality}_digest WHERE i.seq > ? LIMIT ?",
        (space.fingerprint, modality, since, MOST_CHANGES + 1),
    ).fetchall()
    if len(changes) > MOST_CHANGES:
        raise UnsureError
    return dict(changes)


def _counts(catalog: sqlite3.Connection, counted: str) -> dict[str, int]:
    """What search.defaults decides by."""
    items, images, texts = catalog.execute(
        "SELECT sum(items), sum(items * has_image), sum(items * has_text) "
        f"FROM tallies WHERE {counted}"
    ).fetchone()
    return {"items": items, "images": images, "texts": texts}


def _searches_pictures(counts: Mapping[str, int]) -> bool:
    """Whether search.defaults takes pictures alone; its module takes longer than such a search."""
    return bool(counts["images"]) and not _has_both(counts)


def _has_both(counts: Mapping[str, int]) -> bool:
    """Whether search.defaults takes pictures and texts together."""
    both = counts["images"] + counts["texts"] - counts["items"]
    return bool(both) and 2 * both >= counts["items"]


def _background(path: Path) -> tuple[int, Background | None]:
    """What search.relevance measured, and on how many items."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    background = stored["background"]
    return int(stored["size"]), background and Background.from_json(background)


def _items(
    catalog: sqlite3.Connection, space: _Space, ids: Sequence[int]
) -> dict[int, tuple[Any, ...]]:
    """Of the live ones, by id: rows of the vectors of its picture and text, whether it has each,
    key, path, text, group, attributes."""
    marks = ", ".join("?" * len(ids))
    vector = "(SELECT row FROM embeddings WHERE fingerprint = ? AND modality = ? AND digest = {})"
    found = catalog.execute(
        f"SELECT id, {vector.format('image_digest')}, {vector.format('text_digest')},"
        " image_digest IS NOT NULL, text_digest IS NOT NULL,"
        ' key, path, text, "group", attributes FROM items'
        f" WHERE state = 'live' AND id IN ({marks})",
        (space.fingerprint, "image", space.fingerprint, "text", *ids),
    )
    return {item: tuple(row) for item, *row in found}
