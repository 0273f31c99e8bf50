"""`mmsearch tune`: what it measures, takes, keeps and refuses."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

import mmsearch
from mmsearch.cli.app import app
from mmsearch.errors import UsageError
from mmsearch.index.goals import Goals, Settings
from mmsearch.layout import Layout
from mmsearch.search.sample import SAMPLE
from mmsearch.tuning import tune
from mmsearch.types import Hit
from tests.index.worlds import clustered
from tests.support import ColourEncoder

SIZE = 3_000
DIM = 32


class NumberEncoder(ColourEncoder):
    """A text "7" is the seventh of many clustered vectors, and a word any of them."""

    def __init__(self) -> None:
        super().__init__(dim=DIM)
        self._vectors = clustered(4_000, DIM)

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        numbers = [text if text.isdigit() else zlib.crc32(text.encode()) for text in texts]
        return self._vectors[[int(number) % len(self._vectors) for number in numbers]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbers")
    with mmsearch.open(folder / ".mmsearch", create=True, encoder=NumberEncoder()) as opened:
        opened.upsert([{"key": str(n), "text": str(n)} for n in range(SIZE)])
    return folder


@pytest.fixture
def numbers(made: Path, tmp_path: Path) -> Path:
    """A collection of SIZE texts, with an exact index."""
    return Path(shutil.copytree(made / ".mmsearch", tmp_path / ".mmsearch"))


def nearest(path: Path, text: str, k: int = 10, where: str | None = None) -> list[Hit]:
    with mmsearch.open(path, encoder=NumberEncoder()) as opened:
        return opened.search(text, to="text", mode="vector", k=k, where=where)


def snapshot_ends(path: Path) -> set[str]:
    return {one.suffix for one in (path / "index").glob("*-text.*.*") if one.suffix != ".json"}


def test_the_simplest_kind_that_meets_the_goals_is_taken(numbers: Path) -> None:
    (tuning,) = tune(Layout(numbers), Goals(latency_ms=10_000))
    assert (tuning.modality, tuning.size, tuning.dim) == ("text", SIZE, DIM)
    assert tuning.chosen.kind == "exact"
    assert {point.kind for point in tuning.points} == {"exact", "codes", "ivf"}
    assert all(0 <= point.recall <= 1 and point.p50_ms > 0 for point in tuning.points)
    assert max(point.recall for point in tuning.points if point.kind == "ivf") >= 0.99


def test_a_small_memory_gets_codes_and_later_runs_keep_them(numbers: Path) -> None:
    before = [(hit.key, hit.score) for hit in nearest(numbers, "3500")]
    (tuning,) = tune(Layout(numbers), Goals(0.97, 10_000, 150_000))
    assert tuning.chosen.kind == "codes"
    assert tuning.chosen.recall >= 0.97
    assert snapshot_ends(numbers) == {".codes", ".items"}
    after = {hit.key: hit.score for hit in nearest(numbers, "3500")}
    both = [key for key, _ in before if key in after]
    assert len(both) >= 9
    for key, score in before:
        if key in after:
            assert after[key] == pytest.approx(score, abs=1e-6)
    with mmsearch.open(numbers, encoder=NumberEncoder()) as opened:
        assert "short codes" in opened.status().index_kind
        opened.upsert([{"key": "new", "text": "3500"}])
        opened.remove(["17"])
        assert opened.search("3500", to="text", mode="vector", k=1)[0].key == "new"
        hits = opened.search("17", to="text", mode="vector", k=SIZE)
        assert len(hits) == SIZE
        assert "17" not in {hit.key for hit in hits}
    for file in (numbers / "index").iterdir():
        file.unlink()
    with mmsearch.open(numbers, encoder=NumberEncoder()) as opened:  # a lost cache
        assert opened.search("3500", to="text", mode="vector", k=1)[0].key == "new"
        opened.upsert([{"key": "newer", "text": "3600"}])
    assert snapshot_ends(numbers) == {".codes", ".items"}


def test_a_damaged_index_of_codes_is_made_again(numbers: Path) -> None:
    tune(Layout(numbers), Goals(0.97, 10_000, 150_000))
    right = nearest(numbers, "3900")
    for file in (numbers / "index").glob("*.codes"):
        file.write_bytes(file.read_bytes()[:1000])
    again = nearest(numbers, "3900")
    assert [hit.key for hit in again] == [hit.key for hit in right]
    with mmsearch.open(numbers, encoder=NumberEncoder()) as opened:
        assert opened.check().problems
        assert not opened.check(repair=True).remaining


def test_a_dry_run_changes_nothing(numbers: Path) -> None:
    files = sorted(path.name for path in numbers.rglob("*"))
    (tuning,) = tune(Layout(numbers), Goals(0.97, 10_000, 150_000), apply=False)
    assert not tuning.applied
    assert sorted(path.name for path in numbers.rglob("*")) == files
    assert Settings.load(numbers / "index.json") == Settings()


def test_goals_that_nothing_reaches_name_the_nearest_and_change_nothing(numbers: Path) -> None:
    with pytest.raises(UsageError, match=r"nearest: .* reaches it in \d"):
        tune(Layout(numbers), Goals(0.9999, 0.0001))
    with pytest.raises(UsageError, match=r"do not fit into 50\.0 kB.*needs 64\.\d kB"):
        tune(Layout(numbers), Goals(memory_bytes=50_000))
    assert not (numbers / "index.json").exists()


def test_a_modality_without_vectors_cannot_be_tuned(numbers: Path) -> None:
    with pytest.raises(UsageError, match="holds no image vectors"):
        tune(Layout(numbers), Goals(), modality="image")


@pytest.mark.parametrize("size", [1, 2])
def test_a_vector_or_two_can_be_tuned(size: int, tmp_path: Path) -> None:
    path = tmp_path / ".mmsearch"
    with mmsearch.open(path, create=True, encoder=NumberEncoder()) as opened:
        opened.upsert([{"key": str(n), "text": str(n)} for n in range(size)])
    (tuning,) = tune(Layout(path), Goals(latency_ms=10_000))
    assert (tuning.size, tuning.queries, tuning.chosen.kind) == (size, size, "exact")
    assert [hit.key for hit in nearest(path, "0", k=1)] == ["0"]


def test_the_command_prints_a_table_or_json(numbers: Path) -> None:
    options = ["--recall", "0.9", "--latency", "10s", "--collection", str(numbers)]
    table = CliRunner().invoke(app, ["tune", *options, "--dry-run"])
    assert table.exit_code == 0, table.output
    lines = table.stdout.splitlines()
    assert lines[0].startswith(f"text: {SIZE:,} vectors of {DIM} numbers, {SAMPLE} queries, ")
    assert [line for line in lines if line.startswith("* exact float16")]
    assert lines[-1].startswith("would be taken: exact float16")
    as_json = CliRunner().invoke(app, ["tune", *options, "--memory", "150kB", "--json"])
    assert as_json.exit_code == 0, as_json.output
    plain = json.loads(as_json.stdout)
    assert plain["goals"] == {"recall": 0.9, "latency_ms": 10_000.0, "memory_bytes": 150_000}
    assert [point["kind"] for point in plain["points"] if point["chosen"]] == ["codes"]
    assert plain["applied"]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--memory", "2 horses"), ("--latency", "fast"), ("--recall", "1.5"), ("--memory", "0MB")],
)
def test_the_command_refuses_amounts_that_make_no_sense(
    numbers: Path, option: str, value: str
) -> None:
    result = CliRunner().invoke(app, ["tune", option, value, "--collection", str(numbers)])
    assert result.exit_code == 2
    assert "error: " in result.output
