"""From sources to the catalog: decode, encode, commit.

Decoding runs in threads, in order and bounded, while the one consumer here feeds the encoder full
batches. Each batch is committed in one transaction, by a thread of its own while the next ones are
decoded and encoded: a crash costs three batches at most.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from mmsearch import collector
from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.prepared import is_alike, prepare
from mmsearch.catalog.records import StoredItem, Write
from mmsearch.errors import InputError
from mmsearch.images import Contents, decode, read
from mmsearch.ingest.embed import Embedder, Encoding, Names
from mmsearch.ingest.kept import keep_picture
from mmsearch.ingest.known import Known, text_digest
from mmsearch.ingest.new_items import NewItems, item_row
from mmsearch.ingest.plan import HANDED_OVER, Todo, has_own_key, told_and_given
from mmsearch.layout import Layout
from mmsearch.pool import in_order
from mmsearch.scan import key_of
from mmsearch.types import Failure, OnProgress, Progress, Source

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mmsearch.types import Vectors

# A batch is committed when so many things were encoded for it, or with so many items: what has its
# vectors already is read again in a moment after a crash, and each commit waits for the disk.
ITEMS_PER_COMMIT = 1000
KNOWN_PER_COMMIT = 20_000
# Requests for pictures on the web at the same time: they wait, and take no core meanwhile.
FETCHES = 8

Outcome = Literal["added", "changed", "moved", "same"]
Vanished = dict[bytes, list[StoredItem]]  # what an item that moved is recognised by


@dataclass
class _Decoded:
    """One source ready to encode; `pixels` None when its picture is already embedded."""

    source: Source
    old: StoredItem | None
    text_digest: bytes | None
    image_digest: bytes | None = None
    pixels: npt.NDArray[np.uint8] | None = None
    error: str | None = None
    seconds: float = 0.0
    items = 1


@dataclass
class _New:
    """Many new items, and those of their texts that have no vector yet."""

    block: NewItems
    texts: dict[bytes, str]

    @property
    def items(self) -> int:
        return len(self.block)


@dataclass
class Tally:
    """Running totals of what was committed, seconds of decoding, and of waiting for commits."""

    outcomes: Counter[str] = field(default_factory=Counter)
    returned: int = 0
    missing: int = 0
    unchanged: int = 0
    failures: list[Failure] = field(default_factory=list)
    decoded: int = 0
    decode_s: float = 0.0
    commit_s: float = 0.0


class Pipeline:
    """Carries what has to be decoded, encoded or written into the catalog, and counts it."""

    def __init__(
        self,
        catalog: Catalog,
        layout: Layout,
        embedder: Embedder,
        known: Known,
        *,
        workers: int,
        url_hosts: Sequence[str],
        on_progress: OnProgress,
        tally: Tally,
    ) -> None:
        self._catalog = catalog
        self._layout = layout
        self._base = layout.base
        self._embedder = embedder
        self._known = known
        self._workers = workers
        self._url_hosts = url_hosts
        self._progress = on_progress
        self._tally = tally
        self._done = 0
        self.failed: set[str] = set()  # keys of items that could not be read

    def run(self, todo: Sequence[Todo], vanished: Vanished) -> None:
        """Commit all of `todo`.

        An item of `vanished` that turns up under another key is taken from there: it moved.
        """
        decoded = self._decoded(todo) if any(map(has_picture, todo)) else self._as_given(todo)
        self._commit_all(decoded, vanished, self._done + len(todo))

    def run_rows(self, rows: Iterable[Todo | NewItems]) -> None:
        """Commit what has no pictures while more of it is found."""
        self._commit_all(self._as_given(rows), {}, None)

    def _commit_all(
        self, found: Iterable[_Decoded | _New], vanished: Vanished, total: int | None
    ) -> None:
        batch: list[_Decoded | _New] = []
        count = pixels = texts = 0
        encoding: deque[tuple[list[_Decoded | _New], Encoding]] = deque()
        committing: deque[tuple[int, Future[None]]] = deque()

        def finish() -> None:
            while committing:
                started = time.perf_counter()
                committing[0][1].result()
                self._tally.commit_s += time.perf_counter() - started
                self._done += committing.popleft()[0]
                self._progress(Progress("committed"))
                self._progress(Progress("commit", self._done, total))

        def commit_first() -> None:
            items, encoded = encoding.popleft()
            write, outcomes = self._placed(items, vanished)
            names, vectors = encoded.result()
            finish()
            task = committer.submit(self._commit, write, names, vectors, outcomes)
            committing.append((sum(one.items for one in items), task))

        # On its way out, with Ctrl-C too, it waits for what is being committed.
        with ThreadPoolExecutor(1, thread_name_prefix="commit") as committer:
            for one in found:
                batch.append(one)
                count += one.items
                if isinstance(one, _New):
                    texts += len(one.texts)
                else:
                    pixels += one.pixels is not None
                    self._tally.decoded += one.pixels is not None
                    self._tally.decode_s += one.seconds
                    texts += self._lacks_text(one)
                full = pixels and pixels >= self._embedder.encoder.batch_size
                if full or pixels + texts >= ITEMS_PER_COMMIT or count >= KNOWN_PER_COMMIT:
                    encoding.append((batch, self._start(batch)))
                    batch, count, pixels, texts = [], 0, 0, 0
                    # The next batch keeps the encoder busy while the one before is committed.
                    if len(encoding) > 1 or not encoding[0][1].names:
                        commit_first()
            if batch:
                encoding.append((batch, self._start(batch)))
            while encoding:
                commit_first()
            finish()

    def _start(self, batch: list[_Decoded | _New]) -> Encoding:
        """Begin to encode what has no vector yet, nor is being encoded."""
        images: dict[bytes, npt.NDArray[np.uint8]] = {}
        texts: dict[bytes, str] = {}
        for one in batch:
            if isinstance(one, _New):
                texts.update(self._known.lacking(one.texts))
                continue
            if one.error is not None:
                continue
            if one.pixels is not None and one.image_digest is not None:
                images.setdefault(one.image_digest, one.pixels)
            if one.text_digest and one.source.text and self._lacks_text(one):
                texts.setdefault(one.text_digest, one.source.text)
        images = {d: p for d, p in images.items() if ("image", d) not in self._known}
        encoding = self._embedder.start(images, texts)
        self._known.update(encoding.names)  # batches are committed in order, or none any more
        return encoding

    def _lacks_text(self, one: _Decoded) -> bool:
        return one.text_digest is not None and ("text", one.text_digest) not in self._known

    def _decoded(self, todo: Sequence[Todo]) -> Iterator[_Decoded]:
        fetched = any(source.url for source, _ in todo)
        return in_order(
            todo,
            self._decode,
            workers=max(self._workers, FETCHES) if fetched else self._workers,
            window=lambda: self._embedder.in_flight(self._workers),
        )

    def _as_given(self, todo: Iterable[Todo | NewItems]) -> Iterator[_Decoded | _New]:
        """Without pictures nothing is read: threads would only cost."""
        rest = iter(todo)
        while True:
            part: list[_Decoded | _New] = []
            count = 0
            with collector.paused():
                for one in rest:
                    given = self._new(one) if isinstance(one, NewItems) else self._decode(one)
                    part.append(given)
                    count += given.items
                    if count >= KNOWN_PER_COMMIT:
                        break
            if not part:
                return
            yield from part

    def _new(self, block: NewItems) -> _New:
        return _New(block, self._known.lacking(block.texts))

    def _decode(self, one: Todo) -> _Decoded:
        source, old = one
        digest = text_digest(source)
        if not has_picture(one):
            return _Decoded(source, old, digest)
        started = time.perf_counter()
        try:
            contents = self._read(source)
            seconds = time.perf_counter() - started
            if ("image", contents.digest) in self._known:
                source = self._kept(source, contents)
                return _Decoded(source, old, digest, contents.digest, seconds=seconds)
            encoder = self._embedder.encoder
            started = time.perf_counter()
            pixels = encoder.preprocess(decode(contents, encoder.image_size).image)
            seconds += time.perf_counter() - started
            source = self._kept(source, contents)
            return _Decoded(source, old, digest, contents.digest, pixels, seconds=seconds)
        except InputError as error:
            reason = str(error)
            if source.origin is None:  # the line that shows it begins with the key: that file
                reason = reason.removeprefix(f"{source.path}: ")
            return _Decoded(source, old, digest, error=reason)

    def _read(self, source: Source) -> Contents:
        """The picture's file, or what its address gives. Raises InputError."""
        if source.url is None:
            assert source.path is not None
            return read(source.path)
        from mmsearch.fetch import fetch_image

        return replace(read(fetch_image(source.url, self._url_hosts)), name=source.url)

    def _kept(self, source: Source, contents: Contents) -> Source:
        """A picture without a file gets one; only pictures that can be decoded come here."""
        if source.url is None:
            return source
        return replace(source, path=keep_picture(contents, self._layout))

    def _placed(
        self, batch: Sequence[_Decoded | _New], vanished: Vanished
    ) -> tuple[Write, Counter[str]]:
        """What is to be written of a batch, and how many items had which outcome."""
        write = Write()
        rows: list[dict[str, Any]] = []
        alike: set[int] = set()
        outcomes: Counter[str] = Counter()
        with collector.paused():
            for one in batch:
                if isinstance(one, _New):
                    write.prepared += [prepare(rows, alike), one.block.prepared]
                    rows = []
                    outcomes["added"] += one.items
                    continue
                if one.error is not None:
                    self._fail(one, write)
                    continue
                if one.source.picture_of in self.failed:
                    continue
                outcome, row = self._row(one, vanished)
                outcomes[outcome] += 1
                rows.append(row)
                if one.old is not None and is_alike(row, one.old):
                    alike.add(one.old.id)
                write.recovered.append(one.source.key)
            write.prepared.append(prepare(rows, alike))
        return write, outcomes

    def _commit(self, write: Write, names: Names, vectors: Vectors, outcomes: Counter[str]) -> None:
        write.vectors = self._embedder.append(names, vectors)
        if write:
            self._catalog.commit(write)
        # Counted only now: a run that is interrupted reports what it has really kept.
        self._tally.outcomes += outcomes

    def _row(self, one: _Decoded, vanished: Vanished) -> tuple[Outcome, dict[str, Any]]:
        """The item's row: a new one, a change, or a move of one that vanished."""
        source, old = one.source, one.old
        outcome: Outcome = "same"
        moved = old is None
        if old is None:
            old = self._vanished(one, vanished)
        attributes, told = told_and_given(source, old)
        if moved:
            outcome = "moved" if old else "added"
        elif old and _content(old) != (one.image_digest, source.text, source.group, attributes):
            outcome = "changed"
        return (
            outcome,
            item_row(
                source,
                attributes,
                id=old.id if old else None,
                path=key_of(source.path, self._base) if source.path else None,
                told=told,
                image_digest=one.image_digest,
                text_digest=one.text_digest,
            ),
        )

    def _vanished(self, one: _Decoded, vanished: Vanished) -> StoredItem | None:
        """The item of the same content that vanished, taken from there.

        For what has a key of its own it is the picture of the very file that its row names now.
        """
        source, content = one.source, one.image_digest or one.text_digest
        same = vanished.get(content, []) if content else []
        if not same or not has_own_key(source.key, source.origin):
            return same.pop() if same else None
        path = key_of(source.path, self._base) if source.path else None
        found = next((item for item in same if item.path == path is not None), None)
        if found is not None:
            same.remove(found)
        return found

    def _fail(self, one: _Decoded, write: Write) -> None:
        source = one.source
        failure = Failure(source.key, one.error or "")
        self._tally.failures.append(failure)
        self.failed.add(source.key)
        if source.origin == HANDED_OVER:
            return
        if source.url is not None:
            # It may well be there the next time; until then the item is as it was.
            write.failures.append({**failure_row(failure, None), "origin": source.origin})
            return
        write.failures.append(failure_row(failure, source))
        if one.old is not None:
            # The picture that the old vector stood for is gone; an answer must not show it.
            further = self._catalog.further_pictures([source.key]).get(source.key, ())
            write.states.setdefault("missing", []).extend(
                item.id for item in (one.old, *further) if item.live
            )


def has_picture(todo: Todo) -> bool:
    """Whether there is a picture to read, or to fetch."""
    source, _ = todo
    return source.path is not None or source.url is not None


def failure_row(failure: Failure, source: Source | None) -> dict[str, Any]:
    """A row of `failures`; without a source it is tried again by every run."""
    return {
        **vars(failure),
        "size_bytes": source.stamp.size_bytes if source else None,
        "mtime_ns": source.stamp.mtime_ns if source else None,
        "origin": source.origin if source else None,
    }


def _content(item: StoredItem) -> tuple[bytes | None, str | None, str | None, Any]:
    return item.image_digest, item.text, item.group, item.attributes
