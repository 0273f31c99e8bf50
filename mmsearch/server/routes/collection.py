"""What there is: the collection, the models, and whether the server is well."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response

from mmsearch.collection import Collection
from mmsearch.models.registry import list_models
from mmsearch.server.convert import json_response
from mmsearch.server.problems import responses
from mmsearch.server.schemas import CollectionOut, HealthOut, ModelsOut
from mmsearch.server.services import Shared

router = APIRouter()


@router.get(
    "/v1/collection",
    tags=["collection"],
    operation_id="collection",
    responses={200: {"model": CollectionOut}, **responses(401, 403, 429, 503, 504)},
    response_class=Response,
)
async def collection(shared: Shared) -> Response:
    """Counts, sizes, the encoder, what queries default to, and the attributes there are."""
    found = await shared.engine.call(_collection)
    attributes = await asyncio.to_thread(shared.shelf.attribute_types)
    found["attributes"] = [{"name": name, "types": types} for name, types in attributes.items()]
    found["sequence"] = await asyncio.to_thread(shared.shelf.sequence)
    return json_response(found)


@router.get(
    "/v1/models",
    tags=["collection"],
    operation_id="models",
    responses={200: {"model": ModelsOut}, **responses(401, 403, 429, 503)},
    response_class=Response,
)
async def models() -> Response:
    """The models that a collection can be encoded with: as `mmsearch models` lists them."""
    # Half a second the first time, and then a look at the disk for each.
    known = await asyncio.to_thread(list_models, everything=True)
    return json_response({"models": [asdict(model) for model in known]})


@router.get("/healthz", tags=["server"], operation_id="health", responses=responses())
async def health() -> HealthOut:
    """The process is alive."""
    return HealthOut(status="alive")


@router.get("/readyz", tags=["server"], operation_id="ready", responses=responses(503, 504))
async def ready(shared: Shared) -> HealthOut:
    """It can answer: the model is loaded and the index is where the catalog is."""
    await shared.engine.check()
    return HealthOut(status="ready", sequence=await asyncio.to_thread(shared.shelf.sequence))


def _collection(opened: Collection) -> dict[str, Any]:
    status = opened.status()
    defaults = opened.defaults()
    return {
        "items": status.items,
        "images": status.images,
        "texts": status.texts,
        "missing": status.missing,
        "failures": status.failures,
        "sizes": {
            "catalog": status.catalog_bytes,
            "vectors": status.vectors_bytes,
            "index": status.index_bytes,
            "pictures": status.pictures_bytes,
        },
        "index_kind": status.index_kind,
        "encoder": None
        if status.model is None
        else {"name": status.model, "fingerprint": status.fingerprint, "dim": status.dim},
        "defaults": None if defaults is None else asdict(defaults),
    }
