"""Rows of tables as sources: captions, pictures, keys and attributes.

One broken row is a Failure and the others survive; a file that is no table of texts or pictures
is a TableError.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmsearch.errors import TableError
from mmsearch.tables.columns import Columns, Row, columns_of, take_there, take_there_name
from mmsearch.tables.files import TableProblem, read_table, require_content, shown
from mmsearch.tables.values import TOO_DEEP, clean_text, plain_value, typed_cells
from mmsearch.types import Failure, FileStamp, Source

BETWEEN_PICTURES = "|"  # where one cell names several
WEB_ADDRESSES = ("http://", "https://")
# What needs no file is unchanged if and only if its words and addresses are.
NO_FILE = FileStamp(0, 0)

_PEEK_ROWS = 100  # jsonl has no header: its columns are those of the first rows


def rows_to_sources(
    path: Path, base_key: str, claimed: set[str] | None = None
) -> Iterator[Source | Failure]:
    """A Source or Failure per row, keyed by its key column or else `base_key#row`.

    A row with several pictures gives one for each (row_to_sources). Pictures are looked up
    relative to the table's folder. `claimed` collects the absolute path of every picture that a row
    refers to, also where that row fails.

    Raises TableError when the file cannot be read or has no text and no image column.
    """
    stamp = _table_stamp(path)
    typed = path.suffix.lower() == ".csv"
    taken: dict[str, int] = {}
    for number, row in _checked(path):
        row_key = f"{base_key}#{number}"
        if isinstance(row, TableProblem):
            yield Failure(row_key, f"row {number}: {row.reason}")
            continue
        for source in row_to_sources(row, number, path, row_key, stamp, typed, claimed, base_key):
            if isinstance(source, Source):
                first = taken.setdefault(source.key, number)
                if first != number:
                    reason = f"the key {source.key!r} was already used by row {first}"
                    yield Failure(row_key, f"row {number}: {reason}; give it another key")
                    break
            yield source


def _checked(path: Path) -> Iterator[tuple[int, Row | TableProblem]]:
    """The rows, once the first of them have shown a text or image column."""
    rows = read_table(path)
    first = list(itertools.islice(rows, _PEEK_ROWS))
    columns: dict[str, None] = {}
    for _, row in first:
        if isinstance(row, dict):
            columns.update(dict.fromkeys(row))
    if first and not columns:
        problem = first[0][1]
        reason = problem.reason if isinstance(problem, TableProblem) else "it has no columns"
        if path.suffix.lower() != ".csv":  # a csv file's header was checked by its reader
            raise TableError(
                f"{shown(path)}: none of its first rows can be read (row 1: {reason}); "
                "check that the file is what its name says"
            )
    elif first:
        require_content(path, columns)
    return itertools.chain(first, rows)


def _table_stamp(path: Path) -> FileStamp:
    try:
        status = path.stat()
    except (OSError, ValueError) as exc:
        raise TableError(f"{shown(path)}: cannot be read ({exc}); check the path") from exc
    return FileStamp(status.st_size, status.st_mtime_ns)


def row_to_sources(
    row: Row,
    number: int,
    table: Path,
    row_key: str,
    stamp: FileStamp,
    typed: bool = False,
    claimed: set[str] | None = None,
    origin: str | None = None,
) -> list[Source | Failure]:
    """The item that one row describes. `row_key` names it where it has no key, or is a Failure.

    Its second, third, ... picture are items KEY#2, KEY#3, ... of its group (by default its key)
    with its text and attributes; one that is not there is a Failure and the others stay.
    Pictures are looked up relative to the folder of `table`; a web address is only noted. `stamp`
    is that of a row without a picture. `typed` reads numbers and truth values from strings, as csv
    needs it.
    """
    rest = dict(row)
    columns = columns_of(tuple(rest))
    key = take_there_name(rest, columns.key) or row_key
    group = take_there_name(rest, columns.group)
    text = take_text(rest, columns)
    pictures = columns.pictures and [
        _picture(one, table, claimed) for one in _take_pictures(rest, columns, table)
    ]
    if not pictures and text is None:
        reason = "neither text nor picture; fill in one or delete it"
        return [Failure(row_key, f"row {number}: {reason}")]
    if columns.with_nul:
        rest = {name.replace("\0", ""): value for name, value in rest.items()}
    try:
        attributes = typed_cells(rest) if typed else {n: plain_value(v) for n, v in rest.items()}
    except RecursionError:
        return [Failure(row_key, f"row {number}: {TOO_DEEP}")]
    if len(pictures) > 1:
        group = group or key
    if not pictures:
        return [Source(key, None, text, stamp, group, attributes, origin)]
    found: list[Source | Failure] = []
    for place, picture in enumerate(pictures, 1):
        suffix = "" if place == 1 else f"#{place}"
        if isinstance(picture, str):
            found.append(Failure(row_key + suffix, f"row {number}: {picture}"))
            if place == 1:  # the others are pictures of an item that is not there
                break
            continue
        found.append(
            Source(
                key + suffix,
                picture.path,
                text,
                picture.stamp,
                group,
                attributes,
                origin,
                url=picture.url,
                picture_of=None if place == 1 else key,
            )
        )
    return found


def take_text(rest: Row, columns: Columns) -> str | None:
    """Remove and return the text of a row's item: its caption, or else title and description.

    Further captions of a list stay.
    """
    for name in columns.text:
        value = take_there(rest, (name,))
        if isinstance(value, list):
            texts = [clean_text(str(v)) for v in value if v is not None and str(v).strip()]
            if texts[1:]:
                rest[name] = texts[1:]
            value = texts[0] if texts else None
        if value is not None:
            return clean_text(str(value))
    texts = []
    for name in columns.joined:
        if (part := take_there(rest, (name,))) is not None:
            texts.append(clean_text(str(part)))
    return as_one_text(texts)


def as_one_text(parts: Sequence[str]) -> str | None:
    """Title, description, ... as the sentences of one text; None for no words."""
    if len(parts) == 1:
        return parts[0] or None
    return ". ".join([*(part.rstrip(".") for part in parts[:-1]), *parts[-1:]]) or None


def _take_pictures(rest: Row, columns: Columns, table: Path) -> list[Any]:
    """Every picture that the row names, each once, in order: one value per picture."""
    cells = [take_there(rest, wanted) for wanted in columns.pictures]
    pictures: list[Any] = []
    for cell in cells:
        for picture in cell if isinstance(cell, list | tuple) else _split(cell, table):
            empty = picture is None or (isinstance(picture, str) and not picture.strip())
            if not empty and picture not in pictures:
                pictures.append(picture)
    return pictures


def _split(cell: Any, table: Path) -> list[Any]:
    if not isinstance(cell, str) or BETWEEN_PICTURES not in cell:
        return [cell]
    if os.path.exists(table.parent / cell.strip()):  # the file's own name has one
        return [cell]
    return list(cell.split(BETWEEN_PICTURES))


@dataclass(frozen=True)
class _Picture:
    """A picture that a row names: a file that is there, or an address."""

    path: Path | None
    url: str | None
    stamp: FileStamp


def _picture(image: Any, table: Path, claimed: set[str] | None) -> _Picture | str:
    """The picture, or why there is none."""
    if not isinstance(image, str):
        return f"its picture must be a file's path, not a {type(image).__name__}"
    image = image.strip()
    if image.lower().startswith(WEB_ADDRESSES):
        return _Picture(None, image, NO_FILE)
    path = Path(os.path.abspath(table.parent / image))
    if claimed is not None:
        claimed.add(str(path))
    try:
        status = path.stat()
    except (OSError, ValueError) as exc:
        return _no_picture(image, table, exc)
    if not stat.S_ISREG(status.st_mode):
        return f"{image!r} is not a file; name the picture itself"
    return _Picture(path, None, FileStamp(status.st_size, status.st_mtime_ns))


def _no_picture(image: str, table: Path, exc: Exception) -> str:
    if isinstance(exc, FileNotFoundError):
        return f"no picture {image!r} below {shown(table.parent)}; correct the path"
    detail = exc.strerror if isinstance(exc, OSError) else exc
    return f"the picture {image!r} cannot be read ({detail}); correct the path or its permissions"
