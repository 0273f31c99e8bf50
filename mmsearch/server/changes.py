"""Items that come in, change and go: what a request says, as what the library does."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from mmsearch.collection import Collection
from mmsearch.errors import InputError, ItemNotFoundError, MmsearchError
from mmsearch.images import read
from mmsearch.server.bodies import parse_json
from mmsearch.server.lines import Handle, Line
from mmsearch.server.pictures import require_pixels
from mmsearch.server.problems import Problem
from mmsearch.server.schemas import AttributesIn, ItemIn
from mmsearch.server.services import Services
from mmsearch.server.settings import Settings
from mmsearch.types import Failure

M = TypeVar("M", ItemIn, AttributesIn)

_ROW = re.compile(r"\Arow [0-9]+: ")


@dataclass
class Written:
    """What became of the items of a request."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    reasons: dict[int, str] = field(default_factory=dict)  # place in the request -> why not


async def upsert(shared: Services, items: Sequence[ItemIn]) -> Written:
    """Add or replace items; of two with one key the later one stays. Raises as `upsert` does."""
    written = Written()
    for places in _runs([item.key for item in items]):
        rows: dict[int, dict[str, Any]] = {}
        for place in places:
            item = items[place]
            run = shared.on_pictures if item.image_url is None else shared.on_network
            row = await run(_row, item, shared.settings)
            if isinstance(row, str):
                written.reasons[place] = row
            else:
                rows[place] = row
        await _upsert(shared, rows, written)
    return written


async def _upsert(shared: Services, rows: Mapping[int, dict[str, Any]], written: Written) -> None:
    if not rows:
        return
    report = await shared.writer.write(lambda collection: collection.upsert(list(rows.values())))
    written.added += report.added
    written.changed += report.changed
    written.unchanged += report.unchanged
    _tell({row["key"]: place for place, row in rows.items()}, report.failures, written)


async def update(shared: Services, items: Sequence[AttributesIn]) -> Written:
    """Set and remove attributes. Raises as `Collection.update` does."""
    written = Written()
    keys = await _named(shared, [item.key for item in items])
    for places in _runs(keys):
        wanted = {keys[place]: items[place].attributes for place in places}
        report = await shared.writer.write(partial(Collection.update, attributes=wanted))
        written.changed += report.updated
        written.unchanged += report.unchanged
        _tell({keys[place]: place for place in places}, report.failures, written)
    return written


async def remove(shared: Services, keys: Sequence[str]) -> Written:
    """Forget items; one that is not there is a failure of its own."""
    shelf = shared.shelf
    keys = await _named(shared, keys)

    def work(collection: Collection) -> set[str]:
        while True:
            there = shelf.known(keys)
            try:
                collection.remove([key for key in dict.fromkeys(keys) if key in there])
            except ItemNotFoundError:  # another process was quicker
                continue
            return there

    there = await shared.writer.write(work)
    written = Written(removed=len(there))
    for place, key in enumerate(keys):
        if key not in there:
            written.reasons[place] = "no item has this key"
    return written


async def _named(shared: Services, keys: Sequence[str]) -> list[str]:
    """As items have them: see naming.py."""
    names = await asyncio.to_thread(shared.shelf.names, keys)
    return [names.get(key, key) for key in keys]


def results(keys: Sequence[str], written: Written) -> list[dict[str, Any]]:
    """A ResultOut for each item of a request."""
    found = []
    for place, key in enumerate(keys):
        reason = written.reasons.get(place)
        done: dict[str, Any] = {"key": key, "status": "done" if reason is None else "failed"}
        found.append(done if reason is None else {**done, "reason": reason})
    return found


def by_lines(
    model: type[M], write: Callable[[Services, Sequence[M]], Awaitable[Written]], shared: Services
) -> Handle:
    """Lines of JSON, each a `model`, written by `write`: for `lines.Results`."""

    async def handle(batch: Sequence[Line]) -> list[dict[str, Any]]:
        items: list[M] = []
        numbers: list[int] = []
        failed: dict[int, dict[str, Any]] = {}
        for line in batch:
            item = _parsed(model, line)
            if isinstance(item, dict):
                failed[line.number] = item
            else:
                items.append(item)
                numbers.append(line.number)
        try:
            written = await write(shared, items)
        except (MmsearchError, Problem) as error:
            # Too late for a status: the lines of this batch failed, later ones may not.
            written = Written(reasons=dict.fromkeys(range(len(items)), str(error)))
        told = results([item.key for item in items], written)
        done = failed | dict(zip(numbers, told, strict=True))
        return [{"line": line.number, **done[line.number]} for line in batch]

    return handle


def _parsed(model: type[M], line: Line) -> M | dict[str, Any]:
    """What a line says, or a ResultOut that says why it cannot be read."""
    if line.data is None:
        return _unread("the line is too long: send a smaller picture")
    try:
        fields = parse_json(line.data)
    except json.JSONDecodeError as error:
        return _unread(f"no JSON: {error.msg}")
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        return _unread(why(error), fields.get("key") if isinstance(fields, dict) else None)


def _unread(reason: str, key: Any = None) -> dict[str, Any]:
    named = str(key) if type(key) in (str, int, float) else None
    return {"key": named, "status": "failed", "reason": reason}


def why(error: ValidationError) -> str:
    """The first thing that is wrong with a model, on one line."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def _row(item: ItemIn, settings: Settings) -> dict[str, Any] | str:
    """A row for `Collection.upsert`, or why there is none. No request names a file of ours:
    its columns are these, and all that clients name themselves stands in `attributes`."""
    row: dict[str, Any] = {
        "key": item.key,
        "title": item.title,
        "description": item.description,
        "text": item.text,
        "group": item.group,
        "attributes": item.attributes,
    }
    row = {name: value for name, value in row.items() if value is not None}
    try:
        picture = _picture(item, settings)
    except (InputError, Problem) as error:
        return str(error)
    except ValueError as error:  # binascii.Error, or a character that is not ASCII
        return f"image_base64: {error}"
    if picture is not None:
        row["image"] = picture
    return row


def _picture(item: ItemIn, settings: Settings) -> bytes | None:
    """Raises InputError, Problem for too many pixels, binascii.Error for what is no base64."""
    if item.image_url is not None:
        picture = _fetched(item.image_url, settings)
    elif item.image_base64 is not None:
        picture = base64.b64decode(item.image_base64, validate=True)
    else:
        return None
    require_pixels(read(picture), settings.max_upload_pixels)
    return picture


def _fetched(url: str, settings: Settings) -> bytes:
    if not settings.url_hosts:
        raise InputError(
            "image_url: this server fetches no pictures; send image_base64, or ask its operator "
            "to allow the host with --allow-url"
        )
    from mmsearch.fetch import fetch_image

    return fetch_image(
        url,
        settings.url_hosts,
        limit_bytes=settings.max_body_bytes,
        timeout_s=settings.request_seconds,
    )


def _tell(places: Mapping[str, int], failures: Sequence[Failure], written: Written) -> None:
    for failure in failures:
        # Rows are numbered within what was written together, which clients do not know of.
        written.reasons[places[failure.key]] = _ROW.sub("", failure.reason)


def _runs(keys: Sequence[str]) -> Iterator[list[int]]:
    """Places in order, in as few lists as can be where no list has one key twice."""
    run: list[int] = []
    seen: set[str] = set()
    for place, key in enumerate(keys):
        if key in seen:
            yield run
            run, seen = [], set()
        run.append(place)
        seen.add(key)
    if run:
        yield run
