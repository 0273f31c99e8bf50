"""Pictures of items: whole and as thumbnails, with what browsers need to keep them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from mmsearch.server.pictures import Sent, original, snapped
from mmsearch.server.problems import responses
from mmsearch.server.services import Services, Shared

router = APIRouter(tags=["pictures"])

# A picture under the same key may change; until then a browser asks for none of them again.
MAX_AGE_S = 600
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture", "content": {"image/*": {}}},
    304: {"description": "Not Modified"},
    **responses(401, 403, 404, 429),
}


@router.head("/v1/thumbnails/{key:path}", include_in_schema=False)
@router.get(
    "/v1/thumbnails/{key:path}",
    operation_id="thumbnail",
    responses=_PICTURE,
    response_class=Response,
)
async def thumbnail(
    request: Request,
    key: str,
    shared: Shared,
    size: Annotated[int, Query(ge=64, le=1024, description="Snapped to 128, 256 ...")] = 256,
) -> Response:
    """A JPEG of an item's picture, at most `size` pixels a side."""
    size = snapped(size)
    path, digest = await asyncio.to_thread(shared.shelf.picture, key)
    etag = f'"{digest.hex()}-{size}"'
    if is_known(request, etag):
        return _not_modified(shared, etag)
    sent = shared.thumbnails.find(digest, size)
    if sent is None:
        sent = await shared.on_pictures(shared.thumbnails.get, path, digest, size)
    return _response(shared, sent, etag)


@router.head("/v1/images/{key:path}", include_in_schema=False)
@router.get(
    "/v1/images/{key:path}", operation_id="image", responses=_PICTURE, response_class=Response
)
async def image(request: Request, key: str, shared: Shared) -> Response:
    """An item's picture; a JPEG of it where browsers do not show its format.

    Its pixels are those of its file; where, when and by whom it was taken is left out, unless the
    operator has it otherwise.
    """
    path, digest = await asyncio.to_thread(shared.shelf.picture, key)
    metadata = shared.settings.picture_metadata
    etag = f'"{digest.hex()}"' if metadata else f'"{digest.hex()}-bare"'
    if is_known(request, etag):
        return _not_modified(shared, etag)
    sent = await shared.on_pictures(partial(original, path, digest, metadata=metadata))
    return _response(shared, sent, etag)


def _response(shared: Services, sent: Sent, etag: str) -> Response:
    # A file that was changed since it was indexed must not be kept under the old one's name.
    headers = _kept(shared, etag) if sent.kept else {"Cache-Control": "no-store"}
    return Response(sent.data, media_type=sent.media_type, headers=headers)


def _not_modified(shared: Services, etag: str) -> Response:
    return Response(status_code=304, headers=_kept(shared, etag))


def _kept(shared: Services, etag: str) -> dict[str, str]:
    who = "private" if shared.settings.has_keys else "public"
    return {"ETag": etag, "Cache-Control": f"{who}, max-age={MAX_AGE_S}"}


def is_known(request: Request, etag: str) -> bool:
    """RFC 9110, section 13.1.2: weak comparison."""
    given = request.headers.get("if-none-match", "")
    return any(
        one.strip() == "*" or one.strip().removeprefix("W/") == etag for one in given.split(",")
    )
