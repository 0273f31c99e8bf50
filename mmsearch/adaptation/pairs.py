"""Pairs to learn from: a picture and a text that belong together, from a table or a collection."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.errors import TableError, UsageError
from mmsearch.tables.columns import (
    GROUP_COLUMNS,
    IMAGE_COLUMNS,
    JOINED_COLUMNS,
    TEXT_COLUMNS,
    Row,
    columns_of,
)
from mmsearch.tables.files import TableProblem, read_table
from mmsearch.tables.sources import take_text
from mmsearch.tables.values import clean_text
from mmsearch.types import Failure

if TYPE_CHECKING:
    from mmsearch.collection import Collection

# Clicks, purchases or any other count of how often a picture was right for a text.
WEIGHT_COLUMNS = ("weight", "clicks", "count")


@dataclass(frozen=True)
class Pair:
    """One picture and one text that describes it; `weight` says how much the pair counts.

    `key` names where it came from, for reports. Pairs of one `group` (pictures of one product,
    queries of one session) are never torn apart by the split.
    """

    key: str
    image: Path
    text: str
    group: str | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Pairs:
    """What was read, and the rows that could not be."""

    pairs: tuple[Pair, ...]
    failures: tuple[Failure, ...]


def read_pairs(table: Path) -> Pairs:
    """The pairs of a csv, jsonl or parquet file with an image and a text column.

    Names are those that `mmsearch index` takes (`image`, `text`, `caption`, ...), then `group` and
    `weight` (or `clicks`). A list of captions gives a pair for each. Pictures are looked up
    relative to the table's folder. A row without one of both, or with a weight that is no positive
    number, is a Failure. Raises TableError for a file that cannot be read or lacks a column.
    """
    pairs: list[Pair] = []
    failures: list[Failure] = []
    for number, row in _with_columns(table):
        key = f"{table.name}#{number}"
        found = row if isinstance(row, TableProblem) else _pairs_of(row, key, table.parent)
        if isinstance(found, TableProblem):
            failures.append(Failure(key, found.reason))
        else:
            pairs += found
    return Pairs(tuple(pairs), tuple(failures))


def collection_pairs(collection: Collection) -> Pairs:
    """The live items of a collection that have both a picture and a text. Reads, never writes."""
    from mmsearch.scan import path_of

    items = [item for item in collection.vectors("image")[0] if item.path and item.text]
    if not items:
        raise UsageError(
            f"{collection.path} holds no item with both a picture and a text: index captions "
            "beside the pictures (a.txt for a.jpg), or train from a table of pairs"
        )
    pairs = (
        Pair(item.key, path_of(item.path, collection.base), item.text, item.group)
        for item in sorted(items, key=lambda item: item.id)
        if item.path is not None and item.text is not None
    )
    return Pairs(tuple(pairs), ())


def _with_columns(table: Path) -> Iterator[tuple[int, Row | TableProblem]]:
    """The rows of `table`, once all of its columns have shown that they can hold pairs."""
    rows = list(read_table(table))
    columns = {name.strip().lower() for _, row in rows if isinstance(row, dict) for name in row}
    wanted: Iterable[tuple[str, tuple[str, ...]]] = (
        ("image", IMAGE_COLUMNS),
        ("text", TEXT_COLUMNS + JOINED_COLUMNS),
    )
    for what, names in wanted:
        if rows and not columns.intersection(names):
            found = ", ".join(repr(name) for name in sorted(columns)[:20]) or "none"
            raise TableError(
                f"{table}: no {what} column among its columns ({found}); name one of them {what}"
            )
    yield from rows


def _pairs_of(row: Row, key: str, folder: Path) -> list[Pair] | TableProblem:
    cells = {name.strip().lower(): value for name, value in row.items()}
    image, texts = _first(cells, IMAGE_COLUMNS), _texts(cells)
    weight = _weight(_first(cells, WEIGHT_COLUMNS))
    if image is None or not isinstance(image, str):
        return TableProblem("no picture in it; fill in its path or delete the row")
    if not texts:
        return TableProblem("its text is empty; fill it in or delete the row")
    if weight is None:
        given = _first(cells, WEIGHT_COLUMNS)
        return TableProblem(f"its weight {given!r} is no positive number; correct or delete it")
    path = Path(os.path.abspath(folder / image.strip()))
    group = _first(cells, GROUP_COLUMNS)
    name = None if group is None else clean_text(str(group))
    return [Pair(key, path, text, name, weight) for text in texts]


def _first(cells: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first of these cells that is not empty, else None."""
    for name in names:
        value = cells.get(name)
        if value is not None and value != [] and str(value).strip():
            return value
    return None


def _texts(cells: Mapping[str, Any]) -> list[str]:
    """Each caption, or else what `index` makes of title and description."""
    found = _first(cells, TEXT_COLUMNS)
    if found is None:
        found = take_text(dict(cells), columns_of(tuple(cells)))
    values = found if isinstance(found, list) else [found]
    cleaned = (clean_text(str(value)) for value in values if value is not None)
    return list(dict.fromkeys(text for text in cleaned if text))


def _weight(value: Any) -> float | None:
    """None for what is no positive finite number; an empty cell counts once."""
    if value is None:
        return 1.0
    try:
        weight = float(value)
    except (TypeError, ValueError):
        return None
    return weight if math.isfinite(weight) and weight > 0 else None
