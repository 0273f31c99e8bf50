"""Files of rows: csv, jsonl and parquet.

One broken row is a TableProblem and the others survive; a file that cannot be read as a whole is a
TableError.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmsearch.errors import TableError
from mmsearch.tables.columns import CONTENT_COLUMNS, Row, folded

TABLE_SUFFIXES = frozenset({".csv", ".jsonl", ".parquet"})

_BATCH_ROWS = 1024
_LONGEST_ROW = 16 << 20  # characters, held in memory to find where a csv row ends
_SURROGATE = re.compile("[\ud800-\udfff]")
_QUOTED = re.compile('"[^"]*"')


@dataclass(frozen=True)
class TableProblem:
    """Why one row could not be read."""

    reason: str


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
    require = require or require_content
    readers: dict[str, Callable[[Path], Iterator[Row | TableProblem]]] = {
        ".csv": partial(_read_csv, require=require),
        ".jsonl": _read_jsonl,
        ".parquet": partial(_read_parquet, require=require),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise TableError(f"{shown(path)}: not a table; name a .csv, .jsonl or .parquet file")
    try:
        yield from enumerate(reader(path), start=1)
    except OSError as exc:
        detail, *_ = (exc.strerror or str(exc) or "no reason").splitlines()  # pyarrow has several
        raise TableError(
            f"{shown(path)}: cannot be read ({detail}); check that it is there and readable"
        ) from exc


def require_content(path: Path, columns: Mapping[str, Any] | list[str]) -> None:
    if not any(folded(name) in CONTENT_COLUMNS for name in columns):
        found = ", ".join(repr(name) for name in itertools.islice(columns, 20)) or "none"
        raise TableError(
            f"{shown(path)}: no text or image column among its columns ({found}); "
            "name one of them caption, text, title, description, image or path"
        )


class _Lines:
    """The lines of a file, of which some can be put back to be read again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._returned: deque[str] = deque()
        self.given: list[str] = []
        self.ended = False  # whether a line was asked for after the last one

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        self.given.append(line)
        return line

    def keep_only_first(self) -> None:
        self._returned.extendleft(reversed(self.given[1:]))
        self.given.clear()
        self.ended = False


def _read_csv(
    path: Path, require: Callable[[Path, list[str]], None]
) -> Iterator[Row | TableProblem]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        first = next((line for line in file if line.strip()), None)
        if first is None:
            raise TableError(f"{shown(path)}: the file is empty; delete it or fill it")
        # The delimiter that splits the header most: csv.Sniffer guesses from prose as well.
        delimiter = max(",;\t", key=lambda d: len(next(csv.reader([first], delimiter=d), [])))
        lines = _Lines(itertools.chain([first], file))
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            header = [name.strip() for name in next(reader)]
        except csv.Error as exc:
            raise TableError(f"{shown(path)}: unreadable header ({exc}); correct it") from exc
        if any("\0" in name or _SURROGATE.search(name) for name in header):
            raise TableError(f"{shown(path)}: its header is not UTF-8; save it as CSV UTF-8")
        if lines.ended:
            raise TableError(f"{shown(path)}: a quote in its header is never closed; close it")
        twice = sorted({name for name in header if name and header.count(name) > 1})
        if twice:
            raise TableError(f"{shown(path)}: two columns are called {twice[0]!r}; rename one")
        require(path, [name for name in header if name])
        yield from _csv_rows(reader, lines, header)


def _csv_rows(reader: Any, lines: _Lines, header: list[str]) -> Iterator[Row | TableProblem]:
    # An unclosed quote swallows the rows after it: wherever it may be one, they are given back.
    named = all(header)
    while True:
        lines.given.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            if _read_to_its_end(lines, reader.dialect.delimiter, len(header)):
                yield TableProblem(f"{exc}; shorten it")
            else:
                lines.keep_only_first()
                yield TableProblem(f"{exc}; check its quotes")
            continue
        if not cells:
            continue
        if lines.ended:  # the reader asked for more
            lines.keep_only_first()
            yield TableProblem("a quote in it is never closed; close it")
        elif len(cells) != len(header):
            lines.keep_only_first()
            counts = f"{len(cells)} columns where the header has {len(header)}"
            yield TableProblem(f"{counts}; check its quotes and delimiters")
        elif not all(map(str.isascii, lines.given)) and any(map(_SURROGATE.search, cells)):
            yield TableProblem("not UTF-8; save the file as CSV UTF-8")
        else:
            row = dict(zip(header, cells, strict=True))
            if not named:
                row.pop("", None)
            yield row


def _read_to_its_end(lines: _Lines, delimiter: str, columns: int) -> bool:
    """Whether the row that csv gave up is a whole one, and no quote was left open.

    Its other lines are then read: quotes pair in a whole row, where delimiters stand around them.
    """
    quotes = sum(line.count('"') for line in lines.given)
    length = sum(map(len, lines.given))
    while quotes % 2 and length < _LONGEST_ROW and (line := next(lines, "")):
        quotes += line.count('"')
        length += len(line)
    row = _QUOTED.sub('""', "".join(lines.given).replace('""', ""))
    row = re.sub(f'[^"{delimiter}\r\n]+', "x", row)  # short enough for csv
    try:
        (cells,) = csv.reader([row], delimiter=delimiter, strict=True)
    except csv.Error:
        return False
    return len(cells) == columns


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
    except json.JSONDecodeError as exc:  # its own line number is that within this line
        what = f"{exc.msg} at character {exc.pos + 1}"
        return TableProblem(f"not JSON ({what}); each line must hold one object")
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
        raise TableError(f"{shown(path)}: needs pyarrow; pip install pyarrow") from exc
    try:
        with pq.ParquetFile(path) as file:
            require(path, list(file.schema_arrow.names))
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                yield from _batch_rows(batch)
    except (pa.ArrowException, ValueError) as exc:
        raise TableError(
            f"{shown(path)}: not a whole parquet file ({str(exc).splitlines()[0]}); copy it again"
        ) from exc


def _batch_rows(batch: Any) -> Iterator[Row | TableProblem]:
    batch = _in_microseconds(batch)
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError):
        rows = None  # one row's; to read them one by one takes ten times as long
    if rows is not None:
        yield from rows
        return
    for start in range(batch.num_rows):
        yield _row(batch.slice(start, 1))


def _in_microseconds(batch: Any) -> Any:
    """The same rows without nanoseconds, which Python's times cannot hold."""
    kinds = [_python_type(kind) for kind in batch.schema.types]
    if kinds == batch.schema.types:
        return batch
    columns = [
        column if column.type == kind else column.cast(kind, safe=False)
        for column, kind in zip(batch.columns, kinds, strict=True)
    ]
    return type(batch).from_arrays(columns, batch.schema.names)


def _python_type(kind: Any) -> Any:
    import pyarrow as pa

    if getattr(kind, "unit", None) != "ns":
        return kind
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    return pa.time64("us") if pa.types.is_time(kind) else pa.duration("us")


def _row(batch: Any) -> Row | TableProblem:
    """The only row of a batch."""
    row = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            (row[name],) = column.to_pylist()
        except UnicodeDecodeError:
            return TableProblem("holds text that is not UTF-8; write the file again")
        except (ValueError, OverflowError) as exc:  # a date after the year 9999
            value = column.to_string(skip_new_lines=True)[1:-1]
            reason = f"the {column.type} {value} in {name!r} cannot be read ({exc})"
            return TableProblem(f"{reason}; correct it")
    return row


def shown(path: Path) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(path))
