"""The order of the guards: what costs least and tells a stranger least comes first."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request, Response

from mmsearch.server import metrics as figures
from mmsearch.server import tracing
from mmsearch.server.hosts import require_keys
from mmsearch.server.metrics import Metrics
from mmsearch.server.problems import responses
from mmsearch.server.security.bodies import Bodies
from mmsearch.server.security.gate import Check, Gate
from mmsearch.server.security.headers import Headers
from mmsearch.server.security.identity import Identify, KeyFile, authorize
from mmsearch.server.security.observe import Bugs, Observe
from mmsearch.server.security.origins import Origins, require_origin
from mmsearch.server.security.rate import Rate
from mmsearch.server.security.requests import (
    Hosts,
    LinkedFilters,
    WritingOrigins,
    check_method,
    check_path,
)
from mmsearch.server.settings import Settings


def add_layers(app: FastAPI, settings: Settings) -> None:
    """Raises UsageError for an open address without keys or an origin that is none, InputError for
    a bad file of keys."""
    require_keys(settings.host, has_keys=settings.has_keys)
    for origin in settings.allow_origins:
        require_origin(origin)
    metrics: Metrics = app.state.metrics
    spans = tracing.from_environment()
    if spans is not None:
        metrics.on_stage = spans.stage
    _add_route(app, metrics)
    # The last one added is the outermost.
    app.add_middleware(Bodies, settings=settings)
    app.add_middleware(Gate, checks=_checks(settings))
    app.add_middleware(Bugs)
    if settings.allow_origins:
        app.add_middleware(Origins, allowed=settings.allow_origins)
    app.add_middleware(Headers)
    app.add_middleware(Observe, metrics=metrics, tracing=spans, log_queries=settings.log_queries)


def _checks(settings: Settings) -> list[Check]:
    checks: list[Check] = [
        Hosts(settings.trusted_hosts, only_local=not settings.has_keys),
        check_path,
        check_method,
    ]
    if settings.keys_file is None:
        checks.append(WritingOrigins(settings.allow_origins))
    else:
        checks.append(Identify(KeyFile(settings.keys_file)))
    if settings.requests_per_second > 0:
        # Before strangers are refused: guessing keys is limited too.
        checks.append(Rate(settings.requests_per_second, settings.burst))
    if settings.keys_file is not None:
        checks.append(authorize)
    checks.append(LinkedFilters(settings.max_filter_depth))
    return checks


def _add_route(app: FastAPI, metrics: Metrics) -> None:
    async def serve_metrics(request: Request) -> Response:
        """What the server counts and times, in Prometheus' text format."""
        text = await asyncio.to_thread(metrics.render)
        return Response(text, headers={"Content-Type": figures.MEDIA_TYPE})

    app.add_api_route(
        "/metrics",
        serve_metrics,
        methods=["GET"],
        tags=["server"],
        operation_id="metrics",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **responses(401, 403, 429),
        },
    )
