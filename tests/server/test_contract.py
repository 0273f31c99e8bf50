"""/openapi.json says what the server does: routes, shapes, statuses, examples."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from mmsearch import errors
from mmsearch.errors import FilterError, MmsearchError
from mmsearch.server import schemas
from mmsearch.server.problems import STATUS, problem_of, status_of
from tests.server.worlds import encoded, picture

OPERATIONS = {
    "GET /healthz": "health",
    "GET /readyz": "ready",
    "POST /v1/search": "search",
    "GET /v1/search": "search_link",
    "POST /v1/search/image": "search_image",
    "GET /v1/similar/{key}": "similar",
    "GET /v1/suggest": "suggest",
    "GET /v1/items/{key}": "item",
    "POST /v1/items": "upsert_items",
    "PATCH /v1/items": "update_items",
    "POST /v1/items/delete": "remove_items",
    "DELETE /v1/items/{key}": "remove_item",
    "GET /v1/images/{key}": "image",
    "GET /v1/thumbnails/{key}": "thumbnail",
    "POST /v1/feedback": "feedback",
    "GET /v1/collection": "collection",
    "GET /v1/models": "models",
    "GET /v1/concepts": "concepts",
    "GET /v1/concepts/{name}": "concept",
    "PUT /v1/concepts/{name}": "save_concept",
    "DELETE /v1/concepts/{name}": "remove_concept",
    "POST /v1/evaluate": "evaluate",
    "POST /v1/jobs": "start_job",
    "GET /v1/jobs": "jobs",
    "GET /v1/jobs/{id}": "job",
    "DELETE /v1/jobs/{id}": "cancel_job",
}


def family(kind: type[MmsearchError] = MmsearchError) -> list[type[MmsearchError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in family(child))]


@pytest.mark.parametrize("kind", [k for k in family() if k.__module__ == errors.__name__])
def test_every_error_has_a_status(kind: type[MmsearchError]) -> None:
    assert kind is MmsearchError or kind in STATUS, f"give {kind.__name__} a status"


def test_error_of_another_room_has_its_parents_status() -> None:
    class Odd(FilterError): ...

    assert status_of(Odd("odd", 3)) == 400
    assert problem_of(Odd("odd", 3)).more == {"type": "urn:mmsearch:Odd", "position": 3}


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_is_in_the_document_under_a_name_for_clients(client: TestClient) -> None:
    found = operations(client.get("/openapi.json").json())
    named = {route: operation["operationId"] for route, operation in found.items()}
    assert OPERATIONS.items() <= named.items()
    assert all(name.isidentifier() for name in named.values())
    assert len(set(named.values())) == len(named)
    assert all(operation["tags"] and operation["description"] for operation in found.values())


def test_document_refers_only_to_what_it_holds(client: TestClient) -> None:
    text = client.get("/openapi.json").text
    known = json.loads(text)["components"]["schemas"]
    refs = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert refs
    assert refs <= set(known)
    assert "$defs" not in text


def test_routes_that_read_their_bodies_themselves_document_them(client: TestClient) -> None:
    found = operations(client.get("/openapi.json").json())
    for route in ("POST /v1/items", "PATCH /v1/items"):
        body = found[route]["requestBody"]["content"]
        assert set(body) == {"application/json", "application/x-ndjson"}
    assert "multipart/form-data" in found["POST /v1/search/image"]["requestBody"]["content"]


def test_examples_are_what_they_are_examples_of() -> None:
    count = 0
    for model in vars(schemas).values():
        if isinstance(model, type) and issubclass(model, BaseModel):
            extra = model.model_config.get("json_schema_extra")
            examples = extra.get("examples", []) if isinstance(extra, dict) else []
            assert isinstance(examples, list)
            for example in examples:
                model.model_validate(example)
                count += 1
    assert count >= 5


ITEM = {"key": "x", "text": "a", "image_base64": encoded(picture("red"))}
JUDGED = {"queries": [{"query": "red", "relevant": {"P1": 1}}], "measures": ["RR"]}


@pytest.mark.parametrize(
    ("method", "address", "body", "model"),
    [
        (
            "POST",
            "/v1/search",
            {"text": "red", "facets": ["price", "brand"], "explain": True, "mode": "hybrid"},
            schemas.AnswerOut,
        ),
        ("POST", "/v1/search", {"text": "shoe", "group": True, "to": "both"}, schemas.AnswerOut),
        ("GET", "/v1/similar/P1", None, schemas.AnswerOut),
        ("GET", "/v1/suggest?q=r", None, schemas.SuggestionsOut),
        ("GET", "/v1/items/P1", None, schemas.ItemOut),
        ("GET", "/v1/items/note.txt", None, schemas.ItemOut),
        ("GET", "/v1/collection", None, schemas.CollectionOut),
        ("GET", "/v1/models", None, schemas.ModelsOut),
        ("PUT", "/v1/concepts/c", {"text": "a", "liked": ["P1"]}, schemas.ConceptOut),
        ("POST", "/v1/evaluate", JUDGED, schemas.EvaluateOut),
        ("GET", "/v1/jobs", None, schemas.JobsOut),
        ("GET", "/readyz", None, schemas.HealthOut),
        ("GET", "/healthz", None, schemas.HealthOut),
    ],
)
def test_response_has_the_shape_that_is_documented(
    client: TestClient, method: str, address: str, body: Any, model: type[BaseModel]
) -> None:
    response = client.request(method, address, json=body)
    assert response.status_code == 200, response.text
    # No field more, none less.
    assert model.model_validate(response.json()).model_dump(mode="json") == response.json()


def test_results_of_writing_have_the_shape_that_is_documented(client: TestClient) -> None:
    written = client.post("/v1/items", json={"items": [ITEM, {"key": "y"}]}).json()
    model = schemas.WrittenOut.model_validate(written)
    assert model.model_dump(mode="json", exclude_unset=True) == written


def test_problem_is_one_everywhere(client: TestClient) -> None:
    for response in (
        client.get("/nowhere"),
        client.put("/v1/search"),
        client.get("/v1/items/nope"),
        client.post("/v1/search", json={}),
        client.post("/v1/search", json={"k": "x"}),
    ):
        problem = response.json()
        assert response.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail"} <= set(problem)
        assert problem["status"] == response.status_code
        assert response.headers.get("server") is None


def test_pages_that_load_scripts_from_elsewhere_are_off(client: TestClient) -> None:
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404


def test_page_is_served_and_nothing_beside_it(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert client.get("/", headers={"If-None-Match": page.headers["etag"]}).status_code == 304
    for name in ("../app.py", "..%2Fapp.py", "%2e%2e/settings.py", "", "nope.js"):
        assert client.get(f"/static/{name}").status_code in (400, 404)
