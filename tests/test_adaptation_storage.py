"""A model's folder belongs to one run at a time, and kept features outlive damage and company."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mmsearch.adaptation.features import FeatureStore
from mmsearch.adaptation.storage import LOCK, MARKERS, WORK, claimed, publish, write_file
from mmsearch.errors import ModelError, StorageError, UsageError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_is_claimed_by_one_run_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "new" / "model"
    with claimed(out) as work:
        with pytest.raises(UsageError, match=f"{out}: another `mmsearch train` is at work"):
            claimed(out).__enter__()
        assert work.is_dir()
    with claimed(out) as again:  # an unfinished one goes on
        assert again == work


def test_a_run_that_died_before_it_began_does_not_block_its_folder(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    with claimed(tmp_path) as work:
        assert work.is_dir()


def fail(out: Path, kept: Sequence[str] = ()) -> None:
    """A run that keeps these files, then fails."""
    with claimed(out) as work:
        for name in kept:
            write_file(work / name, b"rows")
        raise ModelError("no such device")


def test_a_run_that_keeps_nothing_leaves_no_folder_that_it_made(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for out in (tmp_path / "new" / "model", tmp_path / "there"):
        with pytest.raises(ModelError):
            fail(out)
    assert names(tmp_path) == {"there"}
    assert names(tmp_path / "there") == set()


def test_a_run_that_keeps_something_leaves_it_for_the_next_one(tmp_path: Path) -> None:
    out = tmp_path / "new" / "model"
    with pytest.raises(ModelError):
        fail(out, ["features/1.npz"])
    with claimed(out) as work:
        assert (work / "features" / "1.npz").read_bytes() == b"rows"


@pytest.mark.parametrize("marker", MARKERS)
def test_a_finished_model_keeps_nothing_of_its_run_and_is_claimed_no_more(
    tmp_path: Path, marker: str
) -> None:
    out = tmp_path / "m"
    with claimed(out) as work:
        write_file(work / "model" / marker, b"{}")
        publish(work / "model", out)
        with pytest.raises(UsageError, match="already holds a model"):
            claimed(out).__enter__()
    assert names(out) == {WORK, marker}  # whoever claimed it deletes its work
    with pytest.raises(UsageError, match="already holds a model"):
        claimed(out).__enter__()
    assert names(out) == {WORK, marker}


def test_a_folder_that_is_refused_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(UsageError, match="is not empty"):
        claimed(tmp_path).__enter__()
    assert names(tmp_path) == {"holiday.jpg"}
    with pytest.raises(UsageError, match="is a file"):
        claimed(tmp_path / "holiday.jpg").__enter__()
    with pytest.raises(StorageError, match="choose another --out"):
        claimed(tmp_path / "holiday.jpg" / "m").__enter__()


def digests(count: int) -> list[bytes]:
    return [bytes([number]) * 16 for number in range(count)]


def test_features_of_a_damaged_file_are_computed_again(tmp_path: Path) -> None:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    FeatureStore(tmp_path).add(digests(3), rows)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    assert np.array_equal(FeatureStore(tmp_path).rows(digests(3)), rows)
    flipped = (bytes([*whole[:at], whole[at] ^ 9, *whole[at + 1 :]]) for at in range(len(whole)))
    for damaged in (b"", whole[:200], whole[:-1], *flipped):
        file.write_bytes(damaged)
        store = FeatureStore(tmp_path)  # of a harmless flip, in a time say, the rows are the same
        assert digests(1)[0] not in store or np.array_equal(store.rows(digests(3)), rows)
    file.write_bytes(whole[:200])
    FeatureStore(tmp_path).add(digests(3), rows)
    assert np.array_equal(FeatureStore(tmp_path).rows(digests(3)), rows)


def test_runs_that_fill_one_cache_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    def fill(_run: int) -> FeatureStore:
        store = FeatureStore(tmp_path)
        for digest in digests(100):
            store.add([digest], np.zeros((1, 2000), np.float32))
        return store

    with ThreadPoolExecutor(2) as pool:
        for store in pool.map(fill, range(2)):
            assert all(digest in store for digest in digests(100))
    assert len(names(tmp_path)) == 100  # nothing unfinished is left
