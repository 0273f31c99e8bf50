"""How good the answers are: what people did with them, and measures of judged queries."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from mmsearch.server.bodies import StrictRoute
from mmsearch.server.convert import json_response, query_of, require_batch
from mmsearch.server.problems import Problem, responses
from mmsearch.server.schemas import (
    EvaluateIn,
    EvaluateOut,
    FeedbackIn,
    JudgedQuery,
    SearchRequest,
)
from mmsearch.server.services import Services, Shared, unless_gone

if TYPE_CHECKING:
    from mmsearch.evaluation.measures import Measure

router = APIRouter(tags=["quality"], route_class=StrictRoute)

# So many of its queries wait at a time: others come in between.
_AT_ONCE = 16


@router.post(
    "/v1/feedback",
    operation_id="feedback",
    status_code=202,
    responses={
        202: {"description": "Kept."},
        **responses(400, 401, 403, 404, 413, 415, 429, 507),
    },
    response_class=Response,
)
async def feedback(body: FeedbackIn, shared: Shared) -> Response:
    """Keep what someone did with a hit, for `mmsearch evaluate` and `mmsearch train`."""
    await asyncio.to_thread(shared.feedback.add, body)
    return json_response({"status": "kept"}, 202)


@router.post(
    "/v1/evaluate",
    operation_id="evaluate",
    responses={
        200: {"model": EvaluateOut},
        **responses(400, 401, 403, 404, 413, 415, 429, 503, 504),
    },
    response_class=Response,
)
async def evaluate(request: Request, body: EvaluateIn, shared: Shared) -> Response:
    """Answer judged queries and measure the answers, as `mmsearch evaluate` does.

    Measures without a cut-off (AP, RR) look at as many hits as the server gives for one query.
    """
    from mmsearch.evaluation.measures import parse_measure

    require_batch(len(body.queries), "queries", shared.settings)
    measures = [parse_measure(name) for name in body.measures]
    depth = min(
        max(shared.settings.max_k if one.k is None else one.k for one in measures),
        shared.settings.max_k,
    )
    if any(one.k is not None and one.k > depth for one in measures):
        raise Problem(400, f"measures look at {depth} hits here at most: choose a lower cut-off")
    run = await unless_gone(request, _run(shared, body.queries, depth))
    judged = sorted({key for one in body.queries for key in one.relevant})
    names = await asyncio.to_thread(shared.shelf.names, judged)
    for one in body.queries if names else ():
        one.relevant = {names.get(key, key): grade for key, grade in one.relevant.items()}
    judged = sorted({names.get(key, key) for key in judged})
    known = await asyncio.to_thread(shared.shelf.known, judged, live=True)
    unknown = [key for key in judged if key not in known]
    return json_response(await asyncio.to_thread(_measured, body, run, measures, unknown))


async def _run(
    shared: Services, judged: Sequence[JudgedQuery], depth: int
) -> dict[str, dict[str, float]]:
    """Number of a query -> key -> a score that falls with the rank."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def answer(number: int, one: JudgedQuery) -> tuple[str, dict[str, float]]:
        asked = SearchRequest(text=one.query) if isinstance(one.query, str) else one.query
        query = query_of(asked.model_copy(update={"k": depth}), shared.settings)
        async with slots:
            found = await shared.answer(query)
        return str(number), {hit.key: float(-hit.rank) for hit in found.hits}

    tasks = [asyncio.ensure_future(answer(number, one)) for number, one in enumerate(judged)]
    try:
        return dict(await asyncio.gather(*tasks))
    finally:
        for task in tasks:  # those that an error of one leaves behind
            task.cancel()


def _measured(
    body: EvaluateIn,
    run: Mapping[str, Mapping[str, float]],
    measures: Sequence[Measure],
    unknown: list[str],
) -> dict[str, Any]:
    """An EvaluateOut."""
    from mmsearch.evaluation.evaluate import evaluate_run
    from mmsearch.evaluation.task import Subject, Task

    queries = tuple(str(number) for number in range(len(body.queries)))
    qrels = {number: one.relevant for number, one in zip(queries, body.queries, strict=True)}
    task = Task("posted queries", None, "mixed to both", queries, (), qrels)
    found = evaluate_run(task, run, Subject("", ""), measures=measures)
    figures = {one.mean_name: found.figure(str(one)) for one in measures}
    return {
        "measures": {n: value if math.isfinite(value) else None for n, value in figures.items()},
        "queries": len(queries),
        "unknown_keys": unknown,
        "warnings": list(found.warnings),
    }
