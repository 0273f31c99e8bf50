"""Files that are written whole or not at all, and a model folder that appears at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mmsearch.durable import replacing, sync_directory
from mmsearch.errors import StorageError, UsageError

# The files without which a folder is no model.
MARKERS = ("mmsearch_adapter.json", "open_clip_config.json")
# Below the model's folder while it is not finished.
WORK = ".mmsearch-train"
LOCK = ".mmsearch-train.lock"


def write_file(path: Path, content: bytes, *, alone: bool = True) -> None:
    """Replace `path` by `content` in one step, synced. Raises StorageError.

    `alone` False: other processes may write the same file at the same time.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, alone=alone) as new:
            new.write_bytes(content)
    except OSError as exc:
        raise StorageError(
            f"cannot write {path} ({exc.strerror or exc}): make room or choose another --out, then "
            "run the same command again; it goes on from what was kept"
        ) from exc


@contextmanager
def claimed(out: Path) -> Iterator[Path]:
    """The work folder of an unfinished run in `out`, made if need be, for this run alone.

    A run that ends without having kept anything leaves no folder that was not there before it.

    Raises UsageError where `out` holds anything else, or another run is at work on it: a finished
    model is never written over, because a collection may hold vectors of it. Raises StorageError.
    """
    work, lock = out / WORK, FileLock(out / LOCK)
    missing = [folder for folder in (out, *out.parents) if not os.path.exists(folder)]
    with _making(work):
        _require_unfinished(out)  # nothing is made in a folder that is refused
        out.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as exc:
            raise UsageError(
                f"--out {out}: another `mmsearch train` is at work on it; wait for it to finish, "
                "or name another folder"
            ) from exc
    try:
        with _making(work):
            _require_unfinished(out)  # another run may have finished it in the meantime
            work.mkdir(exist_ok=True)
        yield work
    finally:
        # Who has opened it by now, and locks what has no name any more, finds the model.
        if _holds_model(out):
            (out / LOCK).unlink(missing_ok=True)
        else:
            with suppress(OSError):  # something was kept, for the next run to go on from
                work.rmdir()
                (out / LOCK).unlink(missing_ok=True)
                for folder in missing:
                    folder.rmdir()
        lock.release()


def publish(stage: Path, out: Path) -> None:
    """Move the files of `stage` into `out`, those that make it a model last.

    `out` must be `claimed`. Raises StorageError. Killed in between, `out` is no model yet, and the
    next run goes on.
    """
    try:
        names = sorted(path.name for path in stage.iterdir())
        for name in sorted(names, key=lambda name: name in MARKERS):
            (stage / name).replace(out / name)
        sync_directory(out)
    except OSError as exc:
        raise StorageError(
            f"cannot move the finished model to {out} ({exc.strerror}): run the same command again"
        ) from exc


def _require_unfinished(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"--out {out} is a file: name a folder to be made")
    # A run that was killed while it moved its files in leaves some, and the work folder.
    finished, begun = _holds_model(out), (out / WORK).is_dir()
    if finished or (not begun and any(path.name != LOCK for path in out.iterdir())):
        what = "already holds a model" if finished else "is not empty"
        raise UsageError(f"--out {out} {what}: name another folder, or remove this one")


def _holds_model(out: Path) -> bool:
    return any((out / name).exists() for name in MARKERS)


@contextmanager
def _making(work: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StorageError(f"cannot make {work} ({exc.strerror}); choose another --out") from exc
