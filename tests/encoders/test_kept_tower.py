"""Folders of the cache: whole or not there, whoever else writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmsearch.encoders.kept_tower import staged


def write(target: Path, text: str) -> None:
    with staged(target) as folder:
        (folder / "a").write_text(text)


def write_half(target: Path) -> None:
    with staged(target) as folder:
        (folder / "a").write_text("ne")
        raise ValueError("half")


def test_a_new_folder_takes_the_place_of_the_old(tmp_path: Path) -> None:
    target = tmp_path / "towers" / "x"
    for text in ("old", "new"):
        write(target, text)
    assert (target / "a").read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_failure_leaves_the_old_folder_alone(tmp_path: Path) -> None:
    target = tmp_path / "x"
    write(target, "old")
    with pytest.raises(ValueError, match="half"):
        write_half(target)
    assert (target / "a").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, seen = tmp_path / "x", list[tuple[str, bool]]()
    fsync: Callable[[int], None] = os.fsync

    def noted(descriptor: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
        seen.append(("folder" if name.startswith(".writing-") else name, target.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    write(target, "text")
    assert seen == [("a", False), ("folder", False), (tmp_path.name, True)]


def test_where_another_process_was_quicker_its_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x"
    write(target, "old")
    replace: Callable[..., None] = os.replace

    def beaten(source: Path, to: Path) -> None:
        if to == target:
            monkeypatch.undo()
            write(target, "theirs")
        replace(source, to)

    monkeypatch.setattr(os, "replace", beaten)
    write(target, "ours")
    assert (target / "a").read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_processes_that_write_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from mmsearch.encoders.kept_tower import staged
for _ in range(100):
    with staged(Path(sys.argv[1])) as folder:
        for name in "abc":
            (folder / name).write_text(name)
"""
    target = tmp_path / "x"
    command = [sys.executable, "-c", code, str(target)]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for writer in writers:
        _, errors = writer.communicate()
        assert writer.returncode == 0, errors
    assert list(tmp_path.iterdir()) == [target]
    assert sorted(path.name for path in target.iterdir()) == ["a", "b", "c"]
