"""Which key each route asks for. What is not listed asks for the strongest one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Scope = Literal["open", "read", "write"]

UNKNOWN = "unknown"
_READING = ("GET",)
_PICTURE = ("GET", "HEAD")

# Template as FastAPI has it, methods, scope. A test holds it against the routes there are.
ROUTES: tuple[tuple[str, tuple[str, ...], Scope], ...] = (
    ("/", _PICTURE, "open"),
    ("/static/{name:path}", _PICTURE, "open"),
    ("/openapi.json", _PICTURE, "open"),
    ("/healthz", _READING, "open"),
    ("/readyz", _READING, "open"),
    ("/metrics", _READING, "read"),
    ("/v1/search", ("GET", "POST"), "read"),
    ("/v1/search/image", ("POST",), "read"),
    ("/v1/similar/{key:path}", _READING, "read"),
    ("/v1/suggest", _READING, "read"),
    ("/v1/images/{key:path}", _PICTURE, "read"),
    ("/v1/thumbnails/{key:path}", _PICTURE, "read"),
    ("/v1/collection", _READING, "read"),
    ("/v1/models", _READING, "read"),
    ("/v1/feedback", ("POST",), "read"),
    ("/v1/evaluate", ("POST",), "read"),
    ("/v1/items", ("POST", "PATCH"), "write"),
    ("/v1/items/delete", ("POST",), "write"),
    ("/v1/items/{key:path}", _READING, "read"),
    ("/v1/items/{key:path}", ("DELETE",), "write"),
    ("/v1/concepts", _READING, "read"),
    ("/v1/concepts/{name:path}", _READING, "read"),
    ("/v1/concepts/{name:path}", ("PUT", "DELETE"), "write"),
    # What is indexed, and from where, is the operator's business.
    ("/v1/jobs", ("GET", "POST"), "write"),
    ("/v1/jobs/{id}", ("GET", "DELETE"), "write"),
)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


@dataclass(frozen=True)
class Route:
    """What a request asks for: `template` and `method` out of few, for labels."""

    template: str
    method: str
    scope: Scope


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+(?::path)?\})", template)
    return re.compile(
        "".join(
            (".*" if part.endswith(":path}") else "[^/]+") if part[:1] == "{" else re.escape(part)
            for part in parts
        ),
        re.DOTALL,  # a key may hold line ends
    )


_TABLE = {
    (template, method): Route(template, method, scope)
    for template, methods, scope in ROUTES
    for method in methods
}
# The exact ones first: /v1/items/delete is no item.
_PATTERNS = sorted(
    ((template, _pattern(template)) for template in {route[0] for route in ROUTES}),
    key=lambda one: "{" in one[0],
)


def route_of(method: str, path: str) -> Route:
    """The route of a decoded path; an unknown one asks for `write`."""
    if method not in _METHODS:
        return Route(UNKNOWN, "other", "write")
    found = UNKNOWN
    for template, pattern in _PATTERNS:
        if pattern.fullmatch(path):
            route = _TABLE.get((template, method))
            if route is not None:
                return route
            found = template if found == UNKNOWN else found
    return Route(found, method, "write")
