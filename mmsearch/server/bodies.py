"""Request bodies, read strictly and into memory: JSON and multipart uploads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, NoReturn, TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from mmsearch.server.problems import Problem

MAX_FILES = 8
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_JSON = re.compile(r"application/(.+\+)?json")
MAX_FIELD_BYTES = 1024 * 1024

M = TypeVar("M", bound=BaseModel)


class StrictRequest(Request):
    """JSON as RFC 8259 has it: no NaN, no Infinity, nothing but UTF-8."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = parse_json(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route whose body is read by StrictRequest, and which knows all that its address asks."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        asked = (self.dependant, *self.dependant.dependencies)
        known = {field.alias for one in asked for field in one.query_params}
        has_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            for name in request.query_params:
                if name not in known:  # what was meant by it would be silently left out
                    raise Problem(400, f"unknown parameter {name!r} {_among(known)}")
            kind = media_type(request)
            if has_body and kind and not _JSON.fullmatch(kind):
                raise Problem(415, f"the body is {kind[:80]}: send application/json")
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


def _among(known: set[str]) -> str:
    return f"in the address: there are {', '.join(sorted(known))}" if known else "in the address"


def parse_json(body: bytes) -> Any:
    """Raises JSONDecodeError."""
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        if _SURROGATE.search(text):  # both halves of a character, or one that has no UTF-8
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("not UTF-8", "", error.start) from error
    except UnicodeEncodeError as error:
        raise json.JSONDecodeError("half a character (a lone surrogate)", "", 0) from error
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "", 0) from error
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # Python reads at most 4300 digits of one integer
        raise json.JSONDecodeError("a number of too many digits", "", 0) from error


def parse_model(model: type[M], body: bytes) -> M:
    """A JSON text as a `model`. Raises RequestValidationError, as FastAPI itself would."""
    try:
        return parse_fields(model, parse_json(body), "body")
    except json.JSONDecodeError as error:
        found = {"type": "json_invalid", "loc": ("body",), "msg": "JSON decode error", "input": {}}
        raise RequestValidationError([{**found, "ctx": {"error": error.msg}}]) from error


def parse_fields(model: type[M], fields: Any, where: str) -> M:
    """Fields as a `model`; `where` they were found. Raises RequestValidationError."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError(
            [{**one, "loc": (where, *one["loc"])} for one in error.errors(include_input=False)]
        ) from error


def media_type(request: Request) -> str:
    """The type of a body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def uploads(request: Request) -> tuple[list[bytes], dict[str, list[str]]]:
    """The files called `image` of a multipart body, and its other fields, which may repeat.

    Raises Problem.
    """
    kind, _ = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise Problem(415, "send multipart/form-data with one or more files called image")
    try:
        async with aclosing(request.stream()) as stream:
            parser = _InMemory(
                request.headers,
                stream,
                max_files=MAX_FILES,
                max_fields=MAX_FILES,
                max_part_size=MAX_FIELD_BYTES,
            )
            form = await parser.parse()
    except MultiPartException as error:
        raise Problem(400, f"the multipart body cannot be read: {error.message}") from error
    images: list[bytes] = []
    fields: dict[str, list[str]] = {}
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name != "image":
                    raise Problem(422, f"a file is called {name!r}: call each one image")
                images.append(await value.read())
            else:
                fields.setdefault(name, []).append(value)
    finally:
        await form.close()
    if not images:
        raise Problem(422, "no file called image in the body")
    return images, fields


class _InMemory(MultiPartParser):
    spool_max_size = 0  # never on disk: the guards bound the body as a whole


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):  # 1e999
        raise json.JSONDecodeError(f"{number[:40]} is too large a number", number, 0)
    return value


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no JSON", name, 0)
