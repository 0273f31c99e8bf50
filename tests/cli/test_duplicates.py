"""`mmsearch duplicates`: what it prints, for people, programs and xargs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import mmsearch
from mmsearch.cli.app import app
from tests.cli.conftest import Cli
from tests.conftest import write_corpus
from tests.support import ColourEncoder, paint


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two equal pictures, a larger one of the same disc, and others; indexed."""
    folder = write_corpus(tmp_path_factory.mktemp("shelf") / "corpus")
    os.utime(folder / "red.png", (1000, 1000))
    shutil.copy(folder / "red.png", folder / "copy.png")
    with Image.open(folder / "blue.png") as image:
        image.resize((192, 128)).save(folder / "large.png")
    (folder / "twin.txt").write_text("a dog runs on the beach\n", encoding="utf-8")
    done = CliRunner().invoke(
        app, ["--collection", str(folder / ".mmsearch"), "index", str(folder)]
    )
    assert done.exit_code == 0, done.output
    return folder


def test_groups_for_people_equal_ones_first_and_the_best_on_top(cli: Cli, shelf: Path) -> None:
    result = cli("duplicates", "--collection", shelf)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "2 equal"
    assert lines[1].startswith(f"  1.000  {shelf}/red.png  ")
    assert lines[2].startswith(f"  1.000  {shelf}/copy.png  ")
    assert lines[3] == "2 nearly the same"
    assert f"{shelf}/large.png  192x128  " in lines[4]
    assert f"{shelf}/blue.png  96x64  " in lines[5]
    assert lines[6:] == ["", "2 groups; 2 items are there once more"]


def test_one_group_and_one_item_are_singular(cli: Cli, shelf: Path) -> None:
    lines = cli("duplicates", "--exact", "--collection", shelf).stdout.splitlines()
    assert lines[-1] == "1 group; 1 item is there once more"


def test_groups_for_programs_one_a_line(cli: Cli, shelf: Path) -> None:
    lines = cli("duplicates", "--json", "--collection", shelf).stdout.splitlines()
    exact, near = (json.loads(line) for line in lines)
    assert [exact["kind"], near["kind"]] == ["exact", "near"]
    assert [item["key"] for item in exact["items"]] == ["red.png", "copy.png"]
    first, second = near["items"]
    assert (first["key"], first["width"], first["height"]) == ("large.png", 192, 128)
    assert first["similarity"] == 1
    assert 0.95 <= second["similarity"] < 1
    assert second["file"] == str(shelf / "blue.png")


def test_paths_are_those_that_could_go(cli: Cli, shelf: Path) -> None:
    there = ("--collection", shelf)
    expected = f"{shelf}/copy.png\n{shelf}/blue.png\n"
    assert cli("duplicates", "--paths", *there).stdout == expected
    assert cli("duplicates", "-0", *there).stdout == expected.replace("\n", "\0")
    assert cli("duplicates", "--exact", "--paths", *there).stdout == f"{shelf}/copy.png\n"


def test_end_of_a_chain_is_shown_as_one_and_is_no_path_that_could_go(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    for number, name in enumerate("abc"):  # each a little greener, and smaller
        paint(photos / f"{name}.png", (250, 20 + 40 * number, 20), size=80 - 10 * number)
    with mmsearch.open(tmp_path, create=True, encoder=ColourEncoder()) as collection:
        collection.index([photos])
    monkeypatch.chdir(tmp_path)
    asked = ("duplicates", "--threshold", "0.9")
    head, *lines = cli(*asked).stdout.splitlines()
    assert head == "3 nearly the same"
    assert [line.endswith("  (by chain)") for line in lines[:3]] == [False, False, True]
    assert lines[-1] == "1 group; 1 item is there once more"
    (group,) = (json.loads(line) for line in cli(*asked, "--json").stdout.splitlines())
    assert [item["by_chain"] for item in group["items"]] == [False, False, True]
    assert cli(*asked, "--paths").stdout == "photos/b.png\n"
    assert cli(*asked, "-0").stdout == "photos/b.png\0"


def test_rows_of_tables_are_counted_where_only_paths_are_wanted(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text("key,text\na,a red car\nb,a red car\n", encoding="utf-8")
    assert cli("index", "shop.csv").exit_code == 0
    result = cli("duplicates", "--texts", "--paths")
    assert (result.stdout, result.stderr) == (
        "",
        "note: 1 more are rows of tables, or captions of pictures, without a file of their own\n",
    )
    assert "2 equal\n  1.000  a\n  1.000  b\n" in cli("duplicates", "--texts").stdout


def test_pictures_are_never_named_because_their_captions_are_equal(
    cli: Cli, tmp_path: Path
) -> None:
    for colour in ("red", "blue"):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{colour}.png")
        (tmp_path / f"{colour}.txt").write_text("a holiday", encoding="utf-8")
    assert cli("index", ".").exit_code == 0
    for form in ("--paths", "-0"):
        result = cli("duplicates", "--texts", form)
        assert (result.exit_code, result.stdout) == (0, "")
        assert "1 more" in result.stderr


def test_strict_threshold_finds_fewer(cli: Cli, shelf: Path) -> None:
    result = cli("duplicates", "--threshold", "1", "--json", "--collection", shelf)
    assert [json.loads(line)["kind"] for line in result.stdout.splitlines()] == ["exact"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--threshold", "0"], "the threshold of duplicates is above 0 and at most 1, not 0.0"),
        (["--threshold", "1.5"], "not 1.5"),
        (["--json", "--paths"], "choose one"),
        (["--exact", "--threshold", "0.9"], "--exact asks for equal files"),
    ],
)
def test_request_that_makes_no_sense_is_a_usage_error(
    cli: Cli, shelf: Path, arguments: list[str], says: str
) -> None:
    result = cli("duplicates", *arguments, "--collection", shelf)
    assert result.exit_code == 2
    assert says in result.stderr


def test_folder_without_a_collection_is_an_error(cli: Cli) -> None:
    result = cli("duplicates")
    assert result.exit_code == 1
    assert "mmsearch index" in result.stderr
