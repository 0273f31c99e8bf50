"""Errors as RFC 9457 problems: which type of error is which status, in one table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from mmsearch import errors
from mmsearch.errors import FilterError, MmsearchError

MEDIA_TYPE = "application/problem+json"
GONE = 499  # nginx's number for a client that went away; nobody reads the response
RETRY_S = 1  # a queue of queries empties within about a second

# The status of each type of error; a subclass that is not named has its parent's.
STATUS: dict[type[MmsearchError], HTTPStatus] = {
    errors.UsageError: HTTPStatus.BAD_REQUEST,
    errors.FilterError: HTTPStatus.BAD_REQUEST,
    errors.InputError: HTTPStatus.BAD_REQUEST,
    errors.ImageError: HTTPStatus.BAD_REQUEST,
    errors.TableError: HTTPStatus.BAD_REQUEST,
    errors.RootError: HTTPStatus.BAD_REQUEST,
    errors.ItemNotFoundError: HTTPStatus.NOT_FOUND,
    errors.LockedError: HTTPStatus.CONFLICT,
    errors.EncoderMismatchError: HTTPStatus.CONFLICT,
    errors.TrainingError: HTTPStatus.CONFLICT,
    errors.ModelError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.HubUnreachableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NoCollectionError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StorageError: HTTPStatus.INSUFFICIENT_STORAGE,
    # A client's errors, of a server that this one would have asked.
    errors.ServerError: HTTPStatus.BAD_GATEWAY,
    errors.AuthError: HTTPStatus.BAD_GATEWAY,
    # What only the operator can mend, and no caller can cause.
    errors.CollectionError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.SchemaError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.CorruptionError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


class Problem(Exception):  # RFC 9457's own word
    """An answer that is no answer: raised anywhere, sent as application/problem+json."""

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more


class ProblemBody(BaseModel):
    """RFC 9457: what was wrong, and what to do next."""

    type: str = Field(examples=["urn:mmsearch:FilterError"])
    title: str = Field(examples=["Bad Request"])
    status: int = Field(examples=[400])
    detail: str = Field(examples=["unknown attribute 'prise'; there are: brand, price"])
    request_id: str | None = None
    position: int | None = Field(default=None, description="Of the fault, in the text of a filter.")
    errors: list[dict[str, Any]] | None = Field(default=None, description="Of a body's fields.")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the `responses` of a route: these statuses as problems, and those of any route."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "model": ProblemBody,
            "content": {MEDIA_TYPE: {}},
        }
        for status in (400, *statuses, 422)
    }


def status_of(error: MmsearchError) -> int:
    """The HTTP status of an error of the library."""
    return next(int(STATUS[kind]) for kind in type(error).__mro__ if kind in STATUS)


def problem_of(error: MmsearchError) -> Problem:
    """An error of the library as a problem."""
    status = status_of(error)
    more: dict[str, Any] = {"type": f"urn:mmsearch:{type(error).__name__}"}
    if isinstance(error, FilterError) and error.position is not None:
        more["position"] = error.position
    headers = {"Retry-After": str(RETRY_S)} if status in (409, 503) else {}
    return Problem(status, str(error), headers, **more)


def of_bug() -> Problem:
    """What is said of an error that nobody expected; the log has the rest."""
    return Problem(500, "a fault of the server: its log has the details under this request's id")


def response_of(problem: Problem, request: Request) -> Response:
    """`problem` as it is sent."""
    request_id = getattr(request.state, "request_id", None)
    body = {
        "type": "about:blank",
        "title": _phrase(problem.status),
        "status": problem.status,
        "detail": problem.detail,
        **problem.more,
    }
    if request_id is not None:
        body["request_id"] = request_id
    # ASCII: a message may quote half a character (a lone surrogate) that has no UTF-8.
    return Response(
        json.dumps(body), problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )


def add_handlers(app: FastAPI) -> None:
    """Let every error leave as a problem."""

    async def of_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return response_of(error, request)

    async def of_ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, MmsearchError)
        return response_of(problem_of(error), request)

    async def of_shape(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return response_of(_of_validation(error.errors()), request)

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        detail = str(error.detail)
        if error.status_code == HTTPStatus.NOT_FOUND:
            detail = f"there is nothing at {request.url.path}; /openapi.json names all that is"
        return response_of(Problem(error.status_code, detail, headers), request)

    async def of_anything(request: Request, error: Exception) -> Response:
        # Starlette logs the traceback; what it holds is nobody's business outside.
        return response_of(of_bug(), request)

    app.add_exception_handler(Problem, of_problem)
    app.add_exception_handler(MmsearchError, of_ours)
    app.add_exception_handler(RequestValidationError, of_shape)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(Exception, of_anything)


def _of_validation(found: Sequence[Any]) -> Problem:
    if any(one["type"] == "json_invalid" for one in found):
        return Problem(400, f"the body is no JSON: {found[0].get('ctx', {}).get('error', '')}")
    listed = [
        {"field": ".".join(str(part) for part in one["loc"]), "message": one["msg"]}
        for one in found[:20]
    ]
    first = listed[0]
    return Problem(422, f"{first['field']}: {first['message']}", errors=listed)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Client Closed Request" if status == GONE else "Error"
