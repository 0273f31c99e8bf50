"""Searching: by a body, by a link, by pictures, by an item; and completions."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from mmsearch.server.bodies import (
    MAX_FILES,
    StrictRoute,
    parse_fields,
    parse_json,
    parse_model,
    uploads,
)
from mmsearch.server.contract import ref
from mmsearch.server.convert import (
    answer_json,
    json_bytes,
    json_response,
    query_of,
    require_k,
    where_of,
)
from mmsearch.server.pictures import decode_upload
from mmsearch.server.problems import Problem, responses
from mmsearch.server.schemas import AnswerOut, SearchRequest, SuggestionsOut
from mmsearch.server.services import Services, Shared, unless_gone
from mmsearch.types import Mode, Target

router = APIRouter(tags=["search"], route_class=StrictRoute)

_ERRORS = responses(400, 401, 403, 404, 413, 429, 503, 504)
_ANSWER: dict[int | str, dict[str, Any]] = {200: {"model": AnswerOut}, **_ERRORS}
K = Annotated[int, Query(ge=1, description="Hits of one page.")]
Where = Annotated[str | None, Query(description="A filter; JSON if it begins with a brace.")]
Cursor = Annotated[str | None, Query(description="Of the page before.")]


@router.post(
    "/v1/search",
    operation_id="search",
    responses={**_ANSWER, **responses(415)},
    response_class=Response,
)
async def search(request: Request, body: SearchRequest, shared: Shared) -> Response:
    """Find items by words, stored items and concepts, with filters, facets and pages."""
    return await _answer(request, shared, body)


@router.get("/v1/search", operation_id="search_link", responses=_ANSWER, response_class=Response)
async def search_link(
    request: Request,
    shared: Shared,
    q: Annotated[str | None, Query(description="What to look for.")] = None,
    like: Annotated[list[str], Query(description="Keys of items to look for.")] = [],  # noqa: B006
    k: K = 10,
    to: Target | None = None,
    where: Where = None,
    sort: Annotated[list[str], Query(description="A leading minus: descending.")] = [],  # noqa: B006
    facet: Annotated[list[str], Query()] = [],  # noqa: B006  # FastAPI copies defaults
    group: bool = False,
    min_relevance: Annotated[str | None, Query(description="A number, or auto.")] = None,
    cursor: Cursor = None,
    mode: Mode | None = None,
    explain: bool = False,
) -> Response:
    """The same for links: what most searches need, in the address."""
    asked = {
        "text": q,
        "terms": [{"item": key} for key in like],
        "k": k,
        "to": to,
        "where": _where(where),
        "sort": sort,
        "facets": facet,
        "group": group,
        "min_relevance": _relevance(min_relevance),
        "cursor": cursor,
        "mode": mode,
        "explain": explain,
    }
    return await _answer(request, shared, parse_fields(SearchRequest, asked, "query"))


@router.post(
    "/v1/search/image",
    operation_id="search_image",
    responses={**_ANSWER, **responses(415)},
    response_class=Response,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {
                            "image": {
                                "type": "array",
                                "maxItems": MAX_FILES,
                                "items": {"type": "string", "format": "binary"},
                            },
                            "query": ref(SearchRequest),
                            "weight": {
                                "type": "array",
                                "items": {"type": "number"},
                                "description": "One for each image, or one for all; else 1.",
                            },
                        },
                    },
                    "encoding": {"query": {"contentType": "application/json"}},
                }
            },
        }
    },
)
async def search_image(request: Request, shared: Shared) -> Response:
    """Find items by uploaded pictures, together with all that a query can say."""
    files, fields = await uploads(request)
    unknown = next((name for name in fields if name not in ("query", "weight")), None)
    if unknown is not None:
        raise Problem(422, f"unknown field {unknown!r}: there are image, query and weight")
    body = parse_model(SearchRequest, fields.get("query", ["{}"])[-1].encode())
    weights = [_number(given, "weight") for given in fields.get("weight", ["1"])]
    if len(weights) == 1:
        weights *= len(files)
    if len(weights) != len(files):
        raise Problem(422, f"{len(weights)} weights for {len(files)} pictures: one each, or one")
    most = shared.settings.max_upload_pixels
    images = [
        (await shared.on_pictures(decode_upload, file, most), weight)
        for file, weight in zip(files, weights, strict=True)
    ]
    query = query_of(body, shared.settings, images)
    answer = await unless_gone(request, shared.answer(query))
    return json_response(answer_json(answer))


@router.get(
    "/v1/similar/{key:path}", operation_id="similar", responses=_ANSWER, response_class=Response
)
async def similar(
    request: Request,
    key: str,
    shared: Shared,
    k: K = 10,
    where: Where = None,
    cursor: Cursor = None,
) -> Response:
    """More like one item, without itself."""
    terms = [{"item": key}]
    asked = {"terms": terms, "exclude": [key], "k": k, "where": _where(where), "cursor": cursor}
    return await _answer(request, shared, parse_fields(SearchRequest, asked, "query"))


@router.get(
    "/v1/suggest",
    operation_id="suggest",
    responses={200: {"model": SuggestionsOut}, **_ERRORS},
    response_class=Response,
)
async def suggest(request: Request, shared: Shared, q: str = "", k: K = 10) -> Response:
    """Titles, tags and other texts that begin so, the most frequent first."""
    require_k(k, shared.settings)
    asked = shared.engine.call(lambda collection: collection.suggest(q, k=k))
    found = await unless_gone(request, asked)
    return json_response({"suggestions": [{"text": text, "items": n} for text, n in found]})


async def _answer(request: Request, shared: Services, body: SearchRequest) -> Response:
    query = query_of(body, shared.settings)
    name, stamp = body.model_dump_json(), shared.answers.stamp()
    sent = None if body.explain else shared.answers.get(name, stamp)
    shared.metrics.cache(hit=sent is not None)
    if sent is None:
        answer = await unless_gone(request, shared.answer(query))
        sent = json_bytes(answer_json(answer))
        if not body.explain:  # which tells of this answer's own way and time
            shared.answers.put(name, stamp, sent)
    return Response(sent, media_type="application/json")


def _where(where: str | None) -> Any:
    if where is None or not where.lstrip().startswith("{"):
        return where_of(where)
    try:
        return parse_json(where.encode())
    except json.JSONDecodeError as error:
        raise Problem(400, f"where is no JSON: {error.msg}") from error


def _relevance(given: str | None) -> Any:
    return given if given in (None, "auto") else _number(str(given), "min_relevance")


def _number(given: str, name: str) -> float:
    try:
        return float(given)
    except ValueError:
        raise Problem(422, f"{name} must be a number, not {given[:40]!r}") from None
