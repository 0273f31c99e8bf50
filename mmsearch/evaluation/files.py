"""Files that are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import os
from pathlib import Path

from mmsearch.errors import StorageError


def write_file(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step. Raises StorageError."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            scratch.write_bytes(content)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; choose another place"
        ) from error
