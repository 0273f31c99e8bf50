"""The application: routes, guards, and what starts and stops with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

import mmsearch
from mmsearch.server import contract, problems
from mmsearch.server.metrics import Metrics
from mmsearch.server.routes import (
    collection,
    concepts,
    items,
    jobs,
    page,
    pictures,
    quality,
    search,
)
from mmsearch.server.security import guard
from mmsearch.server.services import Services
from mmsearch.server.settings import Settings
from mmsearch.types import Encoder


def create_app(
    settings: Settings, *, encoder: Encoder | Sequence[Encoder] | None = None
) -> FastAPI:
    """An ASGI application that serves one collection. `encoder` as in `mmsearch.open`.

    Raises UsageError for an open address without keys, InputError for a bad file of keys; when it
    starts, NoCollectionError, SchemaError and StorageError.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = Services(settings, app.state.metrics, encoder)
        app.state.services = services
        await services.start()
        try:
            yield
        finally:
            await services.close()

    app = FastAPI(
        title="mmsearch",
        summary="Find pictures and texts by words, by a picture, or by something already found",
        version=mmsearch.__version__,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from another host
        redoc_url=None,
        openapi_tags=contract.TAGS,
        # FastAPI's own spans would hold query strings; tracing.py makes ours without them.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.metrics = Metrics()
    problems.add_handlers(app)
    for routes in (search, items, pictures, collection, concepts, quality, jobs, page):
        app.include_router(routes.router)
    guard(app, settings)
    contract.state(app)
    return app
