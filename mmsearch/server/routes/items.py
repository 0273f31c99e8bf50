"""Items: read, add, change and remove them, one or many."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from mmsearch.errors import ItemNotFoundError
from mmsearch.server import changes, lines
from mmsearch.server.bodies import StrictRoute, media_type, parse_model
from mmsearch.server.changes import Written
from mmsearch.server.contract import ref
from mmsearch.server.convert import item_json, json_response, require_batch
from mmsearch.server.problems import Problem, responses
from mmsearch.server.routes.pictures import is_known
from mmsearch.server.schemas import (
    AttributesIn,
    ItemIn,
    ItemOut,
    ItemsIn,
    KeysIn,
    ResultOut,
    UpdatesIn,
    WrittenOut,
)
from mmsearch.server.services import Shared

router = APIRouter(tags=["items"], route_class=StrictRoute)

B = TypeVar("B", bound=BaseModel)
_WRITE_ERRORS = responses(400, 401, 403, 409, 413, 415, 429, 503, 507)


def _documented(body: type[BaseModel], line: type[BaseModel]) -> dict[str, Any]:
    """The two forms of a body that a route reads by itself."""
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ref(body)},
                lines.MEDIA_TYPE: {"schema": ref(line)},
            },
        }
    }


_WRITTEN: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What became of each; NDJSON is answered line by line.",
        "model": WrittenOut,
        "content": {lines.MEDIA_TYPE: {"schema": ref(ResultOut)}},
    },
    **_WRITE_ERRORS,
}


@router.post(
    "/v1/items",
    operation_id="upsert_items",
    responses=_WRITTEN,
    response_class=Response,
    openapi_extra=_documented(ItemsIn, ItemIn),
)
async def upsert(request: Request, shared: Shared) -> Response:
    """Add items, or replace those whose key is known; only what changed is encoded.

    As NDJSON, one item a line, of any length: each line is answered once it is committed. Read
    while you send, or send at most 10,000 lines in one request.
    """
    if media_type(request) == lines.MEDIA_TYPE:
        handle = changes.by_lines(ItemIn, changes.upsert, shared)
        return lines.Results(request, handle, shared.settings.max_body_bytes)
    body = await _json(request, ItemsIn)
    require_batch(len(body.items), "items", shared.settings)
    written = await changes.upsert(shared, body.items)
    return _response([item.key for item in body.items], written)


@router.patch(
    "/v1/items",
    operation_id="update_items",
    responses=_WRITTEN,
    response_class=Response,
    openapi_extra=_documented(UpdatesIn, AttributesIn),
)
async def update(request: Request, shared: Shared) -> Response:
    """Set attributes, and remove those that are null; nothing is encoded."""
    if media_type(request) == lines.MEDIA_TYPE:
        handle = changes.by_lines(AttributesIn, changes.update, shared)
        return lines.Results(request, handle, shared.settings.max_body_bytes)
    body = await _json(request, UpdatesIn)
    require_batch(len(body.items), "items", shared.settings)
    wanted = [AttributesIn(key=key, attributes=new) for key, new in body.items.items()]
    return _response(list(body.items), await changes.update(shared, wanted))


@router.post(
    "/v1/items/delete",
    operation_id="remove_items",
    responses={200: {"model": WrittenOut}, **_WRITE_ERRORS},
    response_class=Response,
)
async def remove(body: KeysIn, shared: Shared) -> Response:
    """Forget items; files that were indexed are not touched."""
    require_batch(len(body.keys), "keys", shared.settings)
    return _response(body.keys, await changes.remove(shared, body.keys))


@router.delete(
    "/v1/items/{key:path}",
    operation_id="remove_item",
    status_code=204,
    responses={204: {"description": "It is gone."}, **_WRITE_ERRORS, **responses(404)},
)
async def remove_one(key: str, shared: Shared) -> Response:
    """Forget one item."""
    if (await changes.remove(shared, [key])).reasons:
        raise ItemNotFoundError(f"no item has the key {key!r}")
    return Response(status_code=204)


@router.get(
    "/v1/items/{key:path}",
    operation_id="item",
    responses={
        200: {"model": ItemOut},
        304: {"description": "Not Modified"},
        **responses(401, 403, 404, 429),
    },
    response_class=Response,
)
async def item(request: Request, key: str, shared: Shared) -> Response:
    """One item, with the addresses of its picture."""
    held = await asyncio.to_thread(shared.shelf.item, key)
    headers = {"ETag": f'"{held.version}"', "Cache-Control": "no-cache"}
    if is_known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    response = json_response(item_json(held))
    response.headers.update(headers)
    return response


async def _json(request: Request, model: type[B]) -> B:
    if media_type(request) != "application/json":
        raise Problem(415, f"send application/json, or {lines.MEDIA_TYPE} with one item a line")
    # In a thread: a body may be many megabytes of pictures.
    return await asyncio.to_thread(parse_model, model, await request.body())


def _response(keys: Sequence[str], written: Written) -> Response:
    return json_response(
        {
            "added": written.added,
            "changed": written.changed,
            "unchanged": written.unchanged,
            "removed": written.removed,
            "results": changes.results(keys, written),
        }
    )
