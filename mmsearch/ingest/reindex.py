"""The move of a collection to another encoder, beside its life.

Vectors are added to the new space batch by batch, each under the writer's lock for a moment;
queries go on in the old space and other runs may write in between. When nothing is left, the lock
is taken, what came in meanwhile is looked for once more, and one transaction switches.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo
from mmsearch.catalog.spaces import Pending
from mmsearch.errors import EncoderMismatchError, ImageError, LockedError, ModelError
from mmsearch.images import decode, read
from mmsearch.ingest.embed import Embedder, Encoding, Names
from mmsearch.ingest.pipeline import ITEMS_PER_COMMIT
from mmsearch.layout import Layout
from mmsearch.pool import default_workers, in_order
from mmsearch.scan import path_of
from mmsearch.types import (
    DerivedEncoder,
    Encoder,
    Failure,
    Modality,
    OnProgress,
    Progress,
    ReindexReport,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Vectors

WAIT = -1.0  # filelock's way to say: for ever


@dataclass
class _Ready:
    """One item ready to encode, or why it cannot be."""

    item: Pending
    pixels: npt.NDArray[np.uint8] | None = None
    error: str | None = None


class Reindex:
    """One run towards the space `target`. The caller keeps other reindex runs away."""

    def __init__(
        self,
        catalog: Catalog,
        layout: Layout,
        target: EncoderInfo,
        load_encoder: Callable[[], Encoder],
        *,
        workers: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._catalog = catalog
        self._spaces = catalog.spaces
        self._layout = layout
        self._target = target
        self._progress = on_progress or (lambda _progress: None)
        self._embedder = Embedder(catalog, layout, load_encoder, self._progress)
        self._workers = workers or default_workers()
        self._failed: dict[tuple[int, bytes | None], Failure] = {}
        self._done = 0
        self._total = 0
        self._adapted = 0

    def run(
        self, *, allow_missing: bool, before_switch: Callable[[EncoderInfo], None]
    ) -> ReindexReport:
        """Encode what the space lacks, then let it answer.

        While some item cannot be encoded the collection stays where it is, unless
        `allow_missing`. `before_switch` prepares the readers' snapshots; it runs under the
        writer's lock. Interrupted by Ctrl-C, the run keeps what was committed and says so.

        Raises ModelError when the encoder is needed and cannot be loaded.
        """
        started = time.perf_counter()
        with self._writing():
            self._spaces.begin(self._target)
        switched = interrupted = False
        try:
            while True:
                self._total = self._done + self._spaces.count_pending(self._target.fingerprint)
                self._fill(allow_missing)
                with self._writing():
                    if not any(self._pending()):
                        if not self._failures() or allow_missing:
                            self._switch(before_switch)
                            switched = True
                        break
        except KeyboardInterrupt:
            interrupted = True
        return ReindexReport(
            model=self._target.name,
            switched=switched,
            encoded_images=self._embedder.images,
            encoded_texts=self._embedder.texts,
            adapted=self._adapted,
            failures=self._failures(),
            seconds=time.perf_counter() - started,
            interrupted=interrupted,
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the writer's lock, however long another run may keep it."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._layout.writing())
            except LockedError:
                self._progress(Progress("note: another run is writing: waiting for it to finish"))
                stack.enter_context(self._layout.writing(WAIT))
            yield

    def _switch(self, before_switch: Callable[[EncoderInfo], None]) -> None:
        # What the switch will make of it: no older index of this space may be taken up.
        info = replace(self._target, complete_at=self._catalog.seq())
        before_switch(info)
        self._progress(Progress("ready to switch"))
        self._spaces.switch(self._target.fingerprint)
        self._progress(Progress("switched"))

    # ---- what is left to do

    def _pending(self) -> Iterator[Pending]:
        """Items that lack a vector and are not known to be beyond reach."""
        after = 0
        while part := self._spaces.pending(self._target.fingerprint, after, ITEMS_PER_COMMIT):
            after = part[-1].id
            yield from (item for item in part if _version(item) not in self._failed)

    def _failures(self) -> tuple[Failure, ...]:
        """Of the items that failed, those that still lack a vector."""
        if not self._failed:
            return ()
        lacking: set[tuple[int, bytes | None]] = set()
        after = 0
        while part := self._spaces.pending(self._target.fingerprint, after, ITEMS_PER_COMMIT):
            after = part[-1].id
            lacking.update(_version(item) for item in part)
        return tuple(failure for version, failure in self._failed.items() if version in lacking)

    # ---- filling the space

    def _fill(self, allow_missing: bool) -> None:
        pending = self._pending()
        first = next(pending, None)
        if first is None:
            return
        try:
            encoder = self._embedder.encoder
        except (ModelError, EncoderMismatchError) as error:
            if not allow_missing:
                raise ModelError(
                    f"{self._total} items have no vectors of {self._target.name} yet, and it "
                    f"cannot be loaded to encode them: {error} (or go without these items: "
                    "--allow-missing)"
                ) from error
            for item in (first, *pending):
                self._fail(item, f"not encoded by {self._target.name}, which cannot be loaded")
            return
        if isinstance(encoder, DerivedEncoder):
            self._adapt_all(encoder)
        self._encode_all(encoder)

    def _encode_all(self, encoder: Encoder) -> None:
        batch: list[_Ready] = []
        pictures = 0
        running: deque[tuple[int, Encoding]] = deque()  # items, and what is made of them
        for ready in in_order(
            self._pending(),
            self._prepare,
            workers=self._workers,
            window=lambda: self._embedder.in_flight(self._workers),
        ):
            if ready.error is not None:
                self._fail(ready.item, ready.error)
            batch.append(ready)
            pictures += ready.pixels is not None
            if pictures >= encoder.batch_size or len(batch) >= ITEMS_PER_COMMIT:
                # The next batch keeps the encoder busy while the one before is committed.
                running.append((len(batch), self._start(batch, running)))
                batch, pictures = [], 0
                if len(running) > 1:
                    self._commit(*running.popleft())
        if batch:
            running.append((len(batch), self._start(batch, running)))
        while running:
            self._commit(*running.popleft())

    def _prepare(self, item: Pending) -> _Ready:
        if not item.lacks_image or item.path is None:
            return _Ready(item)
        encoder = self._embedder.encoder
        try:
            contents = read(path_of(item.path, self._layout.base))
            if contents.digest != item.image_digest:
                raise ImageError(
                    f"{contents.name}: changed since it was indexed; run `mmsearch index` on it"
                )
            pixels = encoder.preprocess(decode(contents, encoder.image_size).image)
        except ImageError as error:
            return _Ready(item, error=str(error))
        return _Ready(item, pixels)

    def _start(self, batch: list[_Ready], running: Iterable[tuple[int, Encoding]]) -> Encoding:
        images: dict[bytes, npt.NDArray[np.uint8]] = {}
        texts: dict[bytes, str] = {}
        for ready in batch:
            item = ready.item
            if ready.pixels is not None and item.image_digest is not None:
                images.setdefault(item.image_digest, ready.pixels)
            if item.lacks_text and item.text_digest is not None and item.text is not None:
                texts.setdefault(item.text_digest, item.text)
        # Items of one picture stand far apart: it may have been encoded since it was asked for.
        for digest in self._spaces.rows("image", images, self._target.fingerprint):
            del images[digest]
        for digest in self._spaces.rows("text", texts, self._target.fingerprint):
            del texts[digest]
        for _, encoding in running:
            for modality, digest in encoding.names:
                (images if modality == "image" else texts).pop(digest, None)
        return self._embedder.start(images, texts)

    def _commit(self, items: int, encoding: Encoding) -> None:
        self._store(*encoding.result())
        self._count(items)

    def _adapt_all(self, encoder: DerivedEncoder) -> None:
        """Compute from the base's vectors whatever can be; the rest is left to be encoded."""
        spaces = {space.encoder.fingerprint: space.encoder for space in self._spaces.all()}
        base = spaces.get(encoder.base.fingerprint)
        if base is None:
            return
        adapt: dict[Modality, Callable[[Vectors], Vectors]] = {"text": encoder.adapt_texts}
        if encoder.reuses_images:
            adapt["image"] = encoder.adapt_images
        file = self._layout.vector_file(base)
        pending = self._pending()
        while part := list(islice(pending, ITEMS_PER_COMMIT)):
            names: list[tuple[Modality, bytes]] = []
            vectors = []
            for modality, change in adapt.items():
                lacking = {digest for item in part if (digest := item.lacking(modality))}
                rows = self._spaces.rows(modality, lacking, base.fingerprint)
                if rows:
                    vectors.append(change(_unit(file.read(np.array(list(rows.values()))))))
                    names += [(modality, digest) for digest in rows]
            if names:
                self._store(tuple(names), np.concatenate(vectors))
                self._adapted += len(names)
            self._count(len(part))
        self._done = 0
        self._total = self._spaces.count_pending(self._target.fingerprint)

    def _store(self, names: Names, vectors: Vectors) -> None:
        with self._writing():
            new = self._embedder.append(names, vectors)
            if new is not None:
                self._spaces.commit(new)
        self._progress(Progress("committed"))

    def _count(self, items: int) -> None:
        self._done += items
        self._progress(Progress("commit", self._done, max(self._done, self._total)))

    def _fail(self, item: Pending, reason: str) -> None:
        self._failed[_version(item)] = Failure(item.key, reason)


def _version(item: Pending) -> tuple[int, bytes | None]:
    """An item that failed is tried again only with another picture."""
    return item.id, item.image_digest


def _unit(rows: Vectors) -> Vectors:
    """float16 storage moves a norm by up to 5e-4."""
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
