"""A photo's journey into the collection: scan, decode, encode, commit, sweep.

The three in the middle are the pipeline's; here is what comes before and after.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from mmsearch import collector
from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo, StoredItem, Write
from mmsearch.ingest.embed import Embedder
from mmsearch.ingest.known import Known
from mmsearch.ingest.new_items import NewItems
from mmsearch.ingest.pipeline import (
    KNOWN_PER_COMMIT,
    Pipeline,
    Tally,
    Vanished,
    failure_row,
    has_picture,
)
from mmsearch.ingest.plan import Plan, Todo, has_own_key, plan_items, plan_scan
from mmsearch.layout import Layout
from mmsearch.pool import default_workers
from mmsearch.scan import Scan
from mmsearch.types import (
    Encoder,
    Failure,
    IndexReport,
    OnProgress,
    Progress,
    Source,
    TextEncoder,
)


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
        self._tally = Tally()
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
        with collector.paused():
            stored = {item.key: item for item in self._catalog.stored()}
        plan = Plan()
        found = plan_scan(
            scan,
            self._catalog,
            stored,
            self._known,
            self._base,
            plan,
            allow_empty=allow_empty,
            on_progress=self._progress,
        )
        pipeline = self._pipeline()
        interrupted = self._find(found, plan, pipeline, first_run=not stored)
        vanished: Vanished = {}
        for item in plan.unseen:
            vanished.setdefault(_identity(item), []).append(item)
        interrupted = self._carry_out(pipeline, plan, vanished, interrupted)
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
        pipeline = self._pipeline()
        while not interrupted and (part := list(islice(rest, KNOWN_PER_COMMIT))):
            self._tally.failures += [one for one in part if isinstance(one, Failure)]
            found = [one for one in part if isinstance(one, Source)]
            plan = plan_items(found, self._catalog, self._known, self._base)
            self.replaced.update(
                old.image_digest for _, old in plan.todo if old and old.image_digest
            )
            interrupted = self._carry_out(pipeline, plan, {})
            handed_over.update(source.key for source in found)
        if not interrupted:
            self._drop_further_pictures(handed_over, pipeline.failed)
        return self._report(time.perf_counter() - started, interrupted)

    def _drop_further_pictures(self, handed_over: set[str], unread: Set[str]) -> None:
        """Of the items that were handed over and could be read, those pictures that were not."""
        failed = {failure.key for failure in self._tally.failures} - handed_over | unread
        gone = [
            picture
            for pictures in self._catalog.further_pictures(handed_over - failed).values()
            for picture in pictures
            if picture.key not in handed_over and picture.key not in failed
        ]
        if gone:
            self._catalog.commit(Write(states={"removed": [picture.id for picture in gone]}))
            self.replaced.update(one.image_digest for one in gone if one.image_digest)

    def _pipeline(self) -> Pipeline:
        return Pipeline(
            self._catalog,
            self._layout,
            self._embedder,
            self._known,
            workers=self._workers,
            url_hosts=self._url_hosts,
            on_progress=self._progress,
            tally=self._tally,
        )

    def _find(
        self, found: Iterator[Todo | NewItems], plan: Plan, pipeline: Pipeline, *, first_run: bool
    ) -> bool:
        """Note all that is found in `plan`; True if interrupted.

        A first run commits what comes before the first picture while more is found: where there is
        no item yet, none can have moved or vanished, whatever is found in the end. The others may
        wait until all are known: to decode and encode them takes much longer than to find them.
        """

        def rows() -> Iterator[Todo | NewItems]:
            for todo in found:
                if not isinstance(todo, NewItems) and has_picture(todo):
                    plan.todo.append(todo)
                    return
                yield todo

        try:
            if first_run:
                pipeline.run_rows(rows())
            with collector.paused():
                for one in found:
                    plan.todo += (
                        ((source, None) for source in one) if isinstance(one, NewItems) else [one]
                    )
        except KeyboardInterrupt:
            return True
        return False

    def _carry_out(
        self, pipeline: Pipeline, plan: Plan, vanished: Vanished, interrupted: bool = False
    ) -> bool:
        """Commit all of `plan`, if `interrupted` only what failed; True if that was interrupted."""
        self._tally.failures += plan.failures
        self._tally.unchanged += plan.unchanged
        self._commit_known(plan)
        try:
            if not interrupted:
                pipeline.run(plan.todo, vanished)
        except KeyboardInterrupt:
            return True
        finally:
            self._tally.failures += plan.old_failures
        return interrupted

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


def _identity(item: StoredItem) -> bytes:
    """What an item that turns up under another key is recognised by.

    Not what has a key of its own: another product may have the same title, or the same picture in
    the place of one that it lacks.
    """
    if has_own_key(item.key, item.origin):
        return item.key.encode()
    return item.image_digest or item.text_digest or item.key.encode()


def _bottleneck(
    tally: Tally, embedder: Embedder, workers: int
) -> Literal["decode", "encode", "commit", "none"]:
    """The stage that the run waited for most: decoding has as many lanes as workers, and of
    encoding and committing only what did not pass behind the others counts."""
    stages: dict[Literal["decode", "encode", "commit"], float] = {
        "decode": tally.decode_s / workers,
        "encode": embedder.seconds,
        "commit": tally.commit_s,
    }
    if not any(stages.values()):
        return "none"
    return max(stages, key=lambda stage: stages[stage])
