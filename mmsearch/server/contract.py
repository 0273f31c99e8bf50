"""What /openapi.json says beyond what FastAPI finds by itself."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from mmsearch.server import schemas

REFS = "#/components/schemas/{model}"

TAGS: list[dict[str, Any]] = [
    {"name": "search", "description": "Ask by words, pictures and stored items."},
    {"name": "items", "description": "Read, add, change and remove items."},
    {"name": "pictures", "description": "Pictures of items, whole and small."},
    {"name": "collection", "description": "What there is, and what it is encoded with."},
    {"name": "concepts", "description": "Queries under a name."},
    {"name": "quality", "description": "Feedback, and measures of judged queries."},
    {"name": "jobs", "description": "Long work in the background."},
    {"name": "server", "description": "Is it well?"},
]
# Bodies that a route reads by itself, so that FastAPI does not know of them.
_OWN: tuple[type[BaseModel], ...] = (
    schemas.SearchRequest,
    schemas.ItemsIn,
    schemas.UpdatesIn,
    schemas.AttributesIn,
    schemas.ResultOut,
)


def ref(model: type[BaseModel]) -> dict[str, str]:
    """A reference to the schema of one of these bodies."""
    return {"$ref": REFS.format(model=model.__name__)}


def state(app: FastAPI) -> None:
    """Let `app.openapi()` name the bodies that routes read by themselves."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                license_info=app.license_info,
                tags=app.openapi_tags,
                routes=app.routes,
            )
            _, own = models_json_schema([(m, "validation") for m in _OWN], ref_template=REFS)
            known = found.setdefault("components", {}).setdefault("schemas", {})
            for name, schema in own["$defs"].items():
                known.setdefault(name, schema)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it
