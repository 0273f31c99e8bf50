"""Rows of tables as new attributes of items that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmsearch.errors import TableError
from mmsearch.tables.columns import (
    CONTENT_COLUMNS,
    GROUP_COLUMNS,
    KEY_COLUMNS,
    columns_of,
    folded,
    take_there_name,
)
from mmsearch.tables.files import TableProblem, read_table, shown
from mmsearch.tables.values import TOO_DEEP, plain_value, typed_cells


@dataclass(frozen=True)
class Change:
    """New values of an item's attributes; None removes one."""

    key: str
    attributes: Mapping[str, Any]


def read_changes(path: Path) -> Iterator[tuple[int, Change | TableProblem]]:
    """(row number from 1, the attributes that it sets) of a table with a key column.

    Raises TableError when the table cannot be read, or has columns that make an item: its text,
    picture and group belong to an index run.
    """
    typed = path.suffix.lower() == ".csv"
    for number, row in read_table(path, require=_require_attributes):
        if isinstance(row, TableProblem):
            yield number, row
            continue
        _require_attributes(path, list(row))  # jsonl has no header
        rest = dict(row)
        key = take_there_name(rest, columns_of(tuple(rest)).key)
        if key is None:
            yield number, TableProblem(f"no key; name it in one of {', '.join(KEY_COLUMNS)}")
            continue
        try:
            values = typed_cells(rest) if typed else {n: plain_value(v) for n, v in rest.items()}
        except RecursionError:
            yield number, TableProblem(TOO_DEEP)
            continue
        yield number, Change(key, values)


def _require_attributes(path: Path, columns: list[str]) -> None:
    if (column := _first_of_an_item(tuple(columns))) is not None:
        raise TableError(
            f"{shown(path)}: the column {column!r} is no attribute; leave it out, or bring "
            "the whole row with `mmsearch index`"
        )


@lru_cache(maxsize=64)
def _first_of_an_item(columns: tuple[str, ...]) -> str | None:
    """The first column that is more than an attribute."""
    more = CONTENT_COLUMNS.union(GROUP_COLUMNS)
    return next((column for column in columns if folded(column) in more), None)
