"""Items that a program hands over as dicts, as sources like the rows of a table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mmsearch.errors import ImageError
from mmsearch.images import read
from mmsearch.ingest.kept import keep_picture
from mmsearch.ingest.plan import HANDED_OVER
from mmsearch.layout import Layout
from mmsearch.tables.columns import (
    IMAGE_COLUMNS,
    KEY_COLUMNS,
    by_folded,
    picture_columns,
    take_name,
)
from mmsearch.tables.sources import NO_FILE, row_to_sources
from mmsearch.tables.values import TOO_DEEP, plain_value, python_value
from mmsearch.types import Failure, Source

ATTRIBUTES = "attributes"


def rows_to_items(
    rows: Iterable[Mapping[str, Any]], layout: Layout, kept: set[bytes]
) -> Iterator[Source | Failure]:
    """Sources and Failures of each row, in order; columns are named as in tables.

    A picture is a path (relative: to the collection's folder) or bytes, which are kept in the
    collection; `kept` collects their digests. Every row needs a key of its own.
    Raises StorageError.
    """
    taken: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        for found in _row_to_items(row, number, layout, kept):
            if isinstance(found, Source):
                first = taken.setdefault(found.key, number)
                if first != number:
                    reason = f"row {number}: its key was already used by row {first}"
                    yield Failure(found.key, f"{reason}; give each item one row")
                    break
            yield found


def _row_to_items(
    row: Mapping[str, Any], number: int, layout: Layout, kept: set[bytes]
) -> list[Source | Failure]:
    cells = {str(name): value for name, value in row.items() if name != ATTRIBUTES}
    more = row.get(ATTRIBUTES) or {}
    columns = by_folded(tuple(cells))
    # As its item's key is: a failure of one of its pictures keeps the item that is there.
    name = take_name(dict(cells), columns, KEY_COLUMNS)
    if not name:
        return [Failure(f"row {number}", "it has no key; give each item a key that stays its own")]
    if not isinstance(more, Mapping):
        return [Failure(name, f"its attributes must be a mapping, not {type(more).__name__}")]
    if twice := sorted(set(cells) & set(more)):
        return [Failure(name, f"{twice[0]!r} stands both in the row and in its attributes")]
    try:
        for column in (*IMAGE_COLUMNS, *picture_columns(columns)):
            if (place := columns.get(column)) is not None:
                cells[place] = _named(cells[place], layout, kept)
        for value in (cells, more):
            json.dumps(plain_value(value), ensure_ascii=False).encode()
    except ImageError as error:
        return [Failure(name, f"row {number}: {error}")]
    except RecursionError:
        return [Failure(name, f"row {number}: {TOO_DEEP}")]
    except UnicodeEncodeError:
        shown = name.encode(errors="replace").decode()
        reason = "half a character (a lone surrogate); correct the text"
        return [Failure(shown, f"row {number}: {reason}")]
    table = layout.base / "rows"  # pictures are looked up beside it
    given = plain_value(dict(more))
    return [
        replace(found, attributes={**found.attributes, **given})
        if given and isinstance(found, Source)
        else found
        for found in row_to_sources(cells, number, table, name, NO_FILE, origin=HANDED_OVER)
    ]


def _named(cell: Any, layout: Layout, kept: set[bytes]) -> Any:
    """The same picture, or list of pictures, with the names of files in the place of bytes."""
    cell = python_value(cell)
    if isinstance(cell, list | tuple):
        return [_named(one, layout, kept) for one in cell]
    if isinstance(cell, bytes | bytearray):
        contents = read(bytes(cell))
        kept.add(contents.digest)
        return str(keep_picture(contents, layout))
    return os.fspath(cell) if isinstance(cell, os.PathLike) else cell
