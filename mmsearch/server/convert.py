"""Between the shapes of HTTP and those of the library."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from fastapi import Response
from PIL import Image

from mmsearch.server.problems import Problem
from mmsearch.server.schemas import SearchRequest, TermIn
from mmsearch.server.settings import Settings
from mmsearch.server.shelf import Held
from mmsearch.types import Answer, Facet, Hit, Membership, Query, Sort, Term


def query_of(
    request: SearchRequest, settings: Settings, images: Sequence[tuple[Image.Image, float]] = ()
) -> Query:
    """`request`, with pictures and their weights in front, as the library's Query.

    Raises Problem for a k above the server's.
    """
    require_k(request.k, settings)
    given = [Term(image=image, weight=weight) for image, weight in images]
    return Query(
        terms=(*given, *terms_of(request.text, request.terms)),
        to=request.to,
        k=request.k,
        mode=request.mode,
        weights=request.weights,
        fusion=request.fusion,
        templates=None if request.templates is None else tuple(request.templates),
        liked=tuple(request.liked),
        disliked=tuple(request.disliked),
        where=where_of(request.where),
        within=tuple(Membership(m.concept, m.min_relevance, m.negated) for m in request.within),
        exclude=tuple(request.exclude),
        min_relevance=request.min_relevance,
        sort=tuple(Sort(s.removeprefix("-"), descending=s.startswith("-")) for s in request.sort),
        modifiers=request.modifiers,
        diversity=request.diversity,
        group=request.group,
        facets=tuple(request.facets),
        cursor=request.cursor,
        explain=request.explain,
    )


def terms_of(text: str | None, terms: Iterable[TermIn]) -> tuple[Term, ...]:
    """The terms of a query, the short form first."""
    first = () if text is None else (Term(text=text),)
    more = (
        Term(text=one.text, item=one.item, concept=one.concept, weight=one.weight) for one in terms
    )
    return (*first, *more)


def where_of(where: str | Mapping[str, Any] | None) -> str | Mapping[str, Any] | None:
    """A filter; one that is blank says nothing."""
    return None if isinstance(where, str) and not where.strip() else where


def require_k(k: int, settings: Settings) -> None:
    """Raises Problem for more hits than the server gives at once."""
    if k > settings.max_k:
        raise Problem(400, f"k is {k}, {settings.max_k} at most: go on with the answer's cursor")


def require_batch(count: int, what: str, settings: Settings) -> None:
    """Raises Problem for a body with too many parts."""
    if count > settings.max_batch:
        raise Problem(
            413,
            f"{count} {what} in one request, {settings.max_batch} at most: send several requests, "
            "or NDJSON where the route takes it",
        )


def json_response(value: Any, status: int = 200) -> Response:
    """UTF-8 JSON. Past FastAPI's validation of what it sends: a contract test checks the shapes."""
    return Response(json_bytes(value), status, media_type="application/json")


def json_bytes(value: Any) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def answer_json(answer: Answer) -> dict[str, Any]:
    """An AnswerOut."""
    return {
        "hits": [_hit(hit) for hit in answer.hits],
        "total": answer.total,
        "facets": [_facet(facet) for facet in answer.facets],
        "cursor": answer.cursor,
        "no_match": answer.no_match,
        "explain": answer.explain,
    }


def item_json(item: Held) -> dict[str, Any]:
    """An ItemOut: the item with the addresses of its picture."""
    has_image = item.picture is not None
    return {
        "key": item.key,
        "text": item.text,
        "group": item.group,
        "attributes": dict(item.attributes),
        "has_image": has_image,
        "image_url": f"/v1/images/{in_path(item.key)}" if has_image else None,
        "thumbnail_url": thumbnail_url(item.key) if has_image else None,
    }


def thumbnail_url(key: str) -> str:
    return f"/v1/thumbnails/{in_path(key)}"


def in_path(key: str) -> str:
    """`key` as the rest of a path; slashes too, or `..` and `//` in it would be normalised away."""
    return quote(key, safe="")


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "score": round(float(hit.score), 6),
        "key": hit.key,
        "modality": hit.modality,
        "path": hit.path,
        "text": hit.text,
        "group": hit.group,
        "attributes": dict(hit.attributes),
        "relevance": None if hit.relevance is None else round(float(hit.relevance), 6),
        "variants": hit.variants,
        "parts": None if hit.parts is None else {n: vars(part) for n, part in hit.parts.items()},
        "thumbnail_url": None if hit.path is None else thumbnail_url(hit.key),
    }


def _facet(facet: Facet) -> dict[str, Any]:
    return {
        "attribute": facet.attribute,
        "counts": [{"value": value, "count": count} for value, count in facet.counts],
        "distinct": facet.distinct,
        "missing": facet.missing,
        "low": facet.low,
        "high": facet.high,
    }
