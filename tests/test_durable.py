"""Files that are whole or as they were."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmsearch.durable import replacing, sync_files


@pytest.mark.parametrize("alone", [True, False])
def test_new_content_takes_the_place_of_the_old(tmp_path: Path, alone: bool) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path, alone=alone) as new:
        new.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def write_half(path: Path, *, alone: bool) -> None:
    with replacing(path, alone=alone) as new:
        new.write_text("ne")
        raise ValueError("half")


@pytest.mark.parametrize("alone", [True, False])
def test_failure_leaves_the_old_file_alone(tmp_path: Path, alone: bool) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="half"):
        write_half(path, alone=alone)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_threads_do_not_write_into_each_others_file(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def other() -> str:
        with replacing(path, alone=False) as new:
            new.write_text("other")
            return new.name

    with ThreadPoolExecutor(1) as pool, replacing(path, alone=False) as new:
        new.write_text("mine")
        assert pool.submit(other).result() != new.name
        assert (path.read_text(), new.read_text()) == ("other", "mine")
    assert path.read_text() == "mine"


def test_all_files_of_a_folder_are_synced_and_the_folder_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    synced: list[str] = []
    fsync: Callable[[int], None] = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    sync_files(tmp_path)
    assert sorted(synced[:2]) == ["a", "b"]
    assert synced[2:] == [tmp_path.name]
