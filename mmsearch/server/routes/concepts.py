"""Concepts: queries that are kept under a name, for terms and conditions of others."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from mmsearch.collection import Collection
from mmsearch.errors import ItemNotFoundError
from mmsearch.server.bodies import StrictRoute
from mmsearch.server.convert import json_response, terms_of
from mmsearch.server.naming import keys_of, renamed
from mmsearch.server.problems import responses
from mmsearch.server.schemas import ConceptIn, ConceptOut, ConceptsOut
from mmsearch.server.services import Shared
from mmsearch.types import Query

router = APIRouter(tags=["concepts"], route_class=StrictRoute)

_WRITE_ERRORS = responses(400, 401, 403, 404, 409, 413, 415, 429, 503, 507)


@router.get(
    "/v1/concepts",
    operation_id="concepts",
    responses={200: {"model": ConceptsOut}, **responses(401, 403, 429, 503, 504)},
    response_class=Response,
)
async def concepts(shared: Shared) -> Response:
    """All of them, by name."""
    found = await shared.engine.call(_all)
    return json_response({"concepts": list(found.values())})


@router.get(
    "/v1/concepts/{name:path}",
    operation_id="concept",
    responses={200: {"model": ConceptOut}, **responses(401, 403, 404, 429, 503, 504)},
    response_class=Response,
)
async def concept(name: str, shared: Shared) -> Response:
    """What one looks for."""
    found = await shared.engine.call(_all)
    if name not in found:
        raise ItemNotFoundError(f"no concept is called {name!r}")
    return json_response(found[name])


@router.put(
    "/v1/concepts/{name:path}",
    operation_id="save_concept",
    responses={200: {"model": ConceptOut}, **_WRITE_ERRORS},
    response_class=Response,
)
async def save(name: str, body: ConceptIn, shared: Shared) -> Response:
    """Keep what a query looks for; replaces the concept of that name."""
    query = Query(
        terms_of(body.text, body.terms), liked=tuple(body.liked), disliked=tuple(body.disliked)
    )

    def work(collection: Collection) -> dict[str, Any]:
        collection.save_concept(name, renamed(query, shared.shelf.names(keys_of(query))))
        return _all(collection)[name]

    return json_response(await shared.writer.write(work))


@router.delete(
    "/v1/concepts/{name:path}",
    operation_id="remove_concept",
    status_code=204,
    responses={204: {"description": "It is gone."}, **_WRITE_ERRORS},
)
async def remove(name: str, shared: Shared) -> Response:
    """Forget a concept."""
    await shared.writer.write(lambda collection: collection.remove_concept(name))
    return Response(status_code=204)


def _all(collection: Collection) -> dict[str, dict[str, Any]]:
    return {name: concept.to_json() for name, concept in collection.concepts().items()}
