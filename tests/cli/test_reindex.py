"""`mmsearch reindex`: what it says, and its exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import mmsearch
from mmsearch.encoders import open_clip_encoder
from tests.cli.conftest import Cli
from tests.support import ColourEncoder, paint, shop


def load_colours(name: str, **_options: object) -> ColourEncoder:
    """In the place of open_clip, two models without torch: `one` and `two`."""
    seeds = {"one": 1, "two": 2}
    return ColourEncoder(f"c0105{seeds[name]}", name=name, seed=seeds[name])


@pytest.fixture
def colours(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a collection that `one` encoded; the working directory is above it."""
    monkeypatch.setattr(open_clip_encoder, "load_encoder", load_colours)
    monkeypatch.setenv("MMSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("mmsearch.encoders.text_tower.export_text_tower", lambda _encoder: None)
    folder = shop(tmp_path / "photos")
    assert cli("index", folder, "--model", "one").exit_code == 0
    return folder


def test_moving_going_back_and_dropping(cli: Cli, colours: Path) -> None:
    result = cli("reindex", "--model", "two")
    assert result.exit_code == 0, result.output
    assert re.fullmatch(
        r"in use: two\nencoded 6 images and 3 texts in \d+\.\d s\n", result.stdout
    ), result.stdout
    assert json.loads(cli("status", "--json").stdout)["model"] == "two"
    assert cli("query", "red", "-k", "1", "--paths").stdout == "photos/red.png\n"
    status = cli("status").stdout
    assert re.search(r"^kept +one, 16 dimensions, c01051: 9 vectors", status, re.M), status

    back = json.loads(cli("reindex", "--rollback", "--json").stdout)
    assert (back["switched"], back["model"], back["encoded_images"]) == (True, "one", 0)
    dropped = cli("reindex", "--drop-old")
    assert re.fullmatch(r"dropped two: [\d.]+ k?B freed\n", dropped.stdout), dropped.stdout
    assert cli("reindex", "--drop-old").stdout.startswith("nothing to drop")
    assert json.loads(cli("reindex", "--drop-old", "--json").stdout) == {
        "dropped": [],
        "freed_bytes": 0,
    }
    result = cli("reindex", "--rollback")
    assert result.exit_code == 2
    assert "no previous model" in result.stderr


def test_missing_file_is_an_error_unless_it_may_be_missing(cli: Cli, colours: Path) -> None:
    (colours / "green.png").unlink()
    result = cli("reindex", "--model", "two")
    assert result.exit_code == 1
    assert result.stdout.startswith("in use: one\n  failed photos/green.png: ")
    assert "1 items cannot be encoded, so the collection stays with one" in result.stderr
    assert "unfinished  two" in cli("status").stdout
    result = cli("reindex", "--model", "two", "--allow-missing", "--json")
    assert result.exit_code == 3
    report = json.loads(result.stdout)
    assert (report["switched"], report["encoded_images"]) == (True, 0)
    assert [failure["key"] for failure in report["failures"]] == ["photos/green.png"]


@pytest.mark.parametrize(
    "options", [[], ["--model", "two", "--rollback"], ["--rollback", "--drop-old"]]
)
def test_exactly_one_thing_is_asked_for(cli: Cli, colours: Path, options: list[str]) -> None:
    result = cli("reindex", *options)
    assert result.exit_code == 2
    assert "say one of: --model NAME, --rollback, --drop-old" in result.stderr


def test_other_model_names_reindex_as_the_way(cli: Cli, colours: Path) -> None:
    paint(colours / "new.png", "red")
    result = cli("index", colours, "--model", "two")
    assert result.exit_code == 1
    assert "`mmsearch reindex --model two`" in result.stderr


def test_model_in_use_is_nothing_to_do(cli: Cli, colours: Path) -> None:
    result = cli("reindex", "--model", "one")
    assert result.exit_code == 0
    assert "already" in result.stderr
    with mmsearch.open(colours.parent) as collection:
        assert len(collection.status().spaces) == 1
