"""A photo's journey into the collection: scan, decode, encode, commit, sweep.

Decoding runs in threads, in order and bounded, while the one consumer here feeds the encoder
full batches and commits each batch in one transaction, while the next one is being encoded: a
crash costs two batches at most.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mmsearch import collector
from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo, StoredItem, Write
from mmsearch.errors import InputError
from mmsearch.images import Contents, decode, read
from mmsearch.ingest.embed import Embedder, Encoding
from mmsearch.ingest.kept import keep_picture
from mmsearch.ingest.known import Known, text_digest
from mmsearch.ingest.plan import HANDED_OVER, Plan, plan_items, plan_scan, told_and_given
from mmsearch.layout import Layout
from mmsearch.pool import default_workers, in_order
from mmsearch.scan import Scan, key_of
from mmsearch.types import (
    Encoder,
    Failure,
    IndexReport,
    OnProgress,
    Progress,
    Source,
    TextEncoder,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# A batch is committed when so many things were encoded for it, or with so many items: what has its
# vectors already is read again in a moment after a crash, and each commit waits for the disk.
ITEMS_PER_COMMIT = 1000
KNOWN_PER_COMMIT = 10_000
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


@dataclass
class _Tally:
    """Running totals of what was committed, and seconds of work per stage."""

    outcomes: Counter[str] = field(default_factory=Counter)
    returned: int = 0
    missing: int = 0
    unchanged: int = 0
    failures: list[Failure] = field(default_factory=list)
    decoded: int = 0
    decode_s: float = 0.0
    commit_s: float = 0.0


class Ingest:
    """One run over one collection. The caller holds the writer's lock."""

    def __init__(
        self,
        catalog: Catalog,
        layout: Layout,
        load_encoder: Callable[[], Encoder],
        *,
        text_tower: Callable[[], tuple[EncoderInfo, TextEncoder] | None] = lambda: None,
        workers: int | None = None,
        url_hosts: Sequence[str] = (),
        on_progress: OnProgress | None = None,
    ) -> None:
        """`text_tower`: see Embedder. `url_hosts`: where pictures may be fetched from.

        Raises UsageError if that is no list of hosts (fetch.read_hosts).
        """
        if url_hosts:
            from mmsearch.fetch import read_hosts

            read_hosts(url_hosts)
        self._url_hosts = url_hosts
        self._catalog = catalog
        self._layout = layout
        self._base = layout.base
        self._progress = on_progress or (lambda _progress: None)
        self._embedder = Embedder(catalog, layout, load_encoder, self._progress, text_tower)
        self._workers = workers or default_workers()
        self._tally = _Tally()
        self._known = Known(catalog, whole=False)
        self.replaced: set[bytes] = set()  # kept pictures of items that may have others now

    @property
    def encoder(self) -> Encoder | None:
        """What encoded; None if nothing had to be, or only texts without it."""
        return self._embedder.loaded

    def run(self, roots: Sequence[Path], *, allow_empty: bool = False) -> IndexReport:
        """Bring the catalog up to date with `roots`.

        Raises RootError before any change when a root is missing, unreadable, or suddenly empty.
        Interrupted by Ctrl-C it keeps what was committed and says so in the report.
        """
        started = time.perf_counter()
        self._known = Known(self._catalog, whole=True)
        scan = Scan(roots, self._base)
        plan = plan_scan(
            scan,
            self._catalog,
            self._known,
            self._base,
            allow_empty=allow_empty,
            on_progress=self._progress,
        )
        vanished: Vanished = {}
        for item in plan.unseen:
            vanished.setdefault(_identity(item), []).append(item)
        interrupted = self._carry_out(plan, vanished)
        self.replaced.update(
            old.image_digest for _, old in plan.todo if old and old.url and old.image_digest
        )
        if scan.complete and not interrupted:
            gone = [item.id for items in vanished.values() for item in items if item.live]
            if gone or plan.over:
                self._catalog.commit(Write(states={"missing": gone}, recovered=plan.over))
            self._tally.missing = len(gone)
        if self._tally.outcomes["changed"] or self._tally.missing:
            self._catalog.forget_types()
        self._progress(Progress("swept"))
        report = self._report(time.perf_counter() - started, interrupted)
        self._catalog.record_run(asdict(replace(report, failures=report.failures[:100])))
        return report

    def take(self, sources: Iterable[Source | Failure]) -> IndexReport:
        """Add or replace these items; all others, and those that fail, stay as they are.

        Failures are reported, not remembered: the caller hands a better item over, or does not.
        """
        started = time.perf_counter()
        interrupted = False
        handed_over: set[str] = set()
        rest = iter(sources)
        while not interrupted and (part := list(islice(rest, KNOWN_PER_COMMIT))):
            self._tally.failures += [one for one in part if isinstance(one, Failure)]
            found = [one for one in part if isinstance(one, Source)]
            plan = plan_items(found, self._catalog, self._known, self._base)
            self.replaced.update(
                old.image_digest for _, old in plan.todo if old and old.image_digest
            )
            interrupted = self._carry_out(plan, {})
            handed_over.update(source.key for source in found)
        if not interrupted:
            self._drop_further_pictures(handed_over)
        return self._report(time.perf_counter() - started, interrupted)

    def _drop_further_pictures(self, handed_over: set[str]) -> None:
        """Of the items that were handed over, those pictures that were not."""
        failed = {failure.key for failure in self._tally.failures}
        gone = [
            picture
            for pictures in self._catalog.further_pictures(handed_over - failed).values()
            for picture in pictures
            if picture.key not in handed_over and picture.key not in failed
        ]
        if gone:
            self._catalog.commit(Write(states={"removed": [picture.id for picture in gone]}))
            self.replaced.update(one.image_digest for one in gone if one.image_digest)

    def _carry_out(self, plan: Plan, vanished: Vanished) -> bool:
        """Commit all of `plan`; True if that was interrupted."""
        self._tally.failures += plan.failures
        self._tally.unchanged += plan.unchanged
        self._commit_known(plan)
        try:
            self._encode_and_commit(plan.todo, vanished)
        except KeyboardInterrupt:
            return True
        finally:
            self._tally.failures += plan.old_failures
        return False

    def _report(self, seconds: float, interrupted: bool) -> IndexReport:
        tally, embedder = self._tally, self._embedder
        return IndexReport(
            added=tally.outcomes["added"],
            changed=tally.outcomes["changed"],
            moved=tally.outcomes["moved"],
            returned=tally.returned,
            missing=tally.missing,
            unchanged=tally.unchanged,
            failures=tuple(tally.failures),
            decoded=tally.decoded,
            encoded_images=embedder.images,
            encoded_texts=embedder.texts,
            seconds=seconds,
            images_per_second=embedder.images / seconds if seconds else 0.0,
            bottleneck=_bottleneck(tally, embedder, self._workers),
            interrupted=interrupted,
        )

    def _commit_known(self, plan: Plan) -> None:
        """What needs no encoding becomes visible at once."""
        write = Write(failures=[failure_row(failure, None) for failure in plan.failures])
        if plan.returned:
            write.states["live"] = plan.returned
        if write:
            self._catalog.commit(write)
        self._tally.returned += len(plan.returned)

    # ---- decode, encode, commit

    def _encode_and_commit(
        self, todo: Sequence[tuple[Source, StoredItem | None]], vanished: Vanished
    ) -> None:
        done = 0
        batch: list[_Decoded] = []
        pixels = texts = 0
        running: deque[tuple[list[_Decoded], Encoding]] = deque()

        def commit_first() -> None:
            nonlocal done
            first, encoding = running.popleft()
            self._commit(first, encoding, vanished)
            done += len(first)
            self._progress(Progress("commit", done, len(todo)))

        for decoded in self._all_decoded(todo):
            batch.append(decoded)
            pixels += decoded.pixels is not None
            self._tally.decoded += decoded.pixels is not None
            self._tally.decode_s += decoded.seconds
            texts += self._lacks_text(decoded)
            full = pixels and pixels >= self._embedder.encoder.batch_size
            if full or pixels + texts >= ITEMS_PER_COMMIT or len(batch) >= KNOWN_PER_COMMIT:
                # The next batch keeps the encoder busy while the one before is committed.
                running.append((batch, self._start(batch)))
                batch, pixels, texts = [], 0, 0
                if len(running) > 1:
                    commit_first()
        if batch:
            running.append((batch, self._start(batch)))
        while running:
            commit_first()

    def _start(self, batch: list[_Decoded]) -> Encoding:
        """Begin to encode what has no vector yet, nor is being encoded."""
        images: dict[bytes, npt.NDArray[np.uint8]] = {}
        texts: dict[bytes, str] = {}
        for one in batch:
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

    def _all_decoded(self, todo: Sequence[tuple[Source, StoredItem | None]]) -> Iterator[_Decoded]:
        if all(source.path is None and source.url is None for source, _ in todo):
            return self._without_pictures(todo)
        fetched = any(source.url for source, _ in todo)
        return in_order(
            todo,
            self._decode,
            workers=max(self._workers, FETCHES) if fetched else self._workers,
            window=lambda: self._embedder.in_flight(self._workers),
        )

    def _without_pictures(
        self, todo: Sequence[tuple[Source, StoredItem | None]]
    ) -> Iterator[_Decoded]:
        """Nothing is read: threads would only cost."""
        for start in range(0, len(todo), KNOWN_PER_COMMIT):
            with collector.paused():
                part = [self._decode(one) for one in todo[start : start + KNOWN_PER_COMMIT]]
            yield from part

    def _decode(self, one: tuple[Source, StoredItem | None]) -> _Decoded:
        source, old = one
        digest = text_digest(source)
        if source.path is None and source.url is None:
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
            return _Decoded(source, old, digest, error=str(error))

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

    def _commit(self, batch: list[_Decoded], encoding: Encoding, vanished: Vanished) -> None:
        write = Write()
        outcomes: Counter[str] = Counter()
        with collector.paused():
            for one in batch:
                if one.error is not None:
                    self._fail(one, write)
                    continue
                outcomes[self._place(one, write, vanished)] += 1
                write.recovered.append(one.source.key)
        names, vectors = encoding.result()
        started = time.perf_counter()
        write.vectors = self._embedder.append(names, vectors)
        if write:
            self._catalog.commit(write)
        # Counted only now: a run that is interrupted reports what it has really kept.
        self._tally.outcomes += outcomes
        self._tally.commit_s += time.perf_counter() - started
        self._progress(Progress("committed"))

    def _place(self, one: _Decoded, write: Write, vanished: Vanished) -> Outcome:
        """Add the item's row to `write`: a new one, a change, or a move of one that vanished."""
        source, old = one.source, one.old
        outcome: Outcome = "same"
        moved = old is None
        if old is None:
            content = one.image_digest or one.text_digest
            same = vanished.get(content) if content else None
            old = same.pop() if same else None
        attributes, told = told_and_given(source, old)
        if moved:
            outcome = "moved" if old else "added"
        elif old and _content(old) != (one.image_digest, source.text, source.group, attributes):
            outcome = "changed"
        write.items.append(
            {
                "id": old.id if old else None,
                "key": source.key,
                "state": "live",
                "origin": source.origin,
                "group": source.group,
                "path": key_of(source.path, self._base) if source.path else None,
                "text": source.text,
                "attributes": attributes,
                "told": told,
                "image_digest": one.image_digest,
                "text_digest": one.text_digest,
                "picture_of": source.picture_of,
                "url": source.url,
                "size_bytes": source.stamp.size_bytes,
                "mtime_ns": source.stamp.mtime_ns,
            }
        )
        return outcome

    def _fail(self, one: _Decoded, write: Write) -> None:
        failure = Failure(one.source.key, one.error or "")
        self._tally.failures.append(failure)
        if one.source.origin == HANDED_OVER:
            return
        if one.source.url is not None:
            # It may well be there the next time; until then the item is as it was.
            write.failures.append({**failure_row(failure, None), "origin": one.source.origin})
            return
        write.failures.append(failure_row(failure, one.source))
        if one.old is not None:
            # The picture that the old vector stood for is gone; an answer must not show it.
            write.states.setdefault("missing", []).append(one.old.id)


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


def _identity(item: StoredItem) -> bytes:
    return item.image_digest or item.text_digest or item.key.encode()


def _bottleneck(
    tally: _Tally, embedder: Embedder, workers: int
) -> Literal["decode", "encode", "commit", "none"]:
    """The stage that the run waited for most: decoding has as many lanes as workers, and of the
    encoder's work only what did not pass behind the others counts."""
    stages: dict[Literal["decode", "encode", "commit"], float] = {
        "decode": tally.decode_s / workers,
        "encode": embedder.seconds,
        "commit": tally.commit_s,
    }
    if not any(stages.values()):
        return "none"
    return max(stages, key=lambda stage: stages[stage])
