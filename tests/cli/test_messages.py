"""Requests that cannot be met: each gets one line that says what to do, and the right exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def test_query_without_a_collection_says_how_to_make_one(cli: Cli) -> None:
    result = cli("query", "red car")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: no collection in ")
    assert "mmsearch index PATH" in result.stderr
    assert result.stdout == ""


def test_named_collection_that_is_none_is_named(cli: Cli, tmp_path: Path) -> None:
    result = cli("--collection", tmp_path / "nowhere", "status")
    assert result.exit_code == 1
    assert "nowhere is no collection" in result.stderr


@pytest.mark.parametrize("k", ["0", "-1", "100000000"])
def test_impossible_k_is_a_usage_error(cli: Cli, indexed: Path, k: str) -> None:
    result = cli("query", "red", "-k", k, "--collection", indexed)
    assert result.exit_code == 2
    assert result.stderr == f"error: k must be between 1 and 10000, not {k}\n"


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_query_is_a_usage_error(cli: Cli, indexed: Path, text: str) -> None:
    result = cli("query", text, "--collection", indexed)
    assert result.exit_code == 2
    assert "the query text is empty" in result.stderr


def test_query_wants_something_to_look_for(cli: Cli) -> None:
    result = cli("query")
    assert result.exit_code == 2
    assert "say what to look for" in result.stderr


def test_unknown_key_is_named(cli: Cli, indexed: Path) -> None:
    result = cli("query", "--like", "no/such.jpg", "--collection", indexed)
    assert result.exit_code == 1
    assert "no item has the key 'no/such.jpg'" in result.stderr


def test_unknown_key_is_said_alike_with_like_and_more_like(cli: Cli, indexed: Path) -> None:
    like, more_like = (
        cli("query", option, "no/such.jpg", "--collection", indexed)
        for option in ("--like", "--more-like")
    )
    assert (more_like.exit_code, more_like.stderr) == (like.exit_code, like.stderr)
    excluded = cli("query", "red", "--exclude", "no/such.jpg", "--collection", indexed)
    assert "no item has the key 'no/such.jpg', so it cannot be excluded" in excluded.stderr


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        (["index", ""], "PATH..."),
        (["index", "photos", ""], "PATH..."),
        (["--collection", "", "query", "red"], "--collection"),
        (["query", "red", "--collection="], "--collection"),
        (["query", "--image", ""], "--image"),
        (["update", ""], "TABLE"),
        (["keys", "list", "--keys", ""], "--keys"),
        (["index", "photos", "--model", ""], "--model"),
        (["train", "pairs.csv", "--out", "m", "--from", ""], "--from"),
        (["evaluate", "photos", "--save", ""], "--save"),
    ],
)
def test_empty_name_of_a_file_is_a_usage_error(
    cli: Cli, tmp_path: Path, arguments: list[str], argument: str
) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert f"Invalid value for '{argument}'" in result.stderr
    assert result.stderr.endswith(": the name is empty\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "red", "--to", "x"], "'--to': 'x' is not one of 'image', 'text', 'both'."),
        (["query", "red", "-k", "2.5"], "'-k': '2.5' is no whole number"),
        (["query", "red", "--diversity", "x"], "'--diversity': 'x' is no number"),
        (["serve", "--max-body", "0"], "'--max-body': 0 is too small: give at least 1"),
        (["serve", "--port", "70000"], "'--port': 70000 is too large: give at most 65535"),
        (["serve", "--request-seconds", "0.05"], "0.05 is too small: give at least 0.1"),
    ],
)
def test_value_of_another_kind_is_said_in_plain_words(
    cli: Cli, arguments: list[str], said: str
) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert result.stderr.endswith(f"{said}\n")


def test_words_without_quotes_are_told_of_them(cli: Cli) -> None:
    result = cli("query", "red", "car")
    assert result.exit_code == 2
    assert '(car); words that belong together stand in quotes, as in "red car"' in result.stderr
    assert "quotes" not in cli("status", "red").stderr  # which takes no words at all


@pytest.mark.parametrize(
    "arguments",
    [
        ["index", "photos"],
        ["watch", "photos"],
        ["reindex", "--drop-old"],
        ["train", "pairs.csv", "--out", "model"],
    ],
)
@pytest.mark.parametrize("device", ["nonsense", "", "cuda:x"])
def test_name_of_no_device_is_refused_before_anything_is_done(
    cli: Cli, tmp_path: Path, arguments: list[str], device: str
) -> None:
    result = cli(*arguments, "--device", device)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: no device is called {device!r}: name cpu, cuda")
    assert list(tmp_path.iterdir()) == []


def test_precision_of_a_model_that_is_left_as_it_was_is_a_usage_error(cli: Cli) -> None:
    result = cli("reindex", "--rollback", "--precision", "int8")
    assert result.exit_code == 2
    assert "give it with --model NAME" in result.stderr


def test_removing_an_unknown_key_removes_nothing(cli: Cli, indexed: Path) -> None:
    result = cli("remove", "red.png", "nope", "--collection", indexed)
    assert result.exit_code == 1
    assert "nothing was removed" in result.stderr
    assert "red.png" in cli("query", "red", "--collection", indexed).stdout


def test_unknown_model_is_named(cli: Cli, corpus: Path) -> None:
    result = cli("index", corpus, "--model", "no-such-model")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "no-such-model" in result.stderr


def test_mistyped_folder_leaves_no_collection_behind(cli: Cli, tmp_path: Path) -> None:
    result = cli("index", tmp_path / "photso")
    assert result.exit_code == 1
    assert "photso" in result.stderr
    assert not (tmp_path / ".mmsearch").exists()


def test_empty_folder_is_indexed_as_nothing(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = cli("index", tmp_path / "empty")
    assert result.exit_code == 0, result.output
    assert "added 0" in result.stdout
    assert "nothing found" in cli("query", "red car").stdout


def test_query_picture_that_is_missing_is_named(cli: Cli, indexed: Path) -> None:
    result = cli("query", "--image", "gone.jpg", "--collection", indexed)
    assert result.exit_code == 1
    assert "gone.jpg: no such file" in result.stderr


def test_query_picture_on_an_empty_stdin_is_an_error(cli: Cli, indexed: Path) -> None:
    result = cli("query", "--image", "-", "--collection", indexed, stdin=b"")
    assert result.exit_code == 1
    assert "empty" in result.stderr


def test_bad_picture_is_skipped_named_and_shows_in_the_exit_code(cli: Cli, corpus: Path) -> None:
    (corpus / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    result = cli("index", corpus)
    assert result.exit_code == 3, result.output
    assert "failed 1\n  failed corpus/broken.jpg: " in result.stdout


@pytest.mark.parametrize("option", ["--paths", "-0"])
def test_two_ways_to_print_are_one_too_many(cli: Cli, option: str) -> None:
    result = cli("query", "red", "--json", option)
    assert result.exit_code == 2
    assert "choose one" in result.stderr


def test_closed_streams_are_no_traceback(tmp_path: Path) -> None:
    closed = 'exec "$0" -m mmsearch index "$1" --collection "$1/c" <&- >&-'
    (tmp_path / "a.txt").write_text("a red car")
    done = subprocess.run(
        ["sh", "-c", closed, sys.executable, str(tmp_path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize(
    "arguments",
    [["query", "red"], ["query", "red", "--explain", "-0"], ["status", "--json"], ["--help"]],
)
def test_full_disk_is_one_line(indexed: Path, arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mmsearch", *arguments],
            cwd=indexed,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: cannot write: No space left on device\n"
