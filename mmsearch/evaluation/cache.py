"""Embeddings on disk, by fingerprint and content: an evaluation that was cut short goes on.

One file per fingerprint and modality in the user's cache: records of a 16-byte digest and d
float32 numbers, appended batch by batch. A record cut off by a crash is dropped by the next
writer; a digest stands for bytes, so nothing in the file is ever out of date.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from mmsearch.errors import StorageError
from mmsearch.types import Modality

if TYPE_CHECKING:
    from mmsearch.types import Vectors

DIGEST_BYTES = 16


class EmbeddingCache:
    """The vectors of one encoder and modality; `folder` None keeps them in memory only."""

    def __init__(self, folder: Path | None, fingerprint: str, modality: Modality, dim: int) -> None:
        self._record = np.dtype([("digest", "V16"), ("vector", "<f4", (dim,))])
        self._row_of: dict[bytes, int] = {}
        self._vectors: list[Vectors] = []  # parts of rows, in the order of `_row_of`
        self._rows = 0
        self._path = None if folder is None else folder / f"{fingerprint}-{modality}.f32"
        if self._path is not None:
            self._open(self._path)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._row_of

    def add(self, digests: Sequence[bytes], vectors: Vectors) -> None:
        """Keep a batch, on disk before this returns. Raises StorageError."""
        records = np.empty(len(digests), self._record)
        records["digest"] = [np.void(digest) for digest in digests]
        records["vector"] = vectors
        self._remember(digests, vectors)
        if self._path is None:
            return
        try:
            with FileLock(f"{self._path}.lock"), self._path.open("ab") as file:
                file.truncate(file.tell() - file.tell() % self._record.itemsize)
                file.write(records.tobytes())
        except OSError as error:
            raise self._storage_error(error) from error

    def get(self, digests: Sequence[bytes]) -> Vectors:
        """(n, d) float32 rows; every digest must be in the cache."""
        rows = [self._row_of[digest] for digest in digests]
        if len(self._vectors) > 1:
            self._vectors = [np.concatenate(self._vectors)]
        taken: Vectors = self._vectors[0][rows]
        return taken

    def _open(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise self._storage_error(error) from error
        whole = len(content) - len(content) % self._record.itemsize
        records = np.frombuffer(content[:whole], self._record)
        if len(records):
            self._remember([bytes(digest) for digest in records["digest"]], records["vector"])

    def _remember(self, digests: Sequence[bytes], vectors: Vectors) -> None:
        for row, digest in enumerate(digests, self._rows):
            self._row_of[digest] = row
        self._vectors.append(np.asarray(vectors, np.float32))
        self._rows += len(digests)

    def _storage_error(self, error: OSError) -> StorageError:
        return StorageError(
            f"cannot keep embeddings in {self._path}: {error.strerror or error}; set "
            "MMSEARCH_CACHE to a folder with room, or use --no-cache"
        )


def digest_of(content: bytes) -> bytes:
    """The 16 bytes that stand for `content`."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def default_folder() -> Path:
    """Where evaluations keep embeddings; MMSEARCH_CACHE moves it."""
    from mmsearch.encoders.text_tower import cache_folder

    return Path(os.fspath(cache_folder())) / "evaluation"
