"""SIGKILL at every named step of indexing; reopening and finishing gives the same collection."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mmsearch
from mmsearch.types import Progress
from tests.support import ColourEncoder, paint, shop

STEPS = [
    "scan",
    "loading model",
    "encoded",
    "rows written",
    "committed",
    "swept",
    "snapshot of image",
    "snapshot of text",
]

INDEX = """
import os, signal, sys
import mmsearch
from tests.support import ColourEncoder

folder, collection, step, nth = sys.argv[1:]
left = int(nth)

def kill(progress):
    global left
    if progress.step == step:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

with mmsearch.open(collection, create=True, encoder=ColourEncoder()) as opened:
    opened.index([folder], on_progress=kill)
"""


def contents(
    path: Path, encoder: ColourEncoder | None = None
) -> dict[str, tuple[int, bytes, list[tuple[str, float]]]]:
    """key -> item id, vector bytes and the ranking that its vector gives."""
    with mmsearch.open(path, encoder=encoder or ColourEncoder()) as collection:
        found = {}
        info = collection._info()
        vectors = collection._layout.vector_file(info)
        for item in collection._catalog.stored():
            digest = item.image_digest
            row = digest and collection._catalog.row("image", digest, info.fingerprint)
            raw = vectors.read(np.array([row])).tobytes() if row is not None else b""
            query = mmsearch.Query((mmsearch.Term(item=item.key),), to="image", k=5)
            ranking = [(hit.key, hit.score) for hit in collection.search(query)]
            found[item.key] = (item.id, raw, ranking)
        assert collection.check().problems == ()
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, and beside it the collection of an uninterrupted run."""
    base = tmp_path_factory.mktemp("world")
    folder = shop(base / "photos")
    for number in range(6):
        paint(folder / "more" / f"{number}.png", (40 * number, 100, 200 - 30 * number))
    with mmsearch.open(base / "whole", create=True, encoder=ColourEncoder()) as collection:
        collection.index([folder])
    return base


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("step", STEPS)
def test_killed_run_finishes_as_if_it_had_never_stopped(world: Path, step: str, nth: int) -> None:
    killed = world / f"killed-{step.replace(' ', '-')}-{nth}"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", INDEX, str(world / "photos"), str(killed), step, str(nth)]
    ended = subprocess.run(command, env=environment, capture_output=True, check=False)
    happens_once = step in {"scan", "loading model", "swept"} or step.startswith("snapshot")
    assert ended.returncode == (0 if nth == 2 and happens_once else -signal.SIGKILL), ended.stderr
    with mmsearch.open(killed, encoder=ColourEncoder()) as collection:
        collection.index([world / "photos"])
    assert contents(killed) == contents(world / "whole")


def test_steps_above_are_all_the_steps_there_are(tmp_path: Path) -> None:
    steps = set()

    def note(progress: Progress) -> None:
        steps.add(progress.step)

    with mmsearch.open(tmp_path / "c", create=True, encoder=ColourEncoder()) as collection:
        collection.index([shop(tmp_path / "photos")], on_progress=note)
    assert steps - {"commit"} == set(STEPS)  # "commit" follows "committed" at once
