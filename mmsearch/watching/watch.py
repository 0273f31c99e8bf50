"""Index runs as files come and go.

    for event in watch(collection, ["photos"], stop=flag):
        print(event)

Each run is a whole one of all roots: what a table claims, what was moved and what is missing is
only known when all of them were seen, and files that did not change cost a `stat` each. So that a
busy folder is not read without end, a run waits until nothing has changed for a moment, and rests
as long as the run before it took, up to a limit. After the first run there is no rest: it is long
because all was new, not because the folder is busy.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING, Any, Literal

from mmsearch.errors import LockedError, RootError, TableError, UsageError
from mmsearch.scan import Scan
from mmsearch.types import Failure, IndexReport, OnProgress, Progress, Source
from mmsearch.watching.changes import Changes

if TYPE_CHECKING:
    from mmsearch.collection import Collection

# A folder in which something changes all the time (a long copy) is indexed this often.
LONGEST_WAIT_S = 30.0
LONGEST_REST_S = 30.0
LOCK_RETRY_S = 2.0
ROOT_RETRY_S = 10.0
# Drives inside a root that are unplugged, links, and queues that ran over are noticed by then.
FULL_PASS_S = 3600.0

Kind = Literal["indexed", "watching", "waiting", "unavailable", "available"]


@dataclass(frozen=True)
class Event:
    """What happened while watching.

    `indexed`: a run, with its `report`, whose failures are only those not told before.
    `watching`: from now on changes are followed.
    `waiting`: another process writes to the collection; the run waits for it.
    `unavailable`: these roots cannot be read, or are suddenly empty; `message` says why. They are
    left out, and looked for. `available`: they are back.
    """

    kind: Kind
    roots: tuple[Path, ...]
    message: str = ""
    report: IndexReport | None = None


def watch(
    collection: Collection,
    roots: Sequence[str | Path],
    *,
    stop: Flag | None = None,
    poll: bool = False,
    on_progress: OnProgress | None = None,
    **options: Any,
) -> Iterator[Event]:
    """Index `roots` (folders or files), then again whenever something in them changes.

    Ends when `stop` is set, after the batch that is under way. `poll` is for drives of the network
    that tell nothing of changes. `options` are those of Collection.index: model, device,
    batch_size, workers.

    Raises RootError at once for a root that is not there, and where the system cannot watch so
    many folders; later a root may go and come. Other errors are those of Collection.index.
    """
    if not roots:
        raise UsageError("nothing to watch: name at least one folder or file")
    absolute = tuple(dict.fromkeys(Path(os.path.abspath(root)) for root in roots))
    Scan(absolute, collection.base)
    flag = stop or Flag()
    changes = Changes(absolute, collection.path, flag, poll=poll)

    def index(usable: Sequence[Path], allow_empty: bool) -> IndexReport:
        return collection.index(
            usable, allow_empty=allow_empty, on_progress=_stopping(flag, on_progress), **options
        )

    return _Watch(absolute, collection.base, changes, index, flag).events()


def _stopping(stop: Flag, on_progress: OnProgress | None) -> OnProgress:
    """Ends a run as Ctrl-C does, but only where nothing is half done."""

    def progress(step: Progress) -> None:
        if on_progress:
            on_progress(step)
        if stop.is_set() and step.step in ("scan", "committed"):
            raise KeyboardInterrupt

    return progress


class _Watch:
    def __init__(
        self,
        roots: tuple[Path, ...],
        base: Path,
        changes: Changes,
        index: Callable[[Sequence[Path], bool], IndexReport],
        stop: Flag,
    ) -> None:
        self._roots = roots
        self._files = {root for root in roots if root.is_file()}
        self._base = base
        self._changes = changes
        self._index = index
        self._stop = stop
        self._due: float | None = time.monotonic()  # since when there is something to index
        self._first = True  # no run has been through yet
        self._not_before = 0.0
        self._retry_at = 0.0
        self._waiting = False
        self._unavailable: set[Path] = set()
        self._none_is_empty = False  # each root was looked at, and holds something
        self._told: frozenset[Failure] = frozenset()

    def events(self) -> Iterator[Event]:
        try:
            self._changes.wait()  # watching comes first, so that the first run misses nothing
            yield from self._run()
            yield Event("watching", self._roots)
            next_pass = time.monotonic() + FULL_PASS_S
            while not self._stop.is_set():
                changed = self._changes.wait()
                now = time.monotonic()
                if now >= next_pass:
                    changed, next_pass = set(self._roots), now + FULL_PASS_S
                yield from self._look_again(changed, now)
                if changed - self._unavailable:
                    self._due = now if self._due is None else self._due
                if self._due is None or self._stop.is_set() or now < self._not_before:
                    continue
                if not changed or now - self._due > LONGEST_WAIT_S:
                    yield from self._run()
        finally:
            self._changes.close()

    def _run(self) -> Iterator[Event]:
        """One index run, and what is to be told of it."""
        usable = [root for root in self._roots if root not in self._unavailable]
        # A table may claim pictures of the other roots: without it they would be items themselves.
        if not usable or self._files & self._unavailable:
            self._due = None
            return
        started = time.monotonic()
        try:
            report = self._index(usable, self._none_is_empty)
        except LockedError as error:
            if not self._waiting:
                yield Event("waiting", tuple(usable), str(error))
            self._waiting = True
            self._not_before = time.monotonic() + LOCK_RETRY_S
            return
        except (RootError, TableError) as error:
            yield from self._leave_out(usable, str(error))
            return
        except KeyboardInterrupt:
            if self._stop.is_set():
                return
            raise
        first, self._first = self._first, False
        self._waiting = self._none_is_empty = False
        self._due = None
        now = time.monotonic()
        self._not_before = now if first else now + min(now - started, LONGEST_REST_S)
        failures = frozenset(report.failures)
        new = tuple(failure for failure in report.failures if failure not in self._told)
        self._told = failures
        if first or new or _did_something(report):
            yield Event("indexed", tuple(usable), report=replace(report, failures=new))

    def _leave_out(self, usable: Sequence[Path], reason: str) -> Iterator[Event]:
        """Find the roots for which a run failed; it is repeated without them."""
        troubles = {root: why for root in usable if (why := self._trouble(root))}
        self._retry_at = time.monotonic() + ROOT_RETRY_S
        for root, why in troubles.items():
            self._unavailable.add(root)
            # Of one root alone the run's own words say more.
            yield Event("unavailable", (root,), reason if len(troubles) == 1 else why)
        if troubles:
            return
        if not self._none_is_empty:
            # A table has claimed all pictures of another root: that is not a drive unplugged.
            self._none_is_empty = True
            return
        self._none_is_empty = False
        self._not_before = self._retry_at
        yield Event("unavailable", tuple(usable), reason)

    def _look_again(self, changed: set[Path], now: float) -> Iterator[Event]:
        """Take roots in again that can be read now."""
        due = now >= self._retry_at
        if due:
            self._retry_at = now + ROOT_RETRY_S
        for root in sorted(self._unavailable):
            if (due or root in changed) and self._trouble(root) is None:
                self._unavailable.remove(root)
                changed.add(root)
                yield Event("available", (root,))

    def _trouble(self, root: Path) -> str | None:
        """Why a run of `root` alone would find nothing; None if it would find something."""
        try:
            found = any(isinstance(one, Source) for one in Scan([root], self._base))
        except (RootError, TableError) as error:
            return str(error)
        return None if found else f"{root} holds nothing to index"


def _did_something(report: IndexReport) -> bool:
    return (
        bool(report.added or report.changed or report.moved or report.returned or report.missing)
        or report.interrupted
    )
