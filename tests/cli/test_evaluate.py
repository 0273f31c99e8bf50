"""`mmsearch evaluate` from the outside: one command, no code, figures that can be pinned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mmsearch.evaluation.result import Evaluation
from tests.cli.conftest import Cli

CAPTIONS = {
    "red.png": ["a red ball", "a red disc on grey"],
    "green.png": ["a green ball", "a green disc on grey"],
    "blue.png": ["a blue ball", "a blue disc on grey"],
}


@pytest.fixture
def folder(corpus: Path) -> Path:
    """Three pictures that the tool has never seen, with a caption file beside them."""
    for name in ("red.txt", "note.txt", "shop.csv"):
        (corpus / name).unlink()
    (corpus / "captions.json").write_text(json.dumps(CAPTIONS))
    return corpus


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv("MMSEARCH_CACHE", str(cache))
    return cache


def test_unknown_folder_is_evaluated_by_one_command(cli: Cli, folder: Path) -> None:
    done = cli("evaluate", folder, "--html", "report.html", "--save", "all.json")
    assert done.exit_code == 0, done.output
    for words in (
        "corpus/captions.json, text to image",
        "corpus/captions.json, image to text",
        "mini: 6 queries, gallery of 3, fingerprint ",
        "224 x 224 px, squash, bicubic, mean 0.5 0.5 0.5, std 0.5 0.5 0.5, index: exact",
        "ties by descending item id (as trec_eval)",
        "what CLIP papers call R@k",
        "mAP@10",
    ):
        assert words in done.stdout
    saved = [Evaluation.from_json(one) for one in json.loads(Path("all.json").read_text())]
    assert [one.direction for one in saved] == ["text to image", "image to text"]
    assert "<html" in Path("report.html").read_text(encoding="utf-8")

    # The same again, from kept embeddings: equal figures pass the gate, a better past does not.
    again = cli("evaluate", folder, "--json", "--baseline", "all.json", "--fail-below", "0")
    assert again.exit_code == 0, again.output
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    assert [line["figures"] for line in lines] == [one.to_json()["figures"] for one in saved]
    assert lines[0]["intervals"]["AP"][0] <= lines[0]["figures"]["AP"]
    better = [line | {"figures": line["figures"] | {"precision@5": 0.9}} for line in lines]
    Path("better.json").write_text(json.dumps(better))
    arguments = ("--measures", "P@5", "--baseline", "better.json", "--fail-below", "0.01")
    missing = cli("evaluate", folder, *arguments)
    assert missing.exit_code == 1
    assert "was not measured now" in missing.stderr
    fallen = cli("evaluate", folder, *arguments[2:])
    assert fallen.exit_code == 1
    assert "precision@5 0.9000 -> 0.2000 (-0.7000)" in fallen.stderr
    assert "2 of 28 figures fell more than 0.01" in fallen.stderr


def test_baseline_that_is_saved_over_is_read_first_and_kept_where_figures_fell(
    cli: Cli, folder: Path
) -> None:
    command = ("evaluate", folder, "--measures", "P@5", "--baseline", "base.json")
    both = (*command, "--save", "./base.json", "--fail-below", "0.01")
    assert cli(*command[:4], "--save", "base.json").exit_code == 0
    worse, better = (
        json.loads(Path("base.json").read_text()),
        json.loads(Path("base.json").read_text()),
    )
    for one in better:
        one["figures"]["precision@5"] = 0.9
    for one in worse:
        one["figures"]["precision@5"] = 0.1
    Path("base.json").write_text(json.dumps(better))
    assert cli(*both).exit_code == 1
    assert json.loads(Path("base.json").read_text()) == better
    Path("base.json").write_text(json.dumps(worse))
    assert cli(*both).exit_code == 0
    assert json.loads(Path("base.json").read_text())[0]["figures"]["precision@5"] > 0.1


def test_missing_baseline_is_said_before_anything_is_measured(cli: Cli, folder: Path) -> None:
    done = cli("evaluate", folder, "--baseline", "none.json", "--save", "none.json")
    assert done.exit_code == 1
    assert "none.json: cannot be read" in done.stderr
    assert not Path("none.json").exists()


def test_exported_run_has_the_same_figures_when_it_is_judged(cli: Cli, folder: Path) -> None:
    options = ("--direction", "image-to-text", "--measures", "mAP,nDCG@3,hit@1", "--json")
    first = cli("evaluate", folder, *options, "--export-run", "mini.run")
    assert first.exit_code == 0, first.output
    second = cli("evaluate", "mini.qrels", "--run", "mini.run", *options[2:])
    assert second.exit_code == 0, second.output
    one, other = json.loads(first.stdout), json.loads(second.stdout)
    assert one["figures"] == other["figures"]
    assert other["index_kind"] == "run file"


def test_unreadable_picture_gives_exit_code_3_and_a_note(cli: Cli, folder: Path) -> None:
    (folder / "red.png").write_bytes(b"nothing")
    done = cli("evaluate", folder, "--direction", "text-to-image", "--markdown")
    assert done.exit_code == 3, done.output
    assert "| measure | mini |" in done.stdout
    assert "1 pictures cannot be read and count as wrong" in done.stdout


def test_collection_judges_itself(cli: Cli, indexed: Path, tmp_path: Path) -> None:
    collection = tmp_path / "copy"
    shutil.copytree(indexed / ".mmsearch", collection)
    done = cli("--collection", collection, "evaluate", "--json")
    assert done.exit_code == 0, done.output
    to_image, to_text = (json.loads(line) for line in done.stdout.splitlines())
    assert (to_image["query_count"], to_image["gallery_size"]) == (1, 3)
    assert (to_text["query_count"], to_text["gallery_size"]) == (1, 4)
    assert to_image["index_kind"].startswith("exact")
    assert len(to_image["fingerprint"]) == 16


def test_index_kinds_are_measured_on_a_collection(cli: Cli, indexed: Path) -> None:
    done = cli("--collection", indexed / ".mmsearch", "evaluate", "--index", "--json")
    assert done.exit_code == 0, done.output
    curve = json.loads(done.stdout)
    assert curve["gallery_size"] == 3
    assert curve["points"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "--markdown"], "two ways to print"),
        (["--model", "mini"], "name a DATASET"),
        (["x", "--run", "r", "--model", "mini"], "choose one"),
        (["x", "--index"], "leave DATASET out"),
        (["x", "--fail-below", "0.1"], "--baseline FILE"),
        (["x", "--measures", "best@1"], "no measure is called 'best@1'"),
        (["x", "--direction", "up"], "no direction is called 'up'"),
        (["x", "--export-run", "r", "--model", "a", "--model", "b"], "one model"),
        (["--index", "--baseline", "none", "--fail-below", "0.0"], "--baseline goes with"),
        (["--index", "--measures", "AP"], "--measures goes with judgements"),
        (["--index", "--split", "test"], "--split goes with judgements"),
        (["--relevance", "colour"], "--relevance goes with a DATASET"),
        (["--split", "test"], "--split goes with a DATASET"),
        (["--labels", "x"], "--labels goes with a DATASET"),
        (["--template", "x"], "--template goes with a DATASET"),
        (["--images", "x"], "--images goes with a DATASET"),
        (["--queries", "x"], "--queries goes with a DATASET"),
        (["x", "--labels", "c", "--measures", "nDCG@10"], "leave --measures out"),
    ],
)
def test_requests_that_make_no_sense_exit_with_2(
    cli: Cli, arguments: list[str], message: str
) -> None:
    done = cli("evaluate", *arguments)
    assert done.exit_code == 2, done.output
    assert message in done.stderr


@pytest.mark.parametrize(
    "option",
    [
        ("--relevance", "a"),
        ("--split", "test"),
        ("--direction", "image-to-image"),
        ("--images", "."),
        ("--queries", "q.jsonl"),
        ("--labels", "a"),
        ("--template", "a {}"),
    ],
)
def test_qrels_are_not_asked_what_only_a_dataset_knows(cli: Cli, option: tuple[str, str]) -> None:
    Path("qrels").write_text("q 0 a 1\n")
    Path("run").write_text("q Q0 a 1 0.5 tag\n")
    assert cli("evaluate", "qrels", "--run", "run").exit_code == 0
    done = cli("evaluate", "qrels", "--run", "run", *option)
    assert done.exit_code == 2, done.output
    assert f"{option[0]} goes with a dataset" in done.stderr


def test_dataset_that_is_not_there_exits_with_1(cli: Cli) -> None:
    done = cli("evaluate", "nowhere")
    assert done.exit_code == 1
    assert "no such file or folder" in done.stderr


def test_help_has_examples(cli: Cli) -> None:
    done = cli("evaluate", "--help")
    assert "mmsearch evaluate qrels.txt --run other-tool.run" in done.stdout
