"""Encoding one batch while the one before is committed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import mmsearch
from mmsearch.types import Progress

from .support import COLOURS, ColourEncoder, paint

if TYPE_CHECKING:
    from mmsearch.types import Pixels, Vectors


class Overlapping(ColourEncoder):
    """Tells when it began and when somebody waited for it."""

    batch_size = 2

    def __init__(self, log: list[str], fingerprint: str = "c0105") -> None:
        super().__init__(fingerprint, name=f"colours-{fingerprint}")
        self.log = log

    def start_images(self, pixels: Pixels) -> Callable[[], Vectors]:
        self.log.append("start")

        def wait() -> Vectors:
            self.log.append("wait")
            return self.encode_images(pixels)

        return wait


def pictures(folder: Path) -> Path:
    for number, colour in enumerate(COLOURS):
        paint(folder / f"{number}.png", colour)
    return folder


def test_the_next_batches_are_under_way_while_one_is_committed(tmp_path: Path) -> None:
    log: list[str] = []

    def note(progress: Progress) -> None:
        if progress.step == "committed":
            log.append("commit")

    with mmsearch.open(tmp_path / "c", create=True, encoder=Overlapping(log)) as collection:
        report = collection.index([pictures(tmp_path / "p")], workers=1, on_progress=note)
    assert report.added == 6
    first = ["start", "start", "wait", "start"]  # the third begins while the first is committed
    assert log == [*first, "wait", "commit", "wait", "commit", "commit"]


def test_a_copy_of_a_picture_that_is_under_way_is_not_encoded_again(tmp_path: Path) -> None:
    encoder = Overlapping([])
    folder = pictures(tmp_path / "p")
    shutil.copy(folder / "1.png", folder / "2-copy.png")  # comes in the next batch
    with mmsearch.open(tmp_path / "c", create=True, encoder=encoder) as collection:
        collection.index([folder], workers=1)
        assert encoder.encoded_images == 6
        copies = [hit.key for hit in collection.search(folder / "1.png", k=2)]
        assert sorted(Path(key).name for key in copies) == ["1.png", "2-copy.png"]
        assert collection.check().problems == ()
        other = Overlapping([], "07e4")
        report = collection.reindex(other, workers=1)
        assert (report.switched, report.encoded_images, other.encoded_images) == (True, 6, 6)
        assert collection.check().problems == ()
