"""`mmsearch train`: from pairs to a model that `index` and `query` take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mmsearch
from mmsearch.cli.progress import TrainBar
from mmsearch.training.optimise import Step
from mmsearch.types import Progress
from tests.cli.conftest import Cli
from tests.encoders.conftest import save_tiny_model
from tests.support import COLOURS, paint


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """36 pictures with a caption beside each, and a table that pairs them with click counts."""
    monkeypatch.setenv("MMSEARCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "photos"
    rows = ["image,text,clicks"]
    for number in range(36):
        colour = list(COLOURS)[number % 6]
        paint(folder / f"{number}.png", colour, size=64)
        (folder / f"{number}.txt").write_text(f"a {colour} square")
        rows.append(f"photos/{number}.png,a {colour} square,{1 + number % 3}")
    (tmp_path / "clicks.csv").write_text("\n".join(rows))
    return folder


FAST = ("--steps", "60", "--held-out", "0.2", "--device", "cpu")


def test_a_trained_model_indexes_and_answers(cli: Cli, base: Path, photos: Path) -> None:
    done = cli("train", "clicks.csv", "--from", base, "--out", "my-model", *FAST)
    assert done.exit_code == 0, done.output
    first, *rest = done.stdout.splitlines()
    assert first.split() == ["held-out", "pairs", "before", "after"]
    assert [line.rsplit(maxsplit=2)[0] for line in rest[:6]] == [
        "text to picture, hit@1",
        "text to picture, hit@10",
        "text to picture, MRR",
        "picture to text, hit@1",
        "picture to text, hit@10",
        "picture to text, MRR",
    ]
    assert done.stderr == ""
    indexed = cli("index", photos, "--model", "./my-model")
    assert indexed.exit_code == 0, indexed.output
    found = cli("query", "a red square", "--json", "-k", "3")
    assert found.exit_code == 0, found.output
    assert len(found.stdout.splitlines()) == 3


def test_a_collection_s_own_items_are_pairs_and_stay_as_they_are(
    cli: Cli, base: Path, photos: Path, tmp_path: Path
) -> None:
    assert cli("index", photos, "--model", base).exit_code == 0
    with mmsearch.open(tmp_path / ".mmsearch") as collection:
        before = collection.status()
    done = cli("train", "--out", "my-model", "--json", *FAST)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["base"] == str(base)  # the collection's own model
    assert report["train_pairs"] + report["held_out_pairs"] == 36
    with mmsearch.open(tmp_path / ".mmsearch") as collection:
        assert collection.status() == before


def test_skipped_rows_are_named_and_the_exit_code_says_so(
    cli: Cli, base: Path, photos: Path, tmp_path: Path
) -> None:
    table = tmp_path / "clicks.csv"
    table.write_text(table.read_text() + "\nphotos/gone.png,a red square,1\nphotos/0.png,,1\n")
    done = cli("train", "clicks.csv", "--from", base, "--out", "m", *FAST)
    assert done.exit_code == 3, done.output
    assert "skipped clicks.csv#37" in done.stdout
    assert "skipped clicks.csv#38" in done.stdout


def test_too_few_pairs_is_one_line_and_exit_code_1(cli: Cli, base: Path, photos: Path) -> None:
    Path("few.csv").write_text("image,text\nphotos/0.png,red\nphotos/1.png,green\n")
    done = cli("train", "few.csv", "--from", base, "--out", "m", *FAST)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: only 2 distinct pairs")
    assert done.stdout == ""


def test_pairs_and_a_collection_together_are_a_usage_error(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "pairs.csv", "--collection", tmp_path, "--out", "m")
    assert done.exit_code == 2


def test_progress_shows_loss_and_recall_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with TrainBar() as bar:
        bar(Progress("pictures", 5, 10))
        bar.step(Step(1, 2.5, 0.1, 0.25), 100)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with TrainBar() as bar:
        bar(Progress("pictures", 5, 10))
        bar.step(Step(1, 2.5, 0.1, 0.25), 100)
        bar._bar.refresh()
    drawn = capsys.readouterr().err
    assert "5/10" in drawn
    assert "loss=2.500, recall=0.250" in drawn
