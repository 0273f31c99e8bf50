"""SIGKILL at every named step of a reindex; running it again gives the same collection."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mmsearch
from mmsearch.types import Progress
from tests.support import ColourEncoder, paint, shop
from tests.test_crash import contents

STEPS = [
    "encoded",
    "rows written",
    "committed",
    "snapshot of image",
    "snapshot of text",
    "ready to switch",
    "switched",
]
BATCHED = {"encoded", "rows written", "committed"}

REINDEX = """
import os, signal, sys
import mmsearch
from tests.test_reindex_crash import new_encoder
from tests.support import ColourEncoder

collection, step, nth = sys.argv[1:]
left = int(nth)

def kill(progress):
    global left
    if progress.step == step:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

with mmsearch.open(collection, encoder=ColourEncoder()) as opened:
    opened.reindex(new_encoder(), on_progress=kill)
"""


def new_encoder() -> ColourEncoder:
    return ColourEncoder("0the2", name="other", dim=24, seed=11)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder; the collection `before` a reindex; and `after` one that nothing interrupted."""
    base = tmp_path_factory.mktemp("world")
    folder = shop(base / "photos")
    for number in range(6):
        paint(folder / "more" / f"{number}.png", (40 * number, 100, 200 - 30 * number))
    with mmsearch.open(base / "before", create=True, encoder=ColourEncoder()) as collection:
        collection.index([folder])
    shutil.copytree(base / "before", base / "after")
    with mmsearch.open(base / "after", encoder=ColourEncoder()) as collection:
        assert collection.reindex(new_encoder()).switched
    return base


@pytest.mark.parametrize(
    ("step", "nth"), [(step, 1) for step in STEPS] + [(step, 2) for step in sorted(BATCHED)]
)
def test_killed_reindex_finishes_as_if_it_had_never_stopped(
    world: Path, step: str, nth: int
) -> None:
    killed = world / f"killed-{step.replace(' ', '-')}-{nth}"
    shutil.copytree(world / "before", killed)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", REINDEX, str(killed), step, str(nth)]
    ended = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    both = [ColourEncoder(), new_encoder()]
    with mmsearch.open(killed, encoder=both) as collection:
        # Killed anywhere, it answers as before the run or, after its last step, as behind it.
        now = "after" if step == "switched" else "before"
        with mmsearch.open(world / now, encoder=both) as expected:
            assert collection.status().model == expected.status().model
            assert collection.search("red", k=20) == expected.search("red", k=20)
        assert collection.check().problems == ()
        report = collection.reindex(new_encoder())
        assert report.switched
        if nth == 2:
            assert report.encoded_images < 12
    assert contents(killed, new_encoder()) == contents(world / "after", new_encoder())
    with mmsearch.open(killed, encoder=both) as collection:
        collection.rollback()
    assert contents(killed) == contents(world / "before")


def test_steps_above_are_all_the_steps_there_are(world: Path) -> None:
    steps = set()

    def note(progress: Progress) -> None:
        steps.add(progress.step)

    shutil.copytree(world / "before", world / "watched")  # beside the pictures
    with mmsearch.open(world / "watched", encoder=ColourEncoder()) as collection:
        collection.reindex(new_encoder(), on_progress=note)
    # "loading model" comes before anything is written, "commit" at once after "committed".
    assert steps - {"commit", "loading model"} == set(STEPS)
