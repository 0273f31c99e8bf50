"""Files that are written whole or not at all, and a model folder that appears at once."""

from __future__ import annotations

from pathlib import Path

from mmsearch.durable import replacing, sync_directory
from mmsearch.errors import StorageError, UsageError

# The files without which a folder is no model.
MARKERS = ("mmsearch_adapter.json", "open_clip_config.json")
WORK = ".mmsearch-train"  # below the model's folder while it is not finished


def write_file(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step, synced. Raises StorageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as new:
            new.write_bytes(content)
    except OSError as exc:
        raise StorageError(
            f"cannot write {path} ({exc.strerror or exc}): make room or choose another --out, then "
            "run the same command again; it goes on from what was kept"
        ) from exc


def claim(out: Path) -> Path:
    """The work folder of an unfinished run in `out`, made if need be.

    Raises UsageError where `out` holds anything else: a finished model is never written over,
    because a collection may hold vectors of it. Raises StorageError.
    """
    work = out / WORK
    try:
        if out.exists():
            if not out.is_dir():
                raise UsageError(f"--out {out} is a file: name a folder to be made")
            # A run that was killed while it moved its files in leaves some, and the work folder.
            finished = any((out / name).exists() for name in MARKERS)
            if finished or (not work.is_dir() and any(out.iterdir())):
                what = "already holds a model" if finished else "is not empty"
                raise UsageError(f"--out {out} {what}: name another folder, or remove this one")
        work.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StorageError(f"cannot make {work} ({exc.strerror}); choose another --out") from exc
    return work


def publish(stage: Path, out: Path) -> None:
    """Move the files of `stage` into `out`, those that make it a model last.

    Raises StorageError. Killed in between, `out` is no model yet, and the next run goes on.
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
