"""Checks of what a request says of itself: its path, its host, where it comes from."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from starlette.types import Scope

from mmsearch.server.hosts import is_local
from mmsearch.server.naming import has_controls
from mmsearch.server.security.json_shape import JsonShape
from mmsearch.server.security.refusal import Facts, Refusal

_SAFE = {"GET", "HEAD", "OPTIONS"}
_OVERRIDES = {b"x-http-method-override", b"x-http-method", b"x-method-override"}


def header_values(scope: Scope, name: bytes) -> list[str]:
    """All values of a header; names in ASGI are in lower case."""
    return [value.decode("latin-1") for given, value in scope["headers"] if given == name]


def check_path(scope: Scope, facts: Facts) -> None:
    """No steps upwards, no control characters but in keys, nothing but UTF-8.

    Keys may hold anything but U+0000, as names of files do, but then with their slashes as %2F: a
    segment `..` of the path itself is for browsers and proxies to normalise, and whoever sends it
    hopes that one of them does not.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    for segment in raw.split(b"/"):
        plain = unquote_to_bytes(segment)
        steps = [plain] if raw.startswith(b"/v1/") else plain.replace(b"\\", b"/").split(b"/")
        if any(step in (b".", b"..") for step in steps):
            raise Refusal(400, "path", "the path holds . or .. as a segment: write slashes as %2F")
    _require_text(unquote_to_bytes(raw), "path")
    names_key = facts.route.template.endswith("/{key:path}")
    if "\0" in scope["path"] or (has_controls(scope["path"]) and not names_key):
        raise Refusal(400, "path", "the path holds a control character")
    _require_text(unquote_to_bytes(scope["query_string"]), "query string")


def _require_text(data: bytes, what: str) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(400, "path", f"the {what} is no UTF-8 behind its percent signs") from None


class LinkedFilters:
    """Filters as JSON in the address have the same bounds as those in bodies."""

    def __init__(self, max_depth: int) -> None:
        self._max_depth = max_depth

    def __call__(self, scope: Scope, facts: Facts) -> None:
        for name, value in parse_qsl(scope["query_string"].decode("latin-1")):
            if name == "where" and value.lstrip().startswith("{"):
                JsonShape(self._max_depth).feed(value.encode("utf-8", "surrogateescape"))


def check_method(scope: Scope, facts: Facts) -> None:
    """The method is what the request line says: a key's scope is judged by it."""
    if any(name in _OVERRIDES for name, _ in scope["headers"]):
        raise Refusal(
            400, "method", "the method cannot be overridden by a header: send the real one"
        )


class Hosts:
    """Only names of this server: against pages whose own name points to it (DNS rebinding)."""

    def __init__(self, trusted: Iterable[str], *, only_local: bool) -> None:
        self._trusted = {name.lower().rstrip(".") for name in trusted}
        self._only_local = only_local

    def __call__(self, scope: Scope, facts: Facts) -> None:
        if not self._trusted and not self._only_local:
            return
        given = header_values(scope, b"host")
        name = host_name(given[0]) if len(given) == 1 else ""
        if name in self._trusted or is_local(name):
            return
        raise Refusal(
            421,
            "host",
            f"this server is not called {name[:80]!r}: its operator names it with --trusted-host",
        )


def host_name(host: str) -> str:
    """The name in a Host header, without port, brackets and the root's dot; "" if it is none."""
    if "@" in host:
        return ""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


class WritingOrigins:
    """Without keys, pages of other sites must not write: a browser lends them its way in.

    Sec-Fetch-Site where the browser sends it (Fetch Metadata), else Origin. Programs send neither.
    Another port of this machine is another site for us, though `same-site` for browsers. Sites
    that the operator allows (origins.py) may.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = {origin.lower() for origin in allowed}

    def __call__(self, scope: Scope, facts: Facts) -> None:
        origins = header_values(scope, b"origin")
        trusted = len(origins) == 1 and origins[0] in self._allowed
        if scope["method"] not in _SAFE and not trusted and not _is_own(scope, origins):
            raise Refusal(
                403, "origin", "pages of other sites cannot write here: use a key for that"
            )


def _is_own(scope: Scope, origins: Iterable[str]) -> bool:
    """Whether a page of this server, or no page at all, asks."""
    sites = header_values(scope, b"sec-fetch-site")
    if sites:
        return all(site in ("same-origin", "none") for site in sites)
    hosts = header_values(scope, b"host")
    return all(origin_host(one) == hosts[0].lower() if hosts else False for one in origins)


def origin_host(origin: str) -> str:
    """Host and port of an Origin header; "" for `null`."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
