"""API keys: made once, kept only as hashes in a file, found again in constant time.

A key is 32 random bytes, so one SHA-256 is enough: there is nothing to guess that a slow hash would
slow down, and each request pays for it (OWASP's advice on slow hashes is for what people choose).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from mmsearch.durable import sync_directory
from mmsearch.errors import InputError, StorageError, UsageError

KeyScope = Literal["read", "write"]

PREFIX = "mms_"  # so that scanners of code and chats for secrets know one when they see it
VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # it stands in the log
_HASH = re.compile(r"[0-9a-f]{64}")
_LOCK_SECONDS = 10.0


@dataclass(frozen=True)
class Key:
    """What is known of a key: everything but the key."""

    name: str
    scope: KeyScope
    sha256: str
    created_at: str


def find(keys: Sequence[Key], given: str) -> Key | None:
    """The key that `given` is. Compares with all of them, so that the time says nothing."""
    digest = _digest(given)
    found = None
    for key in keys:
        if hmac.compare_digest(key.sha256, digest):
            found = key
    return found


def load(path: Path) -> tuple[Key, ...]:
    """The keys of a file. Raises InputError: also for one that others may write."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read()
    except OSError as error:
        raise InputError(
            f"cannot read the keys in {path} ({error.strerror}): `mmsearch keys add NAME --keys "
            f"{path}` makes the first one"
        ) from error
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InputError(f"others may write to {path}, and so let themselves in: chmod 600 {path}")
    try:
        return _parsed(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no file of keys: {error}") from error


def add(path: Path, name: str, scope: KeyScope) -> str:
    """Make a key and keep its hash; gives the key, which nobody can read again.

    Raises UsageError for a name that is taken or no name, InputError, StorageError.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} is no name for a key: up to 64 letters, digits and . _ - are, the first a "
            "letter or digit"
        )
    made = PREFIX + secrets.token_urlsafe(32)
    with _locked(path):
        keys = load(path) if path.exists() else ()
        if any(key.name == name for key in keys):
            raise UsageError(f"a key is called {name} already: remove it, or choose another name")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        _save(path, (*keys, Key(name, scope, _digest(made), now)))
    return made


def remove(path: Path, name: str) -> None:
    """Let nobody in with that key any more. Raises UsageError, InputError, StorageError."""
    with _locked(path):
        keys = load(path)
        kept = tuple(key for key in keys if key.name != name)
        if len(kept) == len(keys):
            names = ", ".join(key.name for key in keys) or "none"
            raise UsageError(f"no key is called {name!r}; there are: {names}")
        _save(path, kept)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _parsed(found: Any) -> tuple[Key, ...]:
    """Raises ValueError."""
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ValueError(f'it has no "version": {VERSION}')
    listed = found.get("keys")
    if not isinstance(listed, list):
        raise ValueError('"keys" is no list')
    keys = tuple(_key(one) for one in listed)
    if len({key.name for key in keys}) < len(keys):
        raise ValueError("two keys have one name")
    return keys


def _key(found: Any) -> Key:
    if not isinstance(found, dict) or set(found) != {"name", "scope", "sha256", "created_at"}:
        raise ValueError("a key has other fields than name, scope, sha256 and created_at")
    if not all(isinstance(value, str) for value in found.values()):
        raise ValueError("a field of a key is no text")
    if not _NAME.fullmatch(found["name"]) or not _HASH.fullmatch(found["sha256"]):
        raise ValueError("a key has no good name or hash")
    if found["scope"] not in ("read", "write"):
        raise ValueError(f"the scope of {found['name']} is neither read nor write")
    return Key(**found)


def _locked(path: Path) -> FileLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Opened here too, to have an error of ours.
        lock = FileLock(path.with_name(path.name + ".lock"), timeout=_LOCK_SECONDS, mode=0o600)
        lock.acquire()
        lock.release()
    except OSError as error:
        raise StorageError(f"cannot write keys beside {path} ({error})") from error
    return lock


def _save(path: Path, keys: Sequence[Key]) -> None:
    """Replace the file at once, readable by its owner only. Raises StorageError."""
    text = json.dumps({"version": VERSION, "keys": [asdict(key) for key in keys]}, indent=2)
    temporary = None
    try:
        # mkstemp: of mode 0600 from the first moment.
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        sync_directory(path.parent)
    except OSError as error:
        raise StorageError(f"cannot write keys to {path} ({error.strerror or error})") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
