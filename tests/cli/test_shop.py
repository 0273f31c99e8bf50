"""`mmsearch suggest` and `mmsearch update`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture(autouse=True)
def own(indexed: Path, tmp_path: Path) -> Path:
    """A copy of the indexed tiny corpus, to write to; the program finds it from its folder."""
    return Path(shutil.copytree(indexed, tmp_path, dirs_exist_ok=True))


def attributes(cli: Cli, key: str) -> dict[str, object]:
    lines = cli("query", "--where", f"key = '{key}'", "--json").stdout.splitlines()
    found: dict[str, object] = json.loads(lines[0])["attributes"]
    return found


def test_attributes_are_set_removed_and_then_filtered_by(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("key,price,colour\nred.png,9.5,red\nblue.png,20,blue\n")
    done = cli("update", "prices.csv")
    assert done.exit_code == 0, done.output
    assert done.stdout == "updated 2, unchanged 0, failed 0\n"
    assert attributes(cli, "red.png") == {"price": 9.5, "colour": "red"}
    found = cli("query", "--where", "price < 10", "--paths").stdout
    assert "red.png" in found
    assert "blue.png" not in found
    (tmp_path / "sold.jsonl").write_text('{"key": "red.png", "price": null}\n')
    assert cli("update", "sold.jsonl").exit_code == 0
    assert attributes(cli, "red.png") == {"colour": "red"}


def test_rows_that_fit_no_item_are_named_and_the_others_are_done(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("key,price\nnope,1\nred.png,2\n,3\n")
    done = cli("update", "prices.csv", "--json")
    assert done.exit_code == 3
    report = json.loads(done.stdout)
    assert report["updated"] == 1
    assert [one["key"] for one in report["failures"]] == ["prices.csv#3", "nope"]
    assert attributes(cli, "red.png") == {"price": 2}


def test_a_column_that_comes_to_have_several_types_is_noted(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("key,price,stock\nred.png,9.5,1\nblue.png,20,2\n")
    assert "note:" not in cli("update", "prices.csv").stderr
    (tmp_path / "prices.csv").write_text("key,price,stock\nred.png,n/a,1\n")
    done = cli("update", "prices.csv")
    assert done.stdout == "updated 1, unchanged 0, failed 0\n"
    assert "note: 'price' is a number in some items, a string in others: a filter" in done.stderr
    assert "'stock'" not in done.stderr
    (tmp_path / "prices.csv").write_text("key,stock\nred.png,few\nblue.png,many\n")
    assert "note:" not in cli("update", "prices.csv").stderr  # all stocks are strings now


def test_a_text_or_a_picture_is_no_attribute(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("key,title\nred.png,a red disc\n")
    done = cli("update", "rows.csv")
    assert done.exit_code == 1
    assert "'title' is no attribute" in done.stderr


def test_suggestions_start_as_what_was_typed(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text("key,brand\nred.png,Réd Shoe Co\nblue.png,Bluebell\n")
    assert cli("update", "tags.csv").exit_code == 0
    assert cli("suggest", "red sh").stdout == "Réd Shoe Co\n"
    assert json.loads(cli("suggest", "BLUEB", "--json").stdout) == {"text": "Bluebell", "items": 1}
    assert cli("suggest", "zzz").stdout == ""
    assert cli("suggest", "red", "-k", "0").exit_code == 2
