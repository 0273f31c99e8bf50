"""Answers a plain query of one text by the vectors of one modality, without the collection.

It reads the catalog's own tables, in one transaction, and gives what `Collection.answer` gives:
tests/test_cold_query.py holds the two together. Whatever it is not sure of (another schema, codes
that are missing or too far behind, a relevance that was not measured yet, a collection that
searches by words) it leaves to that one: slower, and the same answer.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import numpy as np

from mmsearch.encoders.kept_tower import read_kept
from mmsearch.halves import to_float32
from mmsearch.quick.codes import Codes, score_rows
from mmsearch.quick.remembered import Remembered
from mmsearch.ranking.calibrate import DEPTH, SIZE_CHANGED, Background, no_match

if TYPE_CHECKING:
    from mmsearch.types import Ids, Modality, Vectors

__all__ = ["COUNTED", "SIZE_CHANGED", "QuickAnswer", "QuickHit", "answer"]

# The schema of the catalog that this module reads, and which of its tallies count items.
COUNTED = {7: "state = 'live' AND NOT further"}
# More of them are in the next snapshot; replaying these takes 50 ms.
MOST_CHANGES = 10_000


class UnsureError(Exception):
    """The ordinary way has to answer. Never seen outside of `answer`."""


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


class _Space(NamedTuple):
    """The current encoder's."""

    fingerprint: str
    dim: int
    complete_at: int


def answer(root: Path, text: str, k: int, to: Modality | None = None) -> QuickAnswer | None:
    """The answer of the collection in the directory `root`; None: ask the ordinary way.

    `to` None is the collection's default.
    """
    # What damaged files raise, of any kind; the ordinary way tells the user what is wrong.
    try:
        uri = f"file:{quote(str(root / 'catalog.sqlite3'))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
            connection.execute("BEGIN")
            return _answer(root, connection, text, k, to)
    except (
        UnsureError,
        OSError,
        sqlite3.Error,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
    ):
        return None


def _answer(
    root: Path, catalog: sqlite3.Connection, text: str, k: int, to: Modality | None
) -> QuickAnswer:
    seq, counted = _facts(catalog)
    space = _current(catalog)
    modality: Modality = to or "image"
    stem = root / "index" / f"{space.fingerprint}-"
    codes = Codes(Path(f"{stem}{modality}.signs"), space.dim)
    if not space.complete_at <= codes.seq <= seq:
        raise UnsureError
    if to is None and not _searches_pictures(catalog, counted):
        raise UnsureError
    changes = _changes(catalog, space, modality, codes.seq)
    background = _background(Path(f"{stem}text-{modality}.relevance.json"))
    remembered = Remembered(Path(f"{stem}queries.sqlite3"), space.dim)
    query = remembered.get(text)
    if query is None:
        query = read_kept(space.fingerprint).encode_texts([text])[0]
    path = root / "vectors" / f"{space.fingerprint}.f16"
    # Rows that a crash cut short belong to nobody yet.
    shape = (path.stat().st_size // (2 * space.dim), space.dim)
    halves = np.memmap(path, np.float16, "r", shape=shape)
    ids, rows, scores, size = _nearest(codes, changes, halves, query, max(k, DEPTH))
    if not len(ids):
        raise UnsureError  # the ordinary way knows why there is nothing
    low, high = SIZE_CHANGED
    if not background[0] * low <= size <= background[0] * high:
        raise UnsureError
    relevance: list[float | None] = [None] * k
    nothing = None
    if background[1] is not None:
        best = to_float32(halves[rows[:DEPTH]])
        judged = background[1].relevance(query, scores.astype(np.float64), best)
        judged = np.clip(judged, 1e-9, 1 - 1e-9)  # as search.rank's log-odds have it
        relevance = [round(float(share), 4) for share in judged[:k]]
        nothing = no_match(float(judged.max()), background[1].least)
    places = {int(item): place for place, item in enumerate(ids[:k])}
    hits = []
    for row in _items(catalog, space, modality, list(places)):
        place = places[row[0]]
        if row[1] != rows[place]:
            raise UnsureError  # the codes speak of another vector: damaged, or of another catalog
        hits.append(
            QuickHit(
                place + 1,
                round(float(scores[place]), 6),
                row[2],
                modality,
                row[3],
                row[4],
                row[5],
                json.loads(row[6]),
                relevance[place],
            )
        )
    if len(hits) != len(places):
        raise UnsureError
    hits.sort(key=lambda hit: hit.rank)
    vector = query
    return QuickAnswer(tuple(hits), nothing, lambda: remembered.put(text, vector))


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


def _searches_pictures(catalog: sqlite3.Connection, counted: str) -> bool:
    """Whether search.defaults takes pictures alone."""
    items, images, both = catalog.execute(
        "SELECT sum(items), sum(items * has_image), sum(items * has_image * has_text) "
        f"FROM tallies WHERE {counted}"
    ).fetchone()
    return bool(images) and not (both and 2 * both >= items)


def _background(path: Path) -> tuple[int, Background | None]:
    """What search.relevance measured, and on how many items."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    background = stored["background"]
    return int(stored["size"]), background and Background.from_json(background)


def _nearest(
    codes: Codes,
    changes: dict[int, int | None],
    halves: np.ndarray[Any, np.dtype[np.float16]],
    query: Vectors,
    k: int,
) -> tuple[Ids, Ids, Vectors, int]:
    """Ids, rows and scores of the k best, ties by ascending id, and how many there are in all."""
    changed = np.fromiter(changes, np.int64, len(changes))
    without = np.flatnonzero(np.isin(codes.ids, changed)) if len(changed) else changed
    new = {item: row for item, row in changes.items() if row is not None}
    new_ids = np.fromiter(new, np.int64, len(new))
    new_rows = np.fromiter(new.values(), np.int64, len(new))
    size = len(codes.ids) - len(without) + len(new)
    places, scores = codes.possible(
        query, k, lambda places: score_rows(halves, codes.rows[places], query), without
    )
    ids = np.concatenate([codes.ids[places], new_ids])
    rows = np.concatenate([codes.rows[places], new_rows])
    scores = np.concatenate([scores, score_rows(halves, new_rows, query)])
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], rows[order], scores[order], size


def _items(
    catalog: sqlite3.Connection, space: _Space, modality: Modality, ids: list[int]
) -> list[Any]:
    """Rows (id, row of its vector, key, path, text, group, attributes) of the live ones."""
    marks = ", ".join("?" * len(ids))
    return catalog.execute(
        f'SELECT i.id, e.row, i.key, i.path, i.text, i."group", i.attributes FROM items i '
        f"JOIN embeddings e ON e.fingerprint = ? AND e.modality = ? "
        f"AND e.digest = i.{modality}_digest WHERE i.state = 'live' AND i.id IN ({marks})",
        (space.fingerprint, modality, *ids),
    ).fetchall()
