"""In which of some folders and files something changed, told by the operating system.

watchfiles (inotify, FSEvents, ReadDirectoryChangesW) reports what happens below a folder. It holds
on to the folder itself, not to its name, so a drive that is unplugged and comes back, a link that
points elsewhere and a file that is replaced are noticed here, by looking at each root once a tick.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag

from mmsearch.errors import RootError
from mmsearch.images import image_suffixes
from mmsearch.tables.files import TABLE_SUFFIXES

TICK_S = 0.5
_QUIET_MS = 50  # what happens within so long of each other comes in one batch
_BATCH_MS = 500


@dataclass(frozen=True)
class _Identity:
    """What a root's name stands for; changes with a mount, and for a file with its contents."""

    is_folder: bool
    numbers: tuple[int, ...]


class Changes:
    """Watches `roots` (absolute). Nothing below `ignored`, the collection itself, is a change.

    `poll` looks at all files again and again instead, for drives of the network that tell nothing.
    """

    def __init__(
        self, roots: Sequence[Path], ignored: Path, stop: Flag, *, poll: bool = False
    ) -> None:
        self._roots = tuple(roots)
        self._ignored = str(ignored) + os.sep
        self._stop = stop
        self._poll = poll
        self._known = {root: _identity(root) for root in self._roots}
        self._suffixes = image_suffixes() | TABLE_SUFFIXES | {".txt"}
        self._batches: Generator[set[tuple[object, str]], None, None] | None = None

    def wait(self) -> set[Path]:
        """The roots that changed since the last call; waits a tick for one to, or until `stop`.

        From the end of the first call on nothing is missed. Raises RootError where the system
        cannot watch so many folders.
        """
        now = {root: _identity(root) for root in self._roots}
        changed = {root for root in self._roots if now[root] != self._known[root]}
        self._known = now
        if changed or self._batches is None:
            self.close()
            self._batches = self._start()
        if self._batches is None:
            self._stop.wait(TICK_S)
            return changed
        try:
            names = {name for _, name in next(self._batches, set())}
        except FileNotFoundError:  # a root vanished just now: the next call sees that
            self._batches = None
            return changed
        except OSError as error:
            raise RootError(
                f"cannot watch {', '.join(map(str, self._roots))}: {error}; allow more watches "
                "(sysctl fs.inotify.max_user_watches), or look for changes with --poll"
            ) from error
        relevant = [name for name in names if self._is_relevant(name)]
        return changed | {root for root in self._folders() if _any_below(relevant, root)}

    def close(self) -> None:
        """Stop watching; `wait` starts again."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def _folders(self) -> list[Path]:
        return [root for root, known in self._known.items() if known and known.is_folder]

    def _start(self) -> Generator[set[tuple[object, str]], None, None] | None:
        import watchfiles

        folders = self._folders()
        if not folders:
            return None
        return watchfiles.watch(  # type: ignore[return-value]  # sets are invariant
            *folders,
            watch_filter=None,  # it would wait on while all changes are filtered out
            debounce=_BATCH_MS,
            step=_QUIET_MS,
            stop_event=self._stop,
            rust_timeout=round(TICK_S * 1000),
            yield_on_timeout=True,
            raise_interrupt=True,
            force_polling=self._poll or None,
            poll_delay_ms=round(TICK_S * 1000),
            ignore_permission_denied=True,
        )

    def _is_relevant(self, name: str) -> bool:
        """Whether a change of `name` can change what an index run finds."""
        if name.startswith(self._ignored):
            return False
        if os.path.splitext(name)[1].lower() in self._suffixes:
            return True
        return os.path.isdir(name) or not os.path.lexists(name)  # it may have been a folder


def _any_below(names: Sequence[str], root: Path) -> bool:
    """Whether one of `names` is seen from `root`: below it, and no part of the way is hidden."""
    prefix = str(root).rstrip(os.sep) + os.sep
    return any(
        name.startswith(prefix) and os.sep + "." not in os.sep + name[len(prefix) :]
        for name in names
    )


def _identity(root: Path) -> _Identity | None:
    """None for what is not there or cannot be read."""
    try:
        status = os.stat(root)
        if stat.S_ISDIR(status.st_mode):
            os.scandir(root).close()
            return _Identity(True, (status.st_dev, status.st_ino))
        numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        return _Identity(False, numbers)
    except OSError:
        return None
