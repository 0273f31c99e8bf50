"""Snapshots of codes come back as they were, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmsearch.catalog.vectors import VectorFile
from mmsearch.errors import CorruptionError, UsageError
from mmsearch.index import build as build_module
from mmsearch.index import snapshots as snapshots_module
from mmsearch.index.build import Sample, build, calibrate
from mmsearch.index.coded_index import CodedIndex
from mmsearch.index.engine import EngineIndex
from mmsearch.index.goals import Goals, Settings, Tuned
from mmsearch.index.lists import are_mapped
from mmsearch.index.planner import Choice
from mmsearch.index.snapshots import Snapshots
from tests.index.worlds import clustered, store_of

DIM = 32
SIZE = 3_000


@pytest.fixture(params=[1, 8], ids=["codes", "ivf"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> CodedIndex:
    store = store_of(tmp_path, clustered(SIZE, DIM))
    choice = Choice("codes" if request.param == 1 else "ivf", request.param, "for a test")
    ids = np.arange(SIZE) * 2 + 1
    sample = Sample((clustered(40, DIM, seed=3),))
    made = build(choice, ids, np.arange(SIZE), store, Goals(), sample)
    assert isinstance(made, CodedIndex)
    made.seq = 12
    return made


def snapshots(folder: Path, oldest: int = 0) -> Snapshots:
    return Snapshots(folder / "index", "x", VectorFile(folder / "vectors.f16", DIM), oldest)


def answers(index: EngineIndex) -> tuple[np.ndarray, np.ndarray]:
    return index.search(clustered(20, DIM, seed=9), 10)


def same(one: EngineIndex, other: EngineIndex) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(answers(one), answers(other), strict=True))


def test_codes_come_back_with_all_that_belongs_to_them(index: CodedIndex, tmp_path: Path) -> None:
    kept = snapshots(tmp_path)
    kept.save(index)
    again = kept.load(12)
    assert isinstance(again, CodedIndex)
    assert (again.seq, len(again), again.kind) == (12, SIZE, index.kind)
    assert (again.effort, again.built_for, again.why) == (index.effort, SIZE, index.why)
    assert again.measured_for == SIZE
    assert same(again, index)
    assert kept.described() == index.why
    assert kept.newest_seq() == 12


def test_an_index_that_was_loaded_can_change_and_be_kept_again(
    index: CodedIndex, tmp_path: Path
) -> None:
    kept = snapshots(tmp_path)
    kept.save(index)
    loaded = kept.load(12)
    assert loaded is not None
    for one in (loaded, index):
        one.remove(np.arange(0, 600))
        one.add_rows(np.array([2, 9_001]), np.array([5, 6]))
        one.seq = 13
    assert same(loaded, index)
    kept.save(loaded)
    again = kept.load(13)
    assert again is not None
    assert same(again, index)
    assert len(again) == SIZE - 300 + 2
    names = sorted(path.name for path in (tmp_path / "index").iterdir())
    assert names == ["x.13.codes", "x.13.items"]


def test_codes_are_searched_where_they_lie_until_they_change(
    index: CodedIndex, tmp_path: Path
) -> None:
    kept = snapshots(tmp_path)
    kept.save(index)
    before = (tmp_path / "index" / "x.12.codes").read_bytes()
    loaded, reader = kept.load(12), kept.load(12)
    assert isinstance(loaded, CodedIndex)
    assert reader is not None
    assert are_mapped(loaded.codes)
    assert not loaded.rows.flags.writeable
    loaded.remove(index.ids[::2])
    assert not are_mapped(loaded.codes)
    assert (tmp_path / "index" / "x.12.codes").read_bytes() == before
    kept.clear()  # another process has written a new one
    assert same(reader, index)


def test_an_exact_index_leaves_its_file_as_it_is(index: CodedIndex, tmp_path: Path) -> None:
    store = VectorFile(tmp_path / "vectors.f16", DIM)
    exact = build(Choice("exact", 1, ""), index.ids, index.rows[index.ids], store, Goals(), None)
    exact.seq = 12
    kept = snapshots(tmp_path)
    kept.save(exact)
    before = (tmp_path / "index" / "x.12.faiss").read_bytes()
    loaded, removed_from, reader = kept.load(12), kept.load(12), kept.load(12)
    assert loaded is not None
    assert removed_from is not None
    assert reader is not None
    loaded.add_rows(np.array([4]), np.array([0]))
    removed_from.remove(index.ids[:10])
    assert (len(loaded), len(removed_from), len(reader)) == (SIZE + 1, SIZE - 10, SIZE)
    assert (tmp_path / "index" / "x.12.faiss").read_bytes() == before
    kept.clear()  # another process has written a new one
    assert same(reader, exact)


def test_an_index_without_items_comes_back(index: CodedIndex, tmp_path: Path) -> None:
    index.remove(index.ids)
    kept = snapshots(tmp_path)
    kept.save(index)
    again = kept.load(12)
    assert again is not None
    assert len(again) == 0
    assert answers(again)[1].shape == (20, 0)
    again.add_rows(np.array([3]), np.array([1]))
    assert answers(again)[1].tolist() == [[3]] * 20


@pytest.mark.parametrize("noise", [0, 255, 170])
def test_noise_among_the_codes_makes_a_search_slower_not_wrong(
    index: CodedIndex, tmp_path: Path, noise: int
) -> None:
    kept = snapshots(tmp_path)
    kept.save(index)
    path = tmp_path / "index" / "x.12.codes"
    content = path.read_bytes()
    path.write_bytes(content[:64] + bytes([noise]) * (len(content) - 64))
    damaged = kept.load(12)
    assert damaged is not None
    expected = index.search(clustered(20, DIM, seed=9), 10)[0]
    scores, ids = answers(damaged)
    assert (scores >= expected - 1e-6).all()  # more, where all were compared
    assert all(len(set(row)) == 10 for row in ids.tolist())


@pytest.mark.parametrize("end", ["codes", "items"])
@pytest.mark.parametrize("harm", ["short", "empty", "gone", "noise"])
def test_a_damaged_file_is_no_snapshot(
    index: CodedIndex, tmp_path: Path, end: str, harm: str
) -> None:
    kept = snapshots(tmp_path)
    kept.save(index)
    path = tmp_path / "index" / f"x.12.{end}"
    content = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        noise = b"\0" * len(content)
        path.write_bytes({"short": content[:-20], "empty": b"", "noise": noise}[harm])
    assert kept.load(12) is None


def test_a_file_of_another_machine_encoder_or_catalog_is_no_snapshot(
    index: CodedIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = snapshots(tmp_path)
    kept.save(index)
    assert kept.load(11) is None
    assert snapshots(tmp_path, oldest=13).load(20) is None
    other = Snapshots(tmp_path / "index", "x", VectorFile(tmp_path / "vectors.f16", DIM // 2))
    assert other.load(12) is None
    monkeypatch.setattr(snapshots_module, "MACHINE", "big s390x faiss 1.15.1")
    assert kept.load(12) is None


def test_the_kind_may_change_between_snapshots(index: CodedIndex, tmp_path: Path) -> None:
    kept = snapshots(tmp_path)
    kept.save(index)
    store = VectorFile(tmp_path / "vectors.f16", DIM)
    exact = build(Choice("exact", 1, ""), index.ids, index.rows[index.ids], store, Goals(), None)
    exact.seq = 14
    kept.save(exact)
    again = kept.load(14)
    assert again is not None
    assert (again.kind, again.seq) == ("exact", 14)
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["x.14.faiss"]
    again.add_rows(np.array([4]), np.array([0]))
    assert len(again) == SIZE + 1
    kept.clear()
    assert kept.load(14) is None


def test_settings_come_back(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    assert Settings.load(path) == Settings()
    wanted = Settings(Goals(0.95, 3.0, 10**9), {"abc-image": Tuned("ivf", 7, "so")})
    wanted.save(path)
    assert Settings.load(path) == wanted
    assert [one.name for one in tmp_path.iterdir()] == ["index.json"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2}', '{"format": 1, "goals": {"recall": 7}, "tuned": {}}'],
)
def test_settings_that_cannot_be_read_say_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "index.json"
    path.write_text(text)
    with pytest.raises(CorruptionError, match="run `mmsearch check --repair`, which sets it aside"):
        Settings.load(path)


def test_settings_of_an_unknown_kind_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    Settings(tuned={"x": Tuned("exact", 1, "")}).save(path)
    plain = json.loads(path.read_text())
    plain["tuned"]["x"]["kind"] = "tree"
    path.write_text(json.dumps(plain))
    with pytest.raises(CorruptionError, match="unknown kind"):
        Settings.load(path)


@pytest.mark.parametrize(("recall", "latency_ms"), [(0, 1), (1.1, 1), (0.9, 0)])
def test_goals_that_make_no_sense_are_refused(recall: float, latency_ms: float) -> None:
    with pytest.raises(UsageError):
        Goals(recall, latency_ms)


def test_one_of_another_release_counts_as_absent(
    index: CodedIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = snapshots(tmp_path)
    kept.save(index)
    monkeypatch.setattr(snapshots_module, "MACHINE", "of another faiss")
    assert kept.load(12) is None
    assert (kept.newest_seq(), kept.described()) == (0, None)
    kept.save(index)
    assert kept.newest_seq() == 12


def test_lists_that_fall_short_become_codes(tmp_path: Path) -> None:
    store = store_of(tmp_path, clustered(SIZE, DIM))
    sample = Sample((clustered(40, DIM, seed=3),))
    rows = np.arange(SIZE)

    def one_query_misses(*arguments: Any) -> Any:
        effort, reached = calibrate(*arguments)
        return effort, reached if arguments[0].lists == 1 else 0.5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, "calibrate", one_query_misses)
        made = build(Choice("ivf", 8, "lists"), rows, rows, store, Goals(), sample)
    assert made.kind == "codes"
    assert "lists of codes reach a recall of 0.5000 only, not 0.99" in made.why
