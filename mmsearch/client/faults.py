"""What goes wrong on the way, and on the server, as errors of the library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx2

from mmsearch import errors
from mmsearch.errors import AuthError, FilterError, MmsearchError, ServerError, UsageError

PROBLEM = "application/problem+json"
_URN = "urn:mmsearch:"  # and the name of a class of errors.py
# Problems without such a name that the caller caused.
_SENSELESS = (400, 413, 414, 415, 422, 431)


def error_of(status: int, headers: Mapping[str, str], content: bytes) -> MmsearchError:
    """The error that a response with this status stands for."""
    problem = _problem(headers, content)
    request_id = problem.get("request_id") or headers.get("x-request-id")
    detail = str(problem.get("detail") or _unexplained(status, headers))
    kind = str(problem.get("type", "")).removeprefix(_URN)
    known = getattr(errors, kind, None)
    if isinstance(known, type) and issubclass(known, MmsearchError):
        if issubclass(known, FilterError):
            return known(detail, problem.get("position"))
        if not issubclass(known, ServerError):
            return known(detail)
    if status in (401, 403):
        return AuthError(detail, status, request_id)
    if status in _SENSELESS and problem:
        return UsageError(detail)
    return ServerError(detail, status, request_id)


def unreachable(error: httpx2.TransportError) -> ServerError:
    """Nothing came back, or not in time."""
    try:
        url = error.request.url
        place = f"{url.scheme}://{url.netloc.decode()}"
    except RuntimeError:  # httpx's, for an error without its request
        place = "the server"
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        return ServerError(f"{place} gave no answer in time: ask for less, or raise `timeout`")
    return ServerError(
        f"cannot reach {place} ({error or type(error).__name__}): does `mmsearch serve` run there?"
    )


def _problem(headers: Mapping[str, str], content: bytes) -> dict[str, Any]:
    if headers.get("content-type", "").partition(";")[0].strip() != PROBLEM:
        return {}
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _unexplained(status: int, headers: Mapping[str, str]) -> str:
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    sent = headers.get("content-type", "nothing")
    return (
        f"the server answered {phrase} and explained it by {sent} rather than {PROBLEM}: does the "
        "address lead to `mmsearch serve`, or to something before it?"
    )
