"""Rows of csv, jsonl and parquet files as sources: captions, pictures, keys and attributes.

One broken row is a Failure and the others survive; a file that is no table of texts or pictures
is a TableError.
"""

from __future__ import annotations

import csv
import datetime
import decimal
import itertools
import json
import math
import os
import re
import stat
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from mmsearch.errors import TableError
from mmsearch.types import Failure, FileStamp, Source

TABLE_SUFFIXES = frozenset({".csv", ".jsonl", ".parquet"})

# In order of preference; names are compared without case.
TEXT_COLUMNS = ("caption", "captions", "text")
JOINED_COLUMNS = ("title", "description")
IMAGE_COLUMNS = ("image", "image_path", "path", "file", "filename", "filepath", "img")
KEY_COLUMNS = ("key", "id", "sku", "item_id", "product_id", "asin")
GROUP_COLUMNS = ("group", "group_id", "parent_id")
IMAGES_COLUMN = "images"  # several pictures of one item; so do image2, image3, ...
_NUMBERED_IMAGE = re.compile(r"image[ _]?([2-9]|[1-9][0-9])")
_CONTENT_COLUMNS = frozenset((*TEXT_COLUMNS, *JOINED_COLUMNS, *IMAGE_COLUMNS, IMAGES_COLUMN))
BETWEEN_PICTURES = "|"  # where one cell names several
WEB_ADDRESSES = ("http://", "https://")
# What needs no file is unchanged if and only if its words and addresses are.
NO_FILE = FileStamp(0, 0)

_PEEK_ROWS = 100  # jsonl has no header: its columns are those of the first rows
_BATCH_ROWS = 1024
_INT = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")  # 18 digits fit SQLite; 007 is a name
_FLOAT = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][+-]?[0-9]{1,3})?")
_SHORT_CELL = 40  # characters; longer ones are seldom equal
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class TableProblem:
    """Why one row could not be read."""

    reason: str


Row = dict[str, Any]


def is_table_name(path: Path | str) -> bool:
    """Whether the name ends like a file that `read_table` reads."""
    return os.path.splitext(path)[1].lower() in TABLE_SUFFIXES


def read_table(
    path: Path, *, require: Callable[[Path, list[str]], None] | None = None
) -> Iterator[tuple[int, Row | TableProblem]]:
    """(row number from 1, column -> value) of each row; blank lines are not counted.

    csv values are the strings as written; jsonl and parquet values have their own types.
    `require` raises TableError for the columns of a csv or parquet header that will not do; by
    default one must hold a text or a picture.
    Raises TableError when the file as a whole cannot be read.
    """
    require = require or _require_content
    readers: dict[str, Callable[[Path], Iterator[Row | TableProblem]]] = {
        ".csv": partial(_read_csv, require=require),
        ".jsonl": _read_jsonl,
        ".parquet": partial(_read_parquet, require=require),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise TableError(f"{_shown(path)}: not a table; name a .csv, .jsonl or .parquet file")
    try:
        yield from enumerate(reader(path), start=1)
    except OSError as exc:
        detail = exc.strerror or str(exc)
        raise TableError(
            f"{_shown(path)}: cannot be read ({detail}); check that it is there and readable"
        ) from exc


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
        key = _take_name(rest, _columns(tuple(rest)).key)
        if key is None:
            yield number, TableProblem(f"no key; name it in one of {', '.join(KEY_COLUMNS)}")
            continue
        values = _typed_cells(rest) if typed else {n: plain_value(v) for n, v in rest.items()}
        yield number, Change(key, values)


def _require_attributes(path: Path, columns: list[str]) -> None:
    if (column := _first_of_an_item(tuple(columns))) is not None:
        raise TableError(
            f"{_shown(path)}: the column {column!r} is no attribute; leave it out, or bring "
            "the whole row with `mmsearch index`"
        )


@lru_cache(maxsize=64)
def _first_of_an_item(columns: tuple[str, ...]) -> str | None:
    """The first column that is more than an attribute."""
    more = _CONTENT_COLUMNS.union(GROUP_COLUMNS)
    return next((column for column in columns if _folded(column) in more), None)


def clean_text(text: str) -> str:
    """Stripped, without U+0000 and in Unicode normal form C, otherwise unharmed.

    SQLite's JSON functions end a string at U+0000: filters would see another value than programs.
    """
    text = text.replace("\0", "").strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


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
                f"{_shown(path)}: none of its first rows can be read (row 1: {reason}); "
                "check that the file is what its name says"
            )
    elif first:
        _require_content(path, columns)
    return itertools.chain(first, rows)


def _require_content(path: Path, columns: Mapping[str, Any] | list[str]) -> None:
    if not any(_folded(name) in _CONTENT_COLUMNS for name in columns):
        found = ", ".join(repr(name) for name in itertools.islice(columns, 20)) or "none"
        raise TableError(
            f"{_shown(path)}: no text or image column among its columns ({found}); "
            "name one of them caption, text, title, description, image or path"
        )


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
    columns = _columns(tuple(rest))
    key = _take_name(rest, columns.key) or row_key
    group = _take_name(rest, columns.group)
    text = _take_text(rest, columns)
    pictures = columns.pictures and [
        _picture(one, table, claimed) for one in _take_pictures(rest, columns, table)
    ]
    if not pictures and text is None:
        reason = "neither text nor picture; fill in one or delete it"
        return [Failure(row_key, f"row {number}: {reason}")]
    if columns.with_nul:
        rest = {name.replace("\0", ""): value for name, value in rest.items()}
    attributes = _typed_cells(rest) if typed else {n: plain_value(v) for n, v in rest.items()}
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
        return f"no picture {image!r} below {_shown(table.parent)}; correct the path"
    detail = exc.strerror if isinstance(exc, OSError) else exc
    return f"the picture {image!r} cannot be read ({detail}); correct the path or its permissions"


def take_first(rest: Row, names: Mapping[str, str], wanted: tuple[str, ...]) -> Any:
    """Remove and return the first of these columns that is not empty, else None.

    `names`: see by_folded.
    """
    return _take_first(rest, [name for column in wanted if (name := names.get(column)) in rest])


def _take_first(rest: Row, columns: Sequence[str]) -> Any:
    """`take_first` of columns that are all there."""
    found = None
    for name in columns:
        value = rest[name]
        if value is None or value == [] or (isinstance(value, str) and not value.strip()):
            del rest[name]
        elif found is None:
            found = value
            del rest[name]
    return found


def picture_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """Those of the folded column names that may hold further pictures, in their order."""
    return _picture_columns(tuple(columns))


@lru_cache(maxsize=64)
def _picture_columns(columns: tuple[str, ...]) -> tuple[str, ...]:
    numbered = sorted(
        (int(match[1]), name) for name in columns if (match := _NUMBERED_IMAGE.fullmatch(name))
    )
    return (IMAGES_COLUMN, *(name for _, name in numbered))


def _take_pictures(rest: Row, columns: _Columns, table: Path) -> list[Any]:
    """Every picture that the row names, each once, in order: one value per picture."""
    cells = [_take_first(rest, wanted) for wanted in columns.pictures]
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


def take_name(rest: Row, names: Mapping[str, str], wanted: tuple[str, ...]) -> str | None:
    """`take_first` of a column that names something."""
    return _name(take_first(rest, names, wanted))


def _take_name(rest: Row, columns: Sequence[str]) -> str | None:
    """`take_name` of columns that are all there."""
    return _name(_take_first(rest, columns)) if columns else None


def _name(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():  # pandas' integers with a gap
        value = int(value)
    return None if value is None else clean_text(str(value))


def _take_text(rest: Row, columns: _Columns) -> str | None:
    for name in columns.text:
        value = _take_first(rest, (name,))
        if isinstance(value, list):
            texts = [clean_text(str(v)) for v in value if v is not None and str(v).strip()]
            if texts[1:]:
                rest[name] = texts[1:]
            value = texts[0] if texts else None
        if value is not None:
            return clean_text(str(value))
    parts = [_take_first(rest, (name,)) for name in columns.joined]
    texts = [clean_text(str(part)) for part in parts if part is not None]
    if len(texts) == 1:
        return texts[0] or None
    return ". ".join(t.rstrip(".") if t != texts[-1] else t for t in texts) or None


@lru_cache(maxsize=64)  # the rows of a table have the same columns, or a few kinds of them
def by_folded(columns: tuple[str, ...]) -> Mapping[str, str]:
    """Column names by how they are looked for: trimmed, in lower case; the first of equals."""
    return {_folded(name): name for name in reversed(columns)}


@dataclass(frozen=True)
class _Columns:
    """The columns of a row by what they may hold, in order of preference."""

    key: tuple[str, ...]
    group: tuple[str, ...]
    text: tuple[str, ...]
    joined: tuple[str, ...]
    pictures: tuple[tuple[str, ...], ...]  # one picture, or list of pictures, of each
    with_nul: bool  # whether U+0000 stands in one of the names


@lru_cache(maxsize=64)
def _columns(columns: tuple[str, ...]) -> _Columns:
    names = by_folded(columns)

    def there(wanted: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names[column] for column in wanted if column in names)

    pictures = there(IMAGE_COLUMNS), *((name,) for name in there(picture_columns(names)))
    return _Columns(
        there(KEY_COLUMNS),
        there(GROUP_COLUMNS),
        there(TEXT_COLUMNS),
        there(JOINED_COLUMNS),
        tuple(filter(None, pictures)),
        any("\0" in name for name in columns),
    )


def _folded(name: str) -> str:
    return name.strip().lower()


def _typed_cells(cells: Mapping[str, str]) -> dict[str, Any]:
    """csv cells as int, float, bool or str; None where one is empty."""
    return {
        name: _short_cell(cell) if len(cell) <= _SHORT_CELL else _read_cell(cell)
        for name, cell in cells.items()
    }


@lru_cache(maxsize=4096)  # brands, sizes and stocks repeat
def _short_cell(cell: str) -> Any:
    return _read_cell(cell)


def _read_cell(cell: str) -> Any:
    text = cell.strip()
    if not text:
        return None
    if text[0] in "+-.0123456789":
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
    elif text[0] in "tTfF" and text.lower() in ("true", "false"):
        return text[0] in "tT"
    return clean_text(text)


def plain_value(value: Any) -> Any:
    """A value that JSON can hold: times in ISO form, decimals as floats, raw bytes dropped."""
    if isinstance(value, str):
        return clean_text(value) or None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, decimal.Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(k).replace("\0", ""): plain_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(v) for v in value]
    if value is None or isinstance(value, bool | int):
        return value
    return None if isinstance(value, bytes) else str(value)


class _Lines:
    """The lines of a file, of which some can be put back to be read again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._returned: deque[str] = deque()
        self.given: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._lines)
        self.given.append(line)
        return line

    def keep_only_first(self) -> None:
        self._returned.extendleft(reversed(self.given[1:]))
        self.given.clear()


def _read_csv(
    path: Path, require: Callable[[Path, list[str]], None]
) -> Iterator[Row | TableProblem]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        first = next((line for line in file if line.strip()), None)
        if first is None:
            raise TableError(f"{_shown(path)}: the file is empty; delete it or fill it")
        if _SURROGATE.search(first) or "\0" in first:
            raise TableError(f"{_shown(path)}: its header is not UTF-8; save it as CSV UTF-8")
        # The delimiter that splits the header most: csv.Sniffer guesses from prose as well.
        delimiter = max(",;\t", key=lambda d: len(next(csv.reader([first], delimiter=d), [])))
        lines = _Lines(itertools.chain([first], file))
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            header = [name.strip() for name in next(reader)]
        except csv.Error as exc:
            raise TableError(f"{_shown(path)}: unreadable header ({exc}); correct it") from exc
        twice = sorted({name for name in header if name and header.count(name) > 1})
        if twice:
            raise TableError(f"{_shown(path)}: two columns are called {twice[0]!r}; rename one")
        require(path, [name for name in header if name])
        yield from _csv_rows(reader, lines, header)


def _csv_rows(reader: Any, lines: _Lines, header: list[str]) -> Iterator[Row | TableProblem]:
    named = all(header)
    while True:
        lines.given.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            lines.keep_only_first()
            yield TableProblem(f"{exc}; check its quotes")
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            # An unclosed quote swallows the rows after it: give them back.
            lines.keep_only_first()
            counts = f"{len(cells)} columns where the header has {len(header)}"
            yield TableProblem(f"{counts}; check its quotes and delimiters")
        elif not all(map(str.isascii, cells)) and any(map(_SURROGATE.search, cells)):
            yield TableProblem("not UTF-8; save the file as CSV UTF-8")
        else:
            row = dict(zip(header, cells, strict=True))
            if not named:
                row.pop("", None)
            yield row


def _read_jsonl(path: Path) -> Iterator[Row | TableProblem]:
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if number == 0:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield _json_row(line)


def _json_row(line: bytes) -> Row | TableProblem:
    try:
        row = json.loads(line.decode("utf-8"), parse_constant=lambda _: None)
        if b"\\ud" in line.lower():
            json.dumps(row, ensure_ascii=False).encode("utf-8")  # half a surrogate pair
    except UnicodeError:
        return TableProblem("not UTF-8; save the file as UTF-8")
    except (ValueError, RecursionError) as exc:
        return TableProblem(f"not JSON ({exc}); each line must hold one object")
    if not isinstance(row, dict):
        return TableProblem(f"a JSON {type(row).__name__} where an object {{...}} is needed")
    return row


def _read_parquet(
    path: Path, require: Callable[[Path, list[str]], None]
) -> Iterator[Row | TableProblem]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as exc:
        raise TableError(f"{_shown(path)}: needs pyarrow; pip install pyarrow") from exc
    try:
        with pq.ParquetFile(path) as file:
            require(path, list(file.schema_arrow.names))
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                yield from _batch_rows(batch)
    except (pa.ArrowException, ValueError) as exc:
        raise TableError(
            f"{_shown(path)}: not a whole parquet file ({str(exc).splitlines()[0]}); copy it again"
        ) from exc


def _batch_rows(batch: Any) -> Iterator[Row | TableProblem]:
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:
        rows = None  # one row's; to read them one by one takes ten times as long
    if rows is not None:
        yield from rows
        return
    for start in range(batch.num_rows):
        try:
            yield batch.slice(start, 1).to_pylist()[0]
        except UnicodeDecodeError:
            yield TableProblem("holds text that is not UTF-8; write the file again")


def _table_stamp(path: Path) -> FileStamp:
    try:
        status = path.stat()
    except (OSError, ValueError) as exc:
        raise TableError(f"{_shown(path)}: cannot be read ({exc}); check the path") from exc
    return FileStamp(status.st_size, status.st_mtime_ns)


def _shown(path: Path) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(path))
