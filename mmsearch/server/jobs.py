"""Long work in the background: folders beneath allowed roots are indexed, one after the other."""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from mmsearch.collection import Collection
from mmsearch.errors import ItemNotFoundError, LockedError, MmsearchError
from mmsearch.server.problems import Problem
from mmsearch.server.settings import Settings
from mmsearch.types import Progress

log = logging.getLogger("mmsearch.server")

KEPT = 100
WAITING = 20
RETRY_LOCK_S = 5.0
# Steps of an index run at which no batch is under way, so that nothing is done for nothing.
_BETWEEN = frozenset({"scan", "commit"})

State = Literal["queued", "running", "done", "failed", "cancelled"]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(eq=False)
class Job:
    """One indexing of a folder or table. Written by the thread of jobs, read by the routes."""

    path: Path
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "queued"
    progress: Progress | None = None
    report: dict[str, Any] | None = None
    error: str | None = None
    created_at: str = field(default_factory=_now)
    finished_at: str | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        return self.finished_at is not None

    def to_json(self) -> dict[str, Any]:
        """A JobOut."""
        return {
            "id": self.id,
            "kind": "index",
            "path": str(self.path),
            "state": self.state,
            "progress": None if self.progress is None else asdict(self.progress),
            "report": self.report,
            "error": self.error,
            "created_at": self.created_at,
            "finished_at": self.finished_at,
        }


class Jobs:
    """The last jobs, and the thread that does them with a collection of its own."""

    def __init__(self, open_collection: Callable[[], Collection], settings: Settings) -> None:
        self._open = open_collection
        self._roots = [root.resolve() for root in settings.roots]
        self._jobs: dict[str, Job] = {}  # the oldest first
        self._waiting: queue.Queue[Job | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._stop = threading.Event()

    def start(self) -> None:
        self._thread.start()

    async def close(self) -> None:
        """Stop between two batches; what was committed stays."""
        self._stop.set()
        for job in self._jobs.values():
            job.cancelled.set()
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def add(self, path: Path) -> Job:
        """Queue the indexing of what `allowed` gave. Raises Problem where too many wait."""
        job = Job(path)
        waiting = sum(one.state == "queued" for one in self._jobs.values())
        if waiting >= WAITING:
            raise Problem(503, f"{waiting} jobs are waiting already", {"Retry-After": "60"})
        self._jobs[job.id] = job
        over = [one.id for one in self._jobs.values() if one.over]
        for old in itertools.islice(over, max(0, len(self._jobs) - KEPT)):
            del self._jobs[old]
        self._waiting.put(job)
        return job

    def all(self) -> list[Job]:
        """The newest first."""
        return list(reversed(self._jobs.values()))

    def get(self, id: str) -> Job:
        """Raises ItemNotFoundError."""
        if id not in self._jobs:
            raise ItemNotFoundError(f"no job has the id {id!r}: the last {KEPT} are kept")
        return self._jobs[id]

    def cancel(self, id: str) -> Job:
        """Stop it between two batches; what was committed stays. Raises ItemNotFoundError."""
        job = self.get(id)
        job.cancelled.set()
        return job

    def allowed(self, path: str) -> Path:
        """The real place of `path`, beneath a root. Blocks. Raises Problem."""
        if not self._roots:
            raise Problem(
                403, "this server indexes no folders: its operator allows one with --root DIR"
            )
        try:
            real = Path(path).resolve(strict=True)  # links lead to where they lead
        except (OSError, ValueError, RuntimeError):
            real = None
        # One answer for both, or it would tell what lies outside of the roots.
        if real is None or not any(real.is_relative_to(root) for root in self._roots):
            raise Problem(403, "there is no such path beneath a folder that this server may index")
        return real

    # ---- on the thread of jobs

    def _run(self) -> None:
        collection: Collection | None = None
        while (job := self._waiting.get()) is not None:
            if self._stop.is_set() or job.cancelled.is_set():
                self._finish(job, "cancelled")
                continue
            job.state = "running"
            try:
                collection = collection or self._open()
                self._index(collection, job)
            except KeyboardInterrupt:
                self._finish(job, "cancelled")
            except MmsearchError as error:
                job.error = str(error)
                self._finish(job, "failed")
            except Exception:  # a bug: the next job may do better
                log.exception("job %s failed", job.id)
                job.error = "a fault of the server: its log has the details"
                self._finish(job, "failed")
        if collection is not None:
            collection.close()

    def _index(self, collection: Collection, job: Job) -> None:
        stopped = False

        def on_progress(progress: Progress) -> None:
            nonlocal stopped
            job.progress = progress
            if job.cancelled.is_set() and not stopped and progress.step in _BETWEEN:
                # What Ctrl-C does to `mmsearch index`: it keeps what is committed, and reports.
                stopped = True
                raise KeyboardInterrupt

        while True:
            try:
                report = collection.index([job.path], on_progress=on_progress)
                break
            except LockedError:
                job.progress = Progress("waiting for another process that writes")
                if job.cancelled.wait(RETRY_LOCK_S):
                    raise KeyboardInterrupt from None
        job.report = asdict(report)
        self._finish(job, "cancelled" if report.interrupted else "done")

    def _finish(self, job: Job, state: State) -> None:
        job.state = state
        job.finished_at = _now()
