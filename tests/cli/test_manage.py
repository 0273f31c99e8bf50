"""`mmsearch status`, `remove`, `check` and `models`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from mmsearch.cli.app import app
from tests.cli.conftest import Cli

STATUS = r"""collection  .*/corpus/\.mmsearch
items       6 \(3 with a picture, 4 with a text\)
missing     0
failed      0
encoder     mini, \d+ dimensions, \S+
index       \S.*
on disk     [\d.]+ [kM]?B: catalog [\d.]+ [kM]?B, vectors [\d.]+ [kM]?B, index [\d.]+ [kM]?B
last run    .*
"""


def test_status_counts_and_names_the_encoder(cli: Cli, indexed: Path) -> None:
    result = cli("status", "--collection", indexed)
    assert re.fullmatch(STATUS, result.stdout), result.output
    found = json.loads(cli("status", "--json", "--collection", indexed).stdout)
    assert (found["items"], found["images"], found["texts"]) == (6, 3, 4)


def test_removed_items_are_counted_for_programs(cli: Cli, corpus: Path) -> None:
    assert cli("index", corpus).exit_code == 0
    result = cli("remove", "corpus/red.png", "--json")
    assert result.stdout == '{"removed": 1}\n', result.output


def test_removed_item_is_found_no_more_and_its_file_stays(cli: Cli, corpus: Path) -> None:
    cli("index", corpus)
    result = cli("remove", "corpus/red.png", corpus / "blue.png")
    assert result.stdout == "removed 2 items\n", result.output
    assert cli("query", "red", "--paths").stdout == "corpus/green.png\n"
    assert (corpus / "red.png").is_file()


def test_sound_collection_has_no_problems(cli: Cli, indexed: Path) -> None:
    result = cli("check", "--collection", indexed)
    assert (result.exit_code, result.stdout) == (0, "no problems found\n"), result.output


def test_damaged_index_is_found_and_repaired(cli: Cli, corpus: Path, tmp_path: Path) -> None:
    cli("index", corpus)
    before = cli("query", "red").stdout
    for snapshot in (tmp_path / ".mmsearch" / "index").iterdir():
        snapshot.write_bytes(b"damaged")
    found = cli("check")
    assert found.exit_code == 1
    assert found.stdout.startswith("problem: ")
    assert "mmsearch check --repair" in found.stderr
    assert cli("check", "--repair").exit_code == 0
    assert cli("check").stdout == "no problems found\n"
    assert cli("query", "red").stdout == before


def test_repair_of_what_is_no_database_does_not_send_to_itself(
    cli: Cli, indexed: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(indexed / ".mmsearch", tmp_path / ".mmsearch"))
    with open(own / "catalog.sqlite3", "rb+") as catalog:
        catalog.write(b"\0" * 200)
    result = cli("check", "--repair")
    assert result.exit_code == 1
    assert "is damaged: file is not a database" in result.stderr
    assert "Where `mmsearch check --repair` cannot mend it, restore it" in result.stderr
    assert "un `mmsearch check" not in result.stderr


def test_repair_that_leaves_problems_fails_until_they_are_gone(
    cli: Cli, corpus: Path, tmp_path: Path
) -> None:
    cli("index", corpus)
    (vectors,) = (tmp_path / ".mmsearch" / "vectors").iterdir()
    vectors.write_bytes(b"\0" * vectors.stat().st_size)
    result = cli("check", "--repair")
    assert result.exit_code == 1, result.output
    assert "repaired: 7 vectors forgotten: run `mmsearch index`" in result.stdout
    assert "remaining: corpus/red.png has no vector" in result.stdout
    assert cli("index", corpus).exit_code == 0
    assert cli("check", "--repair").exit_code == 0


def test_models_lists_the_bundled_one_the_aliases_and_open_clips(cli: Cli) -> None:
    result = cli("models")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert any(re.match(r"mini\b.*on disk", line) for line in lines)
    for alias in ("fast", "best", "multilingual"):
        assert any(line.startswith(alias) for line in lines)
    assert "ViT-B-32/laion2b_s34b_b79k" in result.stdout
    models = [json.loads(line) for line in cli("models", "--json").stdout.splitlines()]
    assert len(models) > 100
    assert models[0]["name"] == "mini"
    assert models[0]["on_disk"] is True


@pytest.mark.parametrize("command", [c.name for c in app.registered_commands])
def test_help_of_each_command_has_an_example(cli: Cli, command: str) -> None:
    result = cli(command, "--help")
    assert result.exit_code == 0
    assert f"Example:\n    mmsearch {command}" in result.stdout.replace("      ", "    ")
