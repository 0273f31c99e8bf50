"""A photo's journey into the collection: scan, decode, encode, commit, sweep.

Decoding runs in threads, in order and bounded, while the one consumer here feeds the encoder
full batches and commits each batch in one transaction: a crash costs one batch at most.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from mmsearch.catalog.catalog import Catalog, EncoderInfo, StoredItem, Write
from mmsearch.catalog.vectors import VectorFile
from mmsearch.errors import ImageError, RootError
from mmsearch.images import decode, digest_file
from mmsearch.scan import Scan, key_of
from mmsearch.types import (
    Encoder,
    Failure,
    FileStamp,
    IndexReport,
    OnProgress,
    Progress,
    Source,
)

if TYPE_CHECKING:
    import numpy.typing as npt

# A batch without new pictures (moved, duplicate or text-only items) is committed at this size.
ITEMS_PER_COMMIT = 1000


@dataclass(frozen=True)
class _Plan:
    """What a scan means for the catalog, before anything is decoded."""

    todo: list[tuple[Source, StoredItem | None]]
    returned: list[int]  # items that were missing and are back as they were
    unseen: list[StoredItem]
    unchanged: int
    failures: list[Failure]
    old_failures: list[Failure]
    over: list[str]  # keys of failures that no longer stand in the way of anything


@dataclass
class _Decoded:
    """One source ready to encode; `pixels` None when its picture is already embedded."""

    source: Source
    old: StoredItem | None
    image_digest: bytes | None = None
    pixels: npt.NDArray[np.uint8] | None = None
    error: str | None = None
    seconds: float = 0.0


@dataclass
class _Tally:
    """Running totals; `report` turns them into what the user sees."""

    added: int = 0
    changed: int = 0
    moved: int = 0
    decoded: int = 0
    images: int = 0
    texts: int = 0
    failures: list[Failure] = field(default_factory=list)
    decode_s: float = 0.0
    encode_s: float = 0.0
    commit_s: float = 0.0


class Ingest:
    """One `index` run over one collection. The caller holds the writer's lock."""

    def __init__(
        self,
        catalog: Catalog,
        base: Path,
        vector_file: Callable[[EncoderInfo], VectorFile],
        encoder: Callable[[], Encoder],
        *,
        workers: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._catalog = catalog
        self._base = base
        self._vector_file = vector_file
        self._load_encoder = encoder
        self._loaded: Encoder | None = None
        self._loading = threading.Lock()
        self._workers = workers or min(32, (os.cpu_count() or 1))
        self._progress = on_progress or (lambda _progress: None)
        self._tally = _Tally()
        info = catalog.encoder()
        self._known = catalog.known_digests(info.fingerprint) if info else set()

    def run(self, roots: Sequence[Path], *, allow_empty: bool = False) -> IndexReport:
        """Bring the catalog up to date with `roots`.

        Raises RootError before any change when a root is missing, unreadable, or suddenly empty.
        Interrupted by Ctrl-C it keeps what was committed and says so in the report.
        """
        started = time.perf_counter()
        scan = Scan(roots, self._base)
        plan = self._plan(scan, roots, allow_empty)
        tally = self._tally
        tally.failures = list(plan.failures)
        self._commit_known(plan)
        vanished: dict[bytes, list[StoredItem]] = {}
        for item in plan.unseen:
            vanished.setdefault(_identity(item), []).append(item)
        interrupted = False
        try:
            self._encode_and_commit(plan, vanished)
        except KeyboardInterrupt:
            interrupted = True
        lost = 0
        if scan.complete and not interrupted:
            gone = [item.id for items in vanished.values() for item in items if item.live]
            if gone or plan.over:
                self._catalog.commit(Write(states={"missing": gone}, recovered=plan.over))
            lost = len(gone)
        self._progress(Progress("swept"))
        seconds = time.perf_counter() - started
        report = IndexReport(
            added=tally.added,
            changed=tally.changed,
            moved=tally.moved,
            returned=len(plan.returned),
            missing=lost,
            unchanged=plan.unchanged,
            failures=tuple(tally.failures + plan.old_failures),
            decoded=tally.decoded,
            encoded_images=tally.images,
            encoded_texts=tally.texts,
            seconds=seconds,
            images_per_second=tally.images / seconds if seconds else 0.0,
            bottleneck=_bottleneck(tally, self._workers),
            interrupted=interrupted,
        )
        self._catalog.record_run(asdict(replace(report, failures=report.failures[:100])))
        return report

    # ---- plan

    def _plan(self, scan: Scan, roots: Sequence[Path], allow_empty: bool) -> _Plan:
        stored = {item.key: item for item in self._catalog.stored()}
        failed = self._catalog.known_failures()
        plan = _Plan([], [], [], 0, [], [], [])
        unchanged = 0
        seen: set[str] = set()
        origins: set[str] = set()
        for count, found in enumerate(scan, 1):
            if isinstance(found, Failure):
                plan.failures.append(found)
                continue
            if count % 1000 == 0:
                self._progress(Progress("scan", count))
            if found.key in seen:  # two roots that overlap
                continue
            seen.add(found.key)
            origins.add(found.origin or found.key)
            old = stored.get(found.key)
            reason, stamp = failed.get(found.key, ("", None))
            if stamp == found.stamp:
                plan.old_failures.append(Failure(found.key, reason))
            elif old is None or not self._same(found, old):
                plan.todo.append((found, old))
            elif old.live:
                unchanged += 1
            else:
                plan.returned.append(old.id)
        self._progress(Progress("scan", len(seen)))
        prefixes = [key_of(root.absolute(), self._base) for root in roots]
        for root, prefix in zip(roots, prefixes, strict=True):
            under = [i for i in stored.values() if _is_under(i.origin or i.key, prefix)]
            live = sum(item.live for item in under)
            if live and not allow_empty and not any(_is_under(o, prefix) for o in origins):
                raise RootError(
                    f"{root} holds nothing to index, but {live} items came from it: is a "
                    "drive not mounted? Nothing was changed. If it is meant to be empty, "
                    "say so with --allow-empty"
                )
        plan.unseen.extend(
            item
            for item in stored.values()
            if item.key not in seen and any(_is_under(item.origin or item.key, p) for p in prefixes)
        )
        failing = {failure.key for failure in plan.failures + plan.old_failures}
        failing.update(source.key for source, _ in plan.todo)
        plan.over.extend(
            key for key in failed if key not in failing and any(_is_under(key, p) for p in prefixes)
        )
        return replace(plan, unchanged=unchanged)

    def _same(self, found: Source, old: StoredItem) -> bool:
        return (
            found.stamp == old.stamp
            and found.text == old.text
            and found.group == old.group
            and dict(found.attributes) == dict(old.attributes)
            and (found.path is None) == (old.path is None)
            and (found.path is None or key_of(found.path, self._base) == old.path)
        )

    def _commit_known(self, plan: _Plan) -> None:
        """What needs no encoding becomes visible at once."""
        write = Write(
            failures=[
                {**vars(failure), "size_bytes": None, "mtime_ns": None} for failure in plan.failures
            ]
        )
        if plan.returned:
            write.states["live"] = plan.returned
        if write:
            self._catalog.commit(write)

    # ---- decode, encode, commit

    def _encode_and_commit(self, plan: _Plan, vanished: dict[bytes, list[StoredItem]]) -> None:
        todo = plan.todo
        done = 0
        batch: list[_Decoded] = []
        pixels = 0
        for decoded in self._decode_all(todo):
            batch.append(decoded)
            pixels += decoded.pixels is not None
            self._tally.decoded += decoded.pixels is not None
            self._tally.decode_s += decoded.seconds
            full = pixels and pixels >= self._encoder().batch_size
            if full or len(batch) >= ITEMS_PER_COMMIT:
                self._commit(batch, vanished)
                done += len(batch)
                self._progress(Progress("commit", done, len(todo)))
                batch, pixels = [], 0
        if batch:
            self._commit(batch, vanished)
            self._progress(Progress("commit", done + len(batch), len(todo)))

    def _decode_all(self, todo: Iterable[tuple[Source, StoredItem | None]]) -> Iterator[_Decoded]:
        """Decoded sources in order; at most two batches wait in memory."""
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="decode")
        pending: list[Future[_Decoded]] = []
        queue = iter(todo)
        try:
            pending = [pool.submit(self._decode, *one) for one in islice(queue, 4 * self._workers)]
            while pending:
                decoded = pending.pop(0).result()
                # Enough in flight to keep the workers busy while the encoder has the CPU.
                window = 2 * self._loaded.batch_size if self._loaded else 4 * self._workers
                for one in islice(queue, max(0, window - len(pending))):
                    pending.append(pool.submit(self._decode, *one))
                yield decoded
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _decode(self, source: Source, old: StoredItem | None) -> _Decoded:
        if source.path is None:
            return _Decoded(source, old)
        started = time.perf_counter()
        try:
            digest = digest_file(source.path)
            if ("image", digest) in self._known:
                return _Decoded(source, old, digest, seconds=time.perf_counter() - started)
            encoder = self._encoder()
            started = time.perf_counter()
            decoded = decode(source.path, encoder.image_size)
            pixels = encoder.preprocess(decoded.image)
            seconds = time.perf_counter() - started
            return _Decoded(source, old, decoded.digest, pixels, seconds=seconds)
        except ImageError as error:
            return _Decoded(source, old, error=str(error))

    def _commit(self, batch: list[_Decoded], vanished: dict[bytes, list[StoredItem]]) -> None:
        write = Write()
        outcomes: Counter[str] = Counter()
        images: dict[bytes, npt.NDArray[np.uint8]] = {}
        texts: dict[bytes, str] = {}
        for one in batch:
            if one.error is not None:
                self._fail(one, write)
                continue
            digest = _text_digest(one.source.text)
            if one.pixels is not None and one.image_digest is not None:
                images.setdefault(one.image_digest, one.pixels)
            if digest and ("text", digest) not in self._known:
                texts.setdefault(digest, one.source.text or "")
            outcomes[self._place(one, digest, write, vanished)] += 1
            write.recovered.append(one.source.key)
        images = {d: p for d, p in images.items() if ("image", d) not in self._known}
        vectors = self._encode(images, texts)
        started = time.perf_counter()
        if len(vectors):
            encoder = self._encoder()
            info = EncoderInfo(encoder.name, encoder.fingerprint, encoder.dim)
            head = self._catalog.head(info.fingerprint)
            checksum = self._vector_file(info).append(head, vectors)
            self._progress(Progress("rows written"))
            names = [("image", d) for d in images] + [("text", d) for d in texts]
            write.fingerprint = info.fingerprint
            write.batch = (head, len(vectors), checksum)
            write.embeddings = [
                (cast(Literal["image", "text"], modality), digest, head + row)
                for row, (modality, digest) in enumerate(names)
            ]
        if write:
            self._catalog.commit(write)
            self._known.update((modality, digest) for modality, digest, _ in write.embeddings)
        # Counted only now: a run that is interrupted reports what it has really kept.
        self._tally.added += outcomes["added"]
        self._tally.changed += outcomes["changed"]
        self._tally.moved += outcomes["moved"]
        self._tally.commit_s += time.perf_counter() - started
        self._progress(Progress("committed"))

    def _encode(
        self, images: dict[bytes, npt.NDArray[np.uint8]], texts: dict[bytes, str]
    ) -> npt.NDArray[np.float32]:
        started = time.perf_counter()
        parts = []
        if images:
            parts.append(self._encoder().encode_images(np.stack(list(images.values()))))
        if texts:
            parts.append(self._encoder().encode_texts(list(texts.values())))
        self._tally.images += len(images)
        self._tally.texts += len(texts)
        self._tally.encode_s += time.perf_counter() - started
        self._progress(Progress("encoded"))
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def _place(
        self,
        one: _Decoded,
        text_digest: bytes | None,
        write: Write,
        vanished: dict[bytes, list[StoredItem]],
    ) -> Literal["added", "changed", "moved", "same"]:
        """Add the item's row to `write`: a new one, a change, or a move of one that vanished."""
        source, old = one.source, one.old
        outcome: Literal["added", "changed", "moved", "same"] = "same"
        if old is not None:
            if _content(old) != (one.image_digest, source.text, source.group, source.attributes):
                outcome = "changed"
        else:
            content = one.image_digest or text_digest
            same = vanished.get(content) if content else None
            old = same.pop() if same else None
            outcome = "moved" if old else "added"
        write.items.append(
            {
                "id": old.id if old else None,
                "key": source.key,
                "state": "live",
                "origin": source.origin,
                "group": source.group,
                "path": key_of(source.path, self._base) if source.path else None,
                "text": source.text,
                "attributes": dict(source.attributes),
                "image_digest": one.image_digest,
                "text_digest": text_digest,
                "size_bytes": source.stamp.size_bytes,
                "mtime_ns": source.stamp.mtime_ns,
            }
        )
        return outcome

    def _fail(self, one: _Decoded, write: Write) -> None:
        failure = Failure(one.source.key, one.error or "")
        self._tally.failures.append(failure)
        stamp: FileStamp = one.source.stamp
        write.failures.append({**vars(failure), **vars(stamp)})
        if one.old is not None:
            # The picture that the old vector stood for is gone; an answer must not show it.
            write.states.setdefault("missing", []).append(one.old.id)

    def _encoder(self) -> Encoder:
        with self._loading:
            if self._loaded is None:
                self._progress(Progress("loading model"))
                self._loaded = self._load_encoder()
        return self._loaded


def _content(item: StoredItem) -> tuple[bytes | None, str | None, str | None, Any]:
    return item.image_digest, item.text, item.group, item.attributes


def _identity(item: StoredItem) -> bytes:
    """By what an item that moved is recognised."""
    return item.image_digest or item.text_digest or item.key.encode()


def _text_digest(text: str | None) -> bytes | None:
    return hashlib.blake2b(text.encode(), digest_size=16).digest() if text else None


def _is_under(key: str, prefix: str) -> bool:
    if prefix == ".":
        return not key.startswith("/")
    return key == prefix or key.startswith((prefix.rstrip("/") + "/", prefix + "#"))


def _bottleneck(tally: _Tally, workers: int) -> Literal["decode", "encode", "commit", "none"]:
    """The stage that had most work per lane; decoding has as many lanes as workers."""
    stages: dict[Literal["decode", "encode", "commit"], float] = {
        "decode": tally.decode_s / workers,
        "encode": tally.encode_s,
        "commit": tally.commit_s,
    }
    if not any(stages.values()):
        return "none"
    return max(stages, key=lambda stage: stages[stage])
