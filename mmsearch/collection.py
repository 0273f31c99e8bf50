"""A collection on disk: the one door to indexing and searching."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from filelock import FileLock, Timeout

from mmsearch.catalog.catalog import Catalog, EncoderInfo, Write
from mmsearch.catalog.vectors import VectorFile
from mmsearch.errors import (
    CorruptionError,
    EncoderMismatchError,
    ItemNotFoundError,
    LockedError,
    NoCollectionError,
    StorageError,
    UsageError,
)
from mmsearch.index.faiss_index import KIND, Snapshots
from mmsearch.search import Searcher, validate
from mmsearch.types import (
    MODALITIES,
    Encoder,
    Hit,
    IndexReport,
    Modality,
    OnProgress,
    Progress,
    Query,
    Term,
    TextEncoder,
)

if TYPE_CHECKING:
    from PIL import Image

    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder

log = logging.getLogger("mmsearch")

DIRECTORY = ".mmsearch"
CATALOG = "catalog.sqlite3"
DEFAULT_MODEL = "mini"


@dataclass(frozen=True)
class Status:
    """What a collection holds, and its sizes on disk."""

    path: str
    items: int
    images: int
    texts: int
    missing: int
    failures: int
    model: str | None
    fingerprint: str | None
    dim: int | None
    index_kind: str
    catalog_bytes: int
    vectors_bytes: int
    index_bytes: int
    last_run: dict[str, Any] | None


@dataclass(frozen=True)
class CheckReport:
    """Problems found, and what was done about them."""

    problems: tuple[str, ...]
    repaired: tuple[str, ...]


def find_collection(start: Path) -> Path | None:
    """The nearest `.mmsearch` in `start` or above it, as git finds its own."""
    start = start.absolute()
    for directory in (start, *start.parents):
        if (directory / DIRECTORY / CATALOG).is_file():
            return directory / DIRECTORY
    return None


def open(
    path: str | Path | None = None, *, create: bool = False, encoder: Encoder | None = None
) -> Collection:
    """The collection at `path`, or the one found upwards from the working directory.

    `path` is the collection's own directory, or the folder that holds its `.mmsearch`.
    With `create` an absent one is made. `encoder` takes the place of the models that are loaded
    by name: any object that keeps the Encoder protocol. Raises NoCollectionError, SchemaError,
    StorageError.
    """
    if path is None:
        found = find_collection(Path.cwd())
        if found is None and not create:
            raise NoCollectionError(
                f"no collection in {Path.cwd()} or above it: make one with `mmsearch index PATH`, "
                "or name one with --collection"
            )
        return Collection(found or Path.cwd() / DIRECTORY, create=create, encoder=encoder)
    path = Path(path).absolute()
    if not (path / CATALOG).is_file():
        inside = path / DIRECTORY
        if (inside / CATALOG).is_file() or (path.is_dir() and path.name != DIRECTORY and create):
            path = inside
        elif not create:
            raise NoCollectionError(
                f"{path} is no collection: make it with `mmsearch index PATH --collection {path}`"
            )
    return Collection(path, create=create, encoder=encoder)


class Collection:
    """Items, their vectors and their indexes in one directory. Use it as a context manager.

    Reading never waits for a writer; there is one writer at a time.
    """

    def __init__(self, path: Path, *, create: bool = False, encoder: Encoder | None = None) -> None:
        self.path = path
        self.base = path.parent
        if create:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(
                    f"cannot create {path}: {error.strerror}; choose another place with "
                    "--collection"
                ) from error
        self._catalog = Catalog(path / CATALOG, create=create)
        self._searcher: Searcher | None = None
        self._given = encoder
        self._encoder: Encoder | None = encoder
        self._text_encoder: TextEncoder | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._catalog.close()

    # ---- writing

    def index(
        self,
        paths: Sequence[str | Path],
        *,
        model: str | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        allow_empty: bool = False,
        on_progress: OnProgress | None = None,
    ) -> IndexReport:
        """Bring the collection up to date with folders, pictures, texts and tables.

        `model` None: the collection's own, or `mini` for a new one. Raises RootError,
        EncoderMismatchError, LockedError, ModelError, StorageError; a bad file is a line in the
        report, not an error.
        """
        from mmsearch.ingest import Ingest

        if isinstance(paths, str | Path):
            paths = [paths]
        if not paths:
            raise UsageError("nothing to index: name at least one folder or file")
        for name, number in (("batch_size", batch_size), ("workers", workers)):
            if number is not None and number < 1:
                raise UsageError(f"{name} must be at least 1, not {number}")
        progress = on_progress or (lambda _progress: None)
        notes: list[str] = []

        def note(message: str) -> None:
            notes.append(message)
            progress(Progress(f"note: {message}"))

        stored = self._catalog.encoder()
        if stored and model and model != stored.name:
            # Another name may be the same weights; only the fingerprint decides.
            self._load(model, device, batch_size, note)
        name = model or (stored.name if stored else DEFAULT_MODEL)
        with self._lock():
            run = Ingest(
                self._catalog,
                self.base,
                self._vector_file,
                lambda: self._load(name, device, batch_size, note),
                workers=workers,
                on_progress=on_progress,
            )
            report = run.run([Path(path) for path in paths], allow_empty=allow_empty)
            if self._catalog.encoder():
                for modality in MODALITIES:
                    self._search().save(modality)
                    progress(Progress(f"snapshot of {modality}"))
        return replace(report, notes=tuple(notes))

    def remove(self, keys: Sequence[str]) -> int:
        """Forget items by key; their files are not touched. Raises ItemNotFoundError."""
        with self._lock():
            ids = []
            for key in dict.fromkeys(keys):
                item = self._catalog.item(key)
                if item is None:
                    raise ItemNotFoundError(f"no item has the key {key!r}: nothing was removed")
                ids.append(item.id)
            if ids:
                self._catalog.commit(Write(states={"removed": ids}))
        return len(ids)

    def check(self, repair: bool = False) -> CheckReport:
        """Compare catalog, vectors and index; with `repair`, mend what can be mended.

        Damaged vectors are forgotten and their files encoded again by the next `index`.
        """
        problems: list[str] = []
        repaired: list[str] = []
        if (verdict := self._catalog.integrity()) != "ok":
            problems.append(f"catalog: {verdict}")
        info = self._catalog.encoder()
        if info is None:
            return CheckReport(tuple(problems), ())
        vectors = self._vector_file(info)
        bad = []
        for seq, first, count, checksum in self._catalog.all_batches(info.fingerprint):
            try:
                sound = vectors.checksum(first, count) == checksum
            except CorruptionError:
                sound = False
            if not sound:
                bad.append(seq)
                problems.append(f"vectors {first} to {first + count - 1} are damaged or cut off")
        problems += [f"{key} has no vector" for key in self._catalog.unembedded(info.fingerprint)]
        stale = [
            m for m in MODALITIES if self._snapshots(info, m).load(self._catalog.seq()) is None
        ]
        problems += [f"the {modality} index snapshot is missing or damaged" for modality in stale]
        if not repair or not problems:
            return CheckReport(tuple(problems), ())
        with self._lock():
            if bad:
                lost = self._catalog.drop_batches(info.fingerprint, bad)
                repaired.append(f"{lost} vectors forgotten: run `mmsearch index` on their folders")
            self._searcher = None
            for modality in MODALITIES:
                self._snapshots(info, modality).clear()
                self._search().save(modality)
            repaired.append("index snapshots rebuilt from the catalog")
        return CheckReport(tuple(problems), tuple(repaired))

    # ---- reading

    def search(
        self,
        query: str | Path | Image.Image | Query,
        *,
        to: Modality | None = None,
        k: int | None = None,
    ) -> list[Hit]:
        """The best items for one query, best first.

        A string is always text; a Path or a Pillow image is a picture. `to` None answers with
        images, or with texts where the collection holds no image. `k` defaults to 10.
        Raises UsageError, ImageError, ItemNotFoundError, ModelError.
        """
        return self.search_many([query], to=to, k=k)[0]

    def search_many(
        self,
        queries: Sequence[str | Path | Image.Image | Query],
        *,
        to: Modality | None = None,
        k: int | None = None,
    ) -> list[list[Hit]]:
        """`search` for many queries at once: one batch through the encoder and the index."""
        wanted = [_as_query(query, to, k) for query in queries]
        for query in wanted:
            validate(query)
        if not wanted or self._catalog.encoder() is None:  # nothing was ever indexed
            return [[] for _ in wanted]
        return self._search().search(wanted)

    def image_file(self, key: str) -> Path:
        """Where the picture of an item lies on disk. Raises ItemNotFoundError."""
        from mmsearch.scan import path_of

        item = self._catalog.item(key)
        if item is None or item.path is None:
            raise ItemNotFoundError(f"no item with a picture has the key {key!r}")
        return path_of(item.path, self.base)

    def status(self) -> Status:
        info = self._catalog.encoder()
        counts = self._catalog.counts()
        wal = self.path / f"{CATALOG}-wal"
        return Status(
            path=str(self.path),
            **counts,
            model=info.name if info else None,
            fingerprint=info.fingerprint if info else None,
            dim=info.dim if info else None,
            index_kind=KIND,
            catalog_bytes=sum(p.stat().st_size for p in (self.path / CATALOG, wal) if p.exists()),
            vectors_bytes=_size(self.path / "vectors"),
            index_bytes=_size(self.path / "index"),
            last_run=self._catalog.last_run(),
        )

    # ---- inside

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One writer at a time; a second one is told at once."""
        lock = FileLock(self.path / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise LockedError(
                f"another process is writing to {self.path}: wait for it to finish, then run "
                "the command again (searching works meanwhile)"
            ) from error
        except OSError as error:
            raise StorageError(
                f"cannot write to {self.path}: {error.strerror}; check its permissions"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _load(
        self,
        name: str,
        device: str | None,
        batch_size: int | None,
        on_note: Callable[[str], None] | None = None,
    ) -> Encoder:
        """The full encoder; the first one to be loaded becomes the collection's own."""
        if self._given is None and (self._encoder is None or self._encoder.name != name):
            from mmsearch.encoders.open_clip_encoder import load_encoder

            self._encoder = load_encoder(
                name, device=device, batch_size=batch_size, on_note=on_note
            )
        encoder = self._encoder
        assert encoder is not None
        stored = self._catalog.encoder()
        if stored is None:
            self._catalog.set_encoder(EncoderInfo(encoder.name, encoder.fingerprint, encoder.dim))
            if self._given is None:
                self._export_text_tower(cast("OpenClipEncoder", encoder))
        elif stored.fingerprint != encoder.fingerprint:
            raise EncoderMismatchError(
                f"{self.path} holds vectors of {stored.name} ({stored.fingerprint}), but {name} "
                f"is {encoder.fingerprint}: vectors of two models cannot be compared. Leave "
                "--model out, or index into another collection with --collection"
            )
        return encoder

    @staticmethod
    def _export_text_tower(encoder: OpenClipEncoder) -> None:
        from mmsearch.encoders.text_tower import export_text_tower, open_text_tower

        if open_text_tower(encoder.fingerprint, encoder.name) is None:
            export_text_tower(encoder)

    def _text_tower(self) -> TextEncoder:
        """The text tower without torch where there is one, else the full encoder."""
        if self._text_encoder is None:
            self._text_encoder = self._given
        if self._text_encoder is None:
            from mmsearch.encoders.text_tower import open_text_tower

            info = self._info()
            self._text_encoder = open_text_tower(info.fingerprint, info.name)
            if self._text_encoder is None:
                log.warning("no text tower of %s that runs without torch: loading torch", info.name)
                self._text_encoder = self._full()
        return self._text_encoder

    def _full(self) -> Encoder:
        return self._load(self._info().name, None, None)

    def _search(self) -> Searcher:
        if self._searcher is None:
            info = self._info()
            self._searcher = Searcher(
                self._catalog,
                info,
                self._vector_file(info),
                lambda modality: self._snapshots(info, modality),
                self._text_tower,
                self._full,
            )
        return self._searcher

    def _info(self) -> EncoderInfo:
        info = self._catalog.encoder()
        if info is None:
            raise NoCollectionError(f"{self.path} holds nothing yet: run `mmsearch index PATH`")
        return info

    def _vector_file(self, info: EncoderInfo) -> VectorFile:
        return VectorFile(self.path / "vectors" / f"{info.fingerprint}.f16", info.dim)

    def _snapshots(self, info: EncoderInfo, modality: Modality) -> Snapshots:
        return Snapshots(self.path / "index", f"{info.fingerprint}-{modality}", info.dim)


def _as_query(query: str | Path | Image.Image | Query, to: Modality | None, k: int | None) -> Query:
    if not isinstance(query, Query):
        term = Term(text=query) if isinstance(query, str) else Term(image=query)
        query = Query((term,))
    return replace(query, to=to or query.to, k=query.k if k is None else k)


def _size(directory: Path) -> int:
    if not directory.is_dir():
        return 0
    return sum(entry.stat().st_size for entry in os.scandir(directory) if entry.is_file())
