"""The contract in /openapi.json, asked for everything that it allows and much that it does not.

Each operation gets requests made from its own schemas by schemathesis, right ones and wrong ones,
some of them about items that exist. No answer may be a 5xx that means a bug, a status or a media
type that the document does not name, or a body of another shape; and what the schemas forbid must
not be taken.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mmsearch.server.app import create_app
from mmsearch.server.settings import Settings
from tests.support import ColourEncoder

URL = "http://127.0.0.1"
KEYS = ["P1", "P2", "red.png", "note.txt", "P9"]
NAMES = ["warm", "new/one"]


def is_no_bug(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """Other statuses from 500 up are well if the document names them: not ready, too busy."""
    assert response.status_code != 500, response.text


def is_not_taken(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """What is wrong and too large besides is refused for its size, before it is read."""
    if response.status_code != 413:
        negative_data_rejection(context, response, case)


# Parts of a query that are filters, cursors, or names and keys of what there is.
RARELY_RIGHT = {"cursor", "where", "within", "terms", "like", "liked", "disliked", "modifiers"} | {
    "sort", "facet", "facets", "weights", "templates", "min_relevance", "diversity"}  # fmt: skip
CHECKS = [
    is_no_bug,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    is_not_taken,
]
DOCUMENT: dict[str, Any] = create_app(Settings(Path("nowhere"))).openapi()
OPERATIONS = [
    f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods
]
OPERATIONS.sort(key=lambda name: name.startswith("DELETE") or name.endswith("/delete"))


@pytest.fixture(scope="module")
def app(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """One for all operations, those that remove something last."""
    folder = Path(shutil.copytree(template, tmp_path_factory.mktemp("fuzz") / "shop"))
    yield create_app(Settings(folder / ".mmsearch", roots=(folder,)), encoder=ColourEncoder())
    asgi.shutdown_lifespans()


def asked(
    app: FastAPI, method: str, path: str, mode: GenerationMode
) -> st.SearchStrategy[Case[Any]]:
    """Requests to one operation; what their paths name exists now and then."""
    schema = schemathesis.openapi.from_dict(app.openapi())
    schema.app = app
    cases = schema[path][method].as_strategy(generation_mode=mode)
    return st.builds(_about, cases, st.sampled_from(KEYS), st.sampled_from(NAMES), st.booleans())


def _about(case: Case[Any], key: str, name: str, change: bool) -> Case[Any]:
    """The same about something that exists, and without what random text cannot say rightly."""
    if not change:
        return case
    for place, value in (("key", key), ("name", name)):
        if place in case.path_parameters:
            case.path_parameters[place] = value
    right = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    for fields in (case.query, case.body):
        if right and isinstance(fields, dict):
            for field in set(fields) & RARELY_RIGHT:
                del fields[field]
    return case


def modes(method: str, path: str) -> list[GenerationMode]:
    """Wrong requests only where there is something to be wrong: any text may be a key."""
    operation = DOCUMENT["paths"][path][method]
    wrong = "requestBody" in operation or any(
        one["in"] == "query" for one in operation.get("parameters", ())
    )
    return [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if wrong else [])]


def ask(app: FastAPI, operation: str, examples: int) -> None:
    method, _, path = operation.partition(" ")
    for mode in modes(method.lower(), path):

        @settings(
            max_examples=examples,
            database=None,
            derandomize=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=asked(app, method, path, mode))
        def one(case: Case[Any]) -> None:
            case.call_and_validate(base_url=URL, checks=CHECKS)

        one()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_keeps_the_contract(app: FastAPI, operation: str) -> None:
    ask(app, operation, 6)


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_keeps_the_contract_for_long(app: FastAPI, operation: str) -> None:
    ask(app, operation, 150)
