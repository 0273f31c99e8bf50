"""A collection that follows its folders: real files, real notifications."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

import mmsearch
from mmsearch.errors import RootError, UsageError
from mmsearch.watching.changes import TICK_S
from mmsearch.watching.watch import LONGEST_REST_S, Event, watch
from tests.support import ColourEncoder, paint, shop

PATIENCE_S = 60.0  # of a busy machine; a quiet one needs a second


class Watching:
    """`watch` in a thread of its own, as a program would run it."""

    def __init__(self, base: Path, *roots: Path) -> None:
        self.stop = threading.Event()
        self.encoder = ColourEncoder()
        self._events: queue.Queue[Event | BaseException | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, args=(base, roots))
        self._thread.start()

    def _run(self, base: Path, roots: tuple[Path, ...]) -> None:
        try:
            with mmsearch.open(base, create=True, encoder=self.encoder) as collection:
                for event in watch(collection, roots, stop=self.stop):
                    self._events.put(event)
        except BaseException as error:
            self._events.put(error)
            raise
        finally:
            self._events.put(None)

    def next(self) -> Event:
        event = self._events.get(timeout=PATIENCE_S)
        assert isinstance(event, Event), event
        return event

    def until(self, wanted: Callable[[Event], Any]) -> Event:
        """The first of the coming events that is wanted."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if wanted(event := self.next()):
                return event
        raise AssertionError("the event did not come")

    def started(self) -> Event:
        """The first run, when changes are followed already."""
        first = self.next()
        assert self.next().kind == "watching"
        return first

    def end(self) -> None:
        self.stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@pytest.fixture
def begin() -> Iterator[Callable[..., Watching]]:
    running: list[Watching] = []

    def start(base: Path, *roots: Path) -> Watching:
        running.append(Watching(base, *roots))
        return running[-1]

    yield start
    for one in running:
        one.end()


def ran(name: str) -> Callable[[Event], bool]:
    return lambda event: event.report is not None and bool(getattr(event.report, name))


def keys(base: Path) -> set[str]:
    with mmsearch.open(base, encoder=ColourEncoder()) as collection:
        items, _ = collection.vectors("image")
        return {item.key for item in items}


def test_first_run_is_a_whole_one_and_files_are_followed_as_they_come_and_go(
    tmp_path: Path, begin: Callable[..., Watching]
) -> None:
    photos = shop(tmp_path / "photos")
    watching = begin(tmp_path, photos)
    first = watching.started()
    assert first.report is not None
    assert first.report.added == 7
    paint(photos / "deep" / "er" / "new.png", (200, 10, 100))
    watching.until(ran("added"))
    assert "photos/deep/er/new.png" in keys(tmp_path)
    (photos / "red.png").rename(photos / "rouge.png")
    watching.until(ran("moved"))
    assert {"photos/rouge.png"} == keys(tmp_path) & {"photos/red.png", "photos/rouge.png"}
    paint(photos / "blue.png", "yellow")
    watching.until(ran("changed"))
    (photos / "green.png").unlink()
    watching.until(ran("missing"))
    assert "photos/green.png" not in keys(tmp_path)
    assert watching.encoder.encoded_images == 8


def test_file_that_fails_is_told_once_and_nothing_else_suffers(
    tmp_path: Path, begin: Callable[..., Watching]
) -> None:
    photos = shop(tmp_path / "photos")
    watching = begin(tmp_path, photos)
    watching.started()
    (photos / "broken.png").write_bytes(b"no picture")
    event = watching.until(ran("failures"))
    assert event.report is not None
    assert [failure.key for failure in event.report.failures] == ["photos/broken.png"]
    paint(photos / "next.png", "red")
    event = watching.until(ran("added"))
    assert event.report is not None
    assert event.report.failures == ()


def test_folder_that_goes_is_left_out_and_taken_in_again_when_it_is_back(
    tmp_path: Path, begin: Callable[..., Watching]
) -> None:
    drive, other = shop(tmp_path / "drive"), tmp_path / "other"
    paint(other / "one.png", "red")
    watching = begin(tmp_path, drive, other)
    watching.started()
    drive.rename(tmp_path / "unplugged")
    event = watching.until(lambda event: event.kind == "unavailable")
    assert event.roots == (drive,)
    assert "check the name, or whether its drive is connected" in event.message
    paint(other / "two.png", "blue")
    watching.until(ran("added"))
    assert {"drive/red.png", "other/two.png"} <= keys(tmp_path)  # nothing of it is forgotten
    (tmp_path / "unplugged").rename(drive)
    watching.until(lambda event: event.kind == "available")
    paint(drive / "after.png", "green")
    watching.until(ran("added"))
    assert "drive/after.png" in keys(tmp_path)


def test_folder_that_is_suddenly_empty_is_no_order_to_forget_it(
    tmp_path: Path, begin: Callable[..., Watching]
) -> None:
    drive = shop(tmp_path / "drive")
    watching = begin(tmp_path, drive)
    watching.started()
    away = tmp_path / "away"
    away.mkdir()
    drive.rename(away / "drive")
    drive.mkdir()  # what a mount point looks like without its drive
    event = watching.until(lambda event: event.kind == "unavailable")
    while "holds nothing to index" not in event.message:  # it may have been seen in between
        event = watching.until(lambda event: event.kind == "unavailable")
    assert "drive/red.png" in keys(tmp_path)
    drive.rmdir()
    (away / "drive").rename(drive)
    watching.until(lambda event: event.kind == "available")


def test_table_that_claims_pictures_of_another_root_keeps_them(
    tmp_path: Path, begin: Callable[..., Watching]
) -> None:
    photos = tmp_path / "photos"
    paint(photos / "red.png", "red")
    table = tmp_path / "shop.csv"
    table.write_text("key,image,price\np1,photos/red.png,3\n")
    watching = begin(tmp_path, table, photos)
    watching.started()
    assert keys(tmp_path) == {"p1"}
    paint(photos / "blue.png", "blue")
    watching.until(ran("added"))
    assert keys(tmp_path) == {"p1", "photos/blue.png"}
    fresh = tmp_path / "new.csv"
    fresh.write_text("key,image,price\np1,photos/red.png,4\np2,photos/blue.png,5\n")
    fresh.replace(table)  # as editors and exports save
    watching.until(ran("changed"))
    assert keys(tmp_path) == {"p1", "p2"}


def test_another_writer_is_waited_for(tmp_path: Path, begin: Callable[..., Watching]) -> None:
    photos = shop(tmp_path / "photos")
    watching = begin(tmp_path, photos)
    watching.started()
    with FileLock(tmp_path / ".mmsearch" / "lock"):
        paint(photos / "new.png", "red")
        event = watching.until(lambda event: event.kind == "waiting")
        assert "another process is writing" in event.message
    watching.until(ran("added"))


def test_long_first_run_is_followed_at_once_and_a_later_one_by_a_bounded_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, hour = shop(tmp_path / "photos"), 3600.0
    clock = SimpleNamespace(now=0.0)
    told: list[set[Path]] = []

    class Told:
        """Each wait is a tick of the clock, and ends with what was told."""

        def __init__(self, *_: Any, **__: Any) -> None: ...

        def wait(self) -> set[Path]:
            clock.now += TICK_S
            return told.pop() if told else set()

        def close(self) -> None: ...

    def takes_an_hour(progress: mmsearch.Progress) -> None:
        if progress.step == "committed":
            clock.now += hour

    module = "mmsearch.watching.watch"
    monkeypatch.setattr(f"{module}.Changes", Told)
    monkeypatch.setattr(f"{module}.time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(f"{module}.FULL_PASS_S", 100 * hour)
    waits = []
    with mmsearch.open(tmp_path, create=True, encoder=ColourEncoder()) as collection:
        events = watch(collection, [photos], on_progress=takes_an_hour)
        assert [next(events).kind, next(events).kind] == ["indexed", "watching"]
        assert clock.now >= hour
        for name in ("second", "third"):
            paint(photos / f"{name}.png", "red")
            told.append({photos})
            before = clock.now
            assert ran("added")(next(events))
            waits.append(clock.now - hour - before)
    assert waits[0] == 2 * TICK_S  # it is told, and then all is quiet
    assert waits[1] == pytest.approx(LONGEST_REST_S, abs=TICK_S)


def test_stop_ends_a_long_run_after_a_batch_and_what_was_committed_is_kept(tmp_path: Path) -> None:
    for number in range(40):
        paint(tmp_path / "photos" / f"{number}.png", (number * 5, 100, 50))
    stop = threading.Event()

    def stop_in_second_batch(progress: mmsearch.Progress) -> None:
        if progress.step == "commit" and progress.done > 4:
            stop.set()

    with mmsearch.open(tmp_path, create=True, encoder=ColourEncoder()) as collection:
        roots = [tmp_path / "photos"]
        events = list(watch(collection, roots, stop=stop, on_progress=stop_in_second_batch))
        kept = collection.status().items
    assert events[0].report is not None
    assert events[0].report.interrupted
    assert 0 < events[0].report.added == kept < 40


def test_nothing_happens_for_files_that_are_not_indexed_or_hidden(
    tmp_path: Path, begin: Callable[..., Watching]
) -> None:
    photos = shop(tmp_path)
    watching = begin(tmp_path, photos)  # its collection, which is written to, lies inside
    watching.started()
    (photos / "notes.docx").write_text("no picture")
    paint(photos / ".hidden" / "red.png", "red")
    paint(photos / "marker.png", "blue")
    event = watching.next()
    assert event.report is not None
    assert (event.report.added, event.report.unchanged) == (1, 7)


def test_missing_folder_is_an_error_at_once(tmp_path: Path) -> None:
    with mmsearch.open(tmp_path, create=True, encoder=ColourEncoder()) as collection:
        with pytest.raises(RootError, match="no such file or folder"):
            watch(collection, [tmp_path / "nowhere"])
        with pytest.raises(UsageError, match="nothing to watch"):
            watch(collection, [])
