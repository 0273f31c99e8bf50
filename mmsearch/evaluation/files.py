"""Files of text, read with an error that names the place, and written as a whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmsearch.durable import replacing
from mmsearch.errors import InputError, StorageError

# Halves of characters: what JSON can escape, and how Python carries bytes that are not UTF-8.
SURROGATES = re.compile("[\ud800-\udfff]")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file with "\\n" at the end of its lines, without a byte order mark.

    Its lines are `split("\\n")`: splitlines() would cut a caption at a U+2028 as well.
    Raises InputError.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); check the name"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = f"{error.object[error.start]:#04x}"
        raise InputError(
            f"{path}:{line}: not UTF-8 text (byte {byte}); save it as UTF-8"
        ) from error


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises InputError."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); repair it") from error


def write_file(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step. Raises StorageError."""
    with _written(path) as new:
        new.write_bytes(content)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Replace `path` by `lines` in UTF-8 in one step, each of which brings its own end.

    They are written as they come, for there may be millions. Raises StorageError.
    """
    with _written(path) as new, new.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """`replacing`, and what to do where that fails. Raises StorageError."""
    try:
        with replacing(path, alone=False) as new:
            yield new
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; choose another place"
        ) from error
