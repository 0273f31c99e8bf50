"""Entries from .csv, .jsonl and .parquet tables: one row a thing, or one row a caption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmsearch.errors import InputError
from mmsearch.evaluation.dataset import Entry
from mmsearch.tables.columns import (
    GROUP_COLUMNS,
    IMAGE_COLUMNS,
    JOINED_COLUMNS,
    KEY_COLUMNS,
    TEXT_COLUMNS,
    by_folded,
    take_name,
)
from mmsearch.tables.files import TableProblem, read_table
from mmsearch.tables.sources import as_one_text
from mmsearch.tables.values import clean_text

_SPLIT = "split"


def table_entries(path: Path) -> Iterator[Entry]:
    """The rows of a table, in its order.

    Rows without a key of their own that share a picture are captions of one entry. Raises
    InputError for a row that cannot be read: leaving it out would make the set another one.
    """
    entries: dict[str, Entry] = {}
    for number, row in read_table(path):
        if isinstance(row, TableProblem):
            raise InputError(f"{path}: row {number}: {row.reason}")
        keyed, entry = _entry(path, number, row)
        before = entries.get(entry.id)
        if before is None:
            entries[entry.id] = entry
        elif keyed:
            raise InputError(f"{path}: row {number}: the key {entry.id!r} was used before")
        else:
            entries[entry.id] = _merged(path, number, before, entry)
    yield from entries.values()


def _merged(path: Path, number: int, before: Entry, entry: Entry) -> Entry:
    """One entry of two rows of a picture; columns of captions may well differ, such as a number."""
    for what in ("split", "group"):
        one, other = getattr(before, what), getattr(entry, what)
        if one != other:
            raise InputError(
                f"{path}: row {number}: the {what} of {entry.id!r} is {other!r}, and {one!r} in a "
                "row before; make them equal, or give each row a key"
            )
    both = (before.attributes.keys() & entry.attributes.keys()) - before.disputed
    differing = {column for column in both if before.value(column) != entry.value(column)}
    return replace(
        before,
        captions=before.captions + entry.captions,
        attributes={**entry.attributes, **before.attributes},
        disputed=before.disputed | differing,
    )


def _entry(path: Path, number: int, row: Mapping[str, Any]) -> tuple[bool, Entry]:
    names, rest = by_folded(tuple(row)), dict(row)
    by_name = {folded: row[name] for folded, name in names.items()}
    key, group = take_name(rest, names, KEY_COLUMNS), take_name(rest, names, GROUP_COLUMNS)

    def first(columns: tuple[str, ...]) -> Any:
        return next((v for c in columns if not _empty(v := by_name.get(c))), None)

    image = first(IMAGE_COLUMNS)
    captions = _texts(first(TEXT_COLUMNS))
    if not captions:
        parts = [clean_text(str(by_name[c])) for c in JOINED_COLUMNS if not _empty(by_name.get(c))]
        text = as_one_text(parts)  # as it is indexed
        captions = () if text is None else (text,)
    if image is None and not captions:
        raise InputError(f"{path}: row {number}: neither a picture nor a text")
    name = None if image is None else str(image).strip()
    split = by_name.get(_SPLIT)
    attributes = {column: value for column, value in row.items() if not _empty(value)}
    return bool(key), Entry(
        id=key or name or f"{path.name}#{number}",
        image=name,
        captions=captions,
        attributes=attributes,
        group=group,
        split=None if _empty(split) else str(split),
    )


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [] if value is None else [value]
    return tuple(clean_text(str(one)) for one in values if not _empty(one))


def _empty(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())
