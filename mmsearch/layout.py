"""Where a collection's parts lie: the directory `.mmsearch` and what is in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from mmsearch.catalog.read_only import not_writable
from mmsearch.catalog.records import EncoderInfo
from mmsearch.catalog.vectors import VectorFile
from mmsearch.errors import LockedError, StorageError
from mmsearch.index.goals import Settings, set_aside
from mmsearch.index.snapshots import Snapshots
from mmsearch.types import Modality

DIRECTORY = ".mmsearch"
CATALOG = "catalog.sqlite3"

# A reindex writes for milliseconds at a time: who meets it waits that long and no longer.
LOCK_TIMEOUT_S = 1.0


def find_collection(start: Path) -> Path | None:
    """The nearest `.mmsearch` in `start` or above it, as git finds its own."""
    start = start.absolute()
    for directory in (start, *start.parents):
        if (directory / DIRECTORY / CATALOG).is_file():
            return directory / DIRECTORY
    return None


@dataclass(frozen=True)
class Layout:
    """The parts of the collection in the directory `root`."""

    root: Path

    @property
    def base(self) -> Path:
        """Keys are paths relative to this folder."""
        return self.root.parent

    @property
    def catalog(self) -> Path:
        return self.root / CATALOG

    @property
    def pictures(self) -> Path:
        """Pictures that were handed over as bytes and have no file of their own elsewhere."""
        return self.root / "pictures"

    @property
    def concepts(self) -> Path:
        """Queries that were saved under a name."""
        return self.root / "concepts.json"

    @property
    def index_settings(self) -> Path:
        """What the collection wants of its indexes."""
        return self.root / "index.json"

    def picture(self, digest: bytes) -> Path:
        """The file of one of them."""
        # Without a suffix: a scan of a folder around the collection must not take it for a photo.
        return self.pictures / digest.hex()

    def vector_file(self, encoder: EncoderInfo) -> VectorFile:
        return VectorFile(self.root / "vectors" / f"{encoder.fingerprint}.f16", encoder.dim)

    def snapshots(self, encoder: EncoderInfo, modality: Modality) -> Snapshots:
        return Snapshots(
            self.root / "index",
            f"{encoder.fingerprint}-{modality}",
            self.vector_file(encoder),
            oldest=encoder.complete_at,
            settings_file=self.index_settings,
        )

    def require_index_settings(self) -> None:
        """Raises CorruptionError where the settings of the indexes cannot be read."""
        Settings.load(self.index_settings)

    def set_index_settings_aside(self) -> Path:
        """Let the defaults hold; where the settings are now. Raises StorageError."""
        return set_aside(self.index_settings)

    @contextmanager
    def writing(self, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
        """Hold the writer's lock; a negative timeout waits for ever. Raises LockedError."""
        with self._lock(
            "lock",
            timeout_s,
            f"another process is writing to {self.root}: wait for it to finish, then run "
            "the command again (searching works meanwhile)",
        ):
            yield

    @contextmanager
    def changing_spaces(self) -> Iterator[None]:
        """Hold the lock of who moves the collection to another model. Raises LockedError."""
        with self._lock(
            "reindex.lock",
            0,
            f"another `mmsearch reindex` is at work on {self.root}: wait for it to finish, or "
            "stop it (what it did is kept)",
        ):
            yield

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Hold the lock of the server at the collection's own socket. Raises LockedError."""
        with self._lock(
            "serve.lock",
            0,
            f"another `mmsearch serve --socket` serves {self.root} already: ask that one, or stop "
            "it first",
        ):
            yield

    def delete_vectors_except(self, encoder: EncoderInfo) -> int:
        """Delete all vector files and snapshots but those of `encoder`; returns bytes freed.

        Also what a crash left of an encoder that the catalog has forgotten.
        """
        freed = 0
        for directory in (self.root / "vectors", self.root / "index"):
            for path in directory.iterdir() if directory.is_dir() else ():
                if not path.name.startswith((f"{encoder.fingerprint}.", f"{encoder.fingerprint}-")):
                    freed += _bytes(path)
                    path.unlink(missing_ok=True)
        return freed

    def sizes(self) -> dict[str, int]:
        """Bytes of catalog, vectors, index and pictures."""
        return {
            "catalog_bytes": _bytes(self.catalog) + _bytes(self.root / f"{CATALOG}-wal"),
            "vectors_bytes": _size(self.root / "vectors"),
            "index_bytes": _size(self.root / "index"),
            "pictures_bytes": _size(self.pictures),
        }

    @contextmanager
    def _lock(self, name: str, timeout_s: float, taken: str) -> Iterator[None]:
        lock = FileLock(self.root / name)
        try:
            lock.acquire(timeout=timeout_s)
        except Timeout as error:
            raise LockedError(taken) from error
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise StorageError(not_writable(self.root)) from error
            raise StorageError(
                f"cannot write to {self.root}: {error.strerror}; check its disk"
            ) from error
        try:
            yield
        finally:
            lock.release()


def _size(directory: Path) -> int:
    if not directory.is_dir():
        return 0
    return sum(_bytes(entry) for entry in os.scandir(directory) if entry.is_file())


def _bytes(file: Path | os.DirEntry[str]) -> int:
    """The size of a file; 0 if there is none, for another process may have replaced it by now."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
