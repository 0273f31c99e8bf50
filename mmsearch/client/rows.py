"""Rows as NDJSON in bodies of a bounded size, so that an iterable of any length can be sent.

Client and server never stream at the same time: a client that only sends would fill the buffers
of a connection on which the server answers. A body is answered line by line once it is sent, and
may be sent again, because an upsert that is repeated does nothing more.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mmsearch.client.pictures import picture_bytes
from mmsearch.client.values import Result, Written
from mmsearch.errors import ImageError, UsageError
from mmsearch.tables.columns import (
    GROUP_COLUMNS,
    KEY_COLUMNS,
    TEXT_COLUMNS,
    Row,
    by_folded,
    columns_of,
    take_first,
    take_name,
    take_there,
)
from mmsearch.tables.sources import BETWEEN_PICTURES
from mmsearch.tables.values import plain_value, python_value
from mmsearch.types import Failure, UpdateReport

T = TypeVar("T")

MAX_LINES = 500  # what the server commits at once
MAX_BYTES = 8 * 1024 * 1024  # an eighth of what it takes as one body
_AS_THEY_ARE = ("title", "description", "image_url")


@dataclass(frozen=True)
class Body:
    """Lines of NDJSON, and a Result for each row before them, between or after that had none.

    `failed` is by place among all rows of this body.
    """

    content: bytes
    lines: int
    failed: Mapping[int, Result]

    def merged(self, results: Iterable[Result]) -> list[Result]:
        """The server's results for the lines, and ours for the rows that were not sent."""
        told = iter(results)
        return [
            self.failed[place] if place in self.failed else next(told)
            for place in range(self.lines + len(self.failed))
        ]


def bodies(rows: Iterable[Mapping[str, Any]]) -> Iterator[Body]:
    """All rows, in order, some hundred at a time; one that cannot be sent is a Result."""
    lines: list[bytes] = []
    failed: dict[int, Result] = {}
    size = 0
    for number, row in enumerate(rows, 1):
        line = _line(row, number)
        if lines and not isinstance(line, Result) and size + len(line) > MAX_BYTES:
            yield Body(b"".join(lines), len(lines), failed)
            lines, failed, size = [], {}, 0
        if isinstance(line, Result):
            failed[len(lines) + len(failed)] = line
        else:
            lines.append(line)
            size += len(line)
        if len(lines) + len(failed) == MAX_LINES:
            yield Body(b"".join(lines), len(lines), failed)
            lines, failed, size = [], {}, 0
    if lines or failed:
        yield Body(b"".join(lines), len(lines), failed)


def batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """All values, in order, at most `size` at a time."""
    rest = iter(values)
    while some := list(itertools.islice(rest, size)):
        yield some


def changes(
    attributes: Mapping[str, Mapping[str, Any]], size: int
) -> tuple[list[dict[str, dict[str, Any]]], UpdateReport]:
    """New attributes by key, at most `size` keys at a time, and a report of those that no JSON
    can hold."""
    sent: dict[str, dict[str, Any]] = {}
    failures = []
    for key, new in attributes.items():
        try:
            sent[key] = _values(new)
            _json({key: None})
        except (TypeError, ValueError) as error:
            sent.pop(key, None)
            failures.append(Failure(str(key), str(error)))
    parts = [dict(some) for some in batches(sent.items(), size)]
    return parts, UpdateReport(failures=tuple(failures))


def written(results: Iterable[Result]) -> Written:
    """What became of all of them."""
    done, failures = 0, []
    for result in results:
        if result.reason is None:
            done += 1
        else:
            failures.append(Failure(result.key or "", result.reason))
    return Written(done, tuple(failures))


def sum_reports(reports: Iterable[UpdateReport]) -> UpdateReport:
    """One report of several requests."""
    total = UpdateReport()
    for report in reports:
        total = UpdateReport(
            total.updated + report.updated,
            total.unchanged + report.unchanged,
            (*total.failures, *report.failures),
        )
    return total


def _values(attributes: Any) -> dict[str, Any]:
    """Raises ValueError for what `Collection.update` would not take either: it would be sent as
    null, which removes."""
    if not isinstance(attributes, Mapping):
        raise ValueError(f"its attributes must be a mapping, not {type(attributes).__name__}")
    values = {name: python_value(value) for name, value in attributes.items()}
    for name, value in values.items():
        try:
            _json({name: value})
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"attribute {name!r} cannot be sent ({error}); give what JSON can hold"
            ) from error
    return values


def _line(row: Mapping[str, Any], number: int) -> bytes | Result:
    try:
        return _json(item_of(row)) + b"\n"
    except (ImageError, UsageError) as error:
        return Result(_key(row), f"row {number}: {error}")
    except UnicodeEncodeError:
        return Result(None, f"row {number}: half a character (a lone surrogate); correct the text")
    except (TypeError, ValueError, RecursionError) as error:
        return Result(_key(row), f"row {number}: cannot be sent ({error}); give what JSON can hold")


def _json(value: Any) -> bytes:
    """Raises TypeError, ValueError, RecursionError."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def item_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """An item of the contract for a row as `Collection.upsert` takes it.

    A picture is a path, relative to the working directory, or bytes. Raises ImageError, UsageError
    for several pictures, and what JSON raises.
    """
    rest = {str(name): value for name, value in row.items() if name != "attributes"}
    names = by_folded(tuple(rest))
    pictures = _take_pictures(rest)
    item: dict[str, Any] = {"key": take_name(rest, names, KEY_COLUMNS)}
    item["group"] = take_name(rest, names, GROUP_COLUMNS)
    item["text"] = take_first(rest, names, TEXT_COLUMNS)
    if isinstance(item["text"], list):
        item["text"] = next((str(text) for text in item["text"] if text), None)
    if len(pictures) > 1:
        raise UsageError(
            f"it names {len(pictures)} pictures, and over HTTP an item has one: send one, or "
            "index the row where the server runs"
        )
    for picture in pictures:
        data = picture_bytes(Path(picture) if isinstance(picture, str) else picture)
        item["image_base64"] = base64.b64encode(data).decode()
    item |= {name: take_first(rest, names, (name,)) for name in _AS_THEY_ARE}
    item = {name: value for name, value in item.items() if value is not None}
    more = row.get("attributes") or {}
    # Anything but a mapping is sent as it is: the server says what is wrong with it.
    attributes = {**rest, **more} if isinstance(more, Mapping) else more
    if attributes:
        item["attributes"] = plain_value(attributes)
    return item


def _take_pictures(rest: Row) -> list[Any]:
    """Remove and return every picture that the row names, each once: as tables name them."""
    pictures: list[Any] = []
    for wanted in columns_of(tuple(rest)).pictures:
        cell = take_there(rest, wanted)
        if isinstance(cell, str) and not os.path.exists(cell.strip()):
            cell = cell.split(BETWEEN_PICTURES)
        for one in cell if isinstance(cell, list | tuple) else [cell]:
            picture = one.strip() if isinstance(one, str) else one
            if picture not in (None, "", *pictures):
                pictures.append(picture)
    return pictures


def _key(row: Mapping[str, Any]) -> str | None:
    rest = {str(name): value for name, value in row.items()}
    return take_name(rest, by_folded(tuple(rest)), KEY_COLUMNS)
