"""Who asks, and whether they may: `Authorization: Bearer KEY`."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from starlette.types import Scope

from mmsearch.errors import InputError
from mmsearch.server.security.keys import Key, find, load
from mmsearch.server.security.refusal import Facts, Refusal
from mmsearch.server.security.requests import header_values

log = logging.getLogger("mmsearch.server")

_CHALLENGE = 'Bearer realm="mmsearch"'


class KeyFile:
    """The keys of a file as it is now: a key that was removed lets nobody in from then on."""

    def __init__(self, path: Path) -> None:
        """Raises InputError."""
        self._path = path
        self._stamp = self._stat()
        self._keys = load(path)
        self._error: InputError | None = None

    def keys(self) -> tuple[Key, ...]:
        """Looks at the file on each call, which costs microseconds. Raises InputError."""
        stamp = self._stat()
        if stamp != self._stamp:
            try:
                self._keys, self._error = load(self._path), None
            except InputError as error:
                # The old keys may be what was to be taken away: nobody comes in until it is mended.
                log.error("nobody is let in: %s", error)
                self._keys, self._error = (), error
            self._stamp = stamp
        if self._error is not None:
            raise self._error
        return self._keys

    def _stat(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


class Identify:
    """Finds the key's name and scope; who shows none stays a stranger."""

    def __init__(self, file: KeyFile) -> None:
        self._file = file

    def __call__(self, scope: Scope, facts: Facts) -> None:
        given = _bearer(scope)
        if given is None:
            return
        key = find(self._keys(), given)
        if key is not None:
            facts.key_name, facts.key_scope = key.name, key.scope

    def _keys(self) -> tuple[Key, ...]:
        try:
            return self._file.keys()
        except InputError:
            raise Refusal(
                503,
                "keys",
                "the server cannot read its keys: its log says why",
                {"Retry-After": "10"},
            ) from None


def authorize(scope: Scope, facts: Facts) -> None:
    """The route's scope, by the key that `Identify` found."""
    needed = facts.route.scope
    if needed == "open" or facts.key_scope == "write" or facts.key_scope == needed:
        return
    if facts.key_scope is None:
        if _bearer(scope) is None:
            raise Refusal(
                401,
                "no key",
                "this needs an API key: send `Authorization: Bearer KEY`",
                {"WWW-Authenticate": _CHALLENGE},
            )
        raise Refusal(
            401,
            "wrong key",
            "the server does not know this API key",
            {"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'},
        )
    raise Refusal(
        403,
        "scope",
        f"the key {facts.key_name} may only read: this needs one with the scope write",
        {"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="write"'},
    )


def _bearer(scope: Scope) -> str | None:
    """The one key of a request; "" for a header of another form, which is no key."""
    given = header_values(scope, b"authorization")
    if not given:
        return None
    kind, _, key = given[0].partition(" ")
    return key.strip() if len(given) == 1 and kind.lower() == "bearer" else ""
