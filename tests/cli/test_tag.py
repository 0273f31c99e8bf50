"""`mmsearch tag`: labels from the command line, a file or stdin, and what is reported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

LABELS = "red,green,blue"


@pytest.fixture
def own(indexed: Path, tmp_path: Path) -> Path:
    """A copy of the indexed tiny corpus, to write to; the program finds it from its folder."""
    return Path(shutil.copytree(indexed, tmp_path, dirs_exist_ok=True))


def labels(cli: Cli, attribute: str = "label") -> dict[str, object]:
    hits = cli("query", "a ball", "--to", "image", "--json").stdout.splitlines()
    found = [json.loads(hit) for hit in hits]
    return {Path(hit["key"]).stem: hit["attributes"].get(attribute) for hit in found}


@pytest.mark.usefixtures("own")
def test_discs_get_their_colours_and_the_counts_are_reported(cli: Cli) -> None:
    result = cli("tag", "--labels", LABELS, "--attribute", "colour", "--min-confidence", "0")
    assert result.exit_code == 0, result.output
    assert sorted(result.stdout.splitlines()[:3]) == [
        f"{1:>7}  {c}" for c in sorted(LABELS.split(","))
    ]
    assert result.stdout.endswith("colour: 3 items updated\n")
    assert labels(cli, "colour") == {"red": "red", "green": "green", "blue": "blue"}


@pytest.mark.usefixtures("own")
def test_json_report_has_every_count(cli: Cli) -> None:
    first = json.loads(cli("tag", "--labels", LABELS, "--min-confidence", "0", "--json").stdout)
    assert first == {
        "attribute": "label",
        "counts": {"red": 1, "green": 1, "blue": 1},
        "unsure": 0,
        "kept": 0,
        "updated": 3,
        "unchanged": 0,
        "failures": [],
        "dry_run": False,
    }
    again = json.loads(cli("tag", "--labels", LABELS, "--json").stdout)
    assert (again["kept"], again["updated"]) == (3, 0)
    surer = ("--labels", LABELS, "--overwrite", "--min-confidence", "1", "--json")
    assert json.loads(cli("tag", *surer).stdout)["unsure"] == 3
    assert set(labels(cli).values()) == {None}


@pytest.mark.usefixtures("own")
def test_dry_run_lists_what_each_would_get_and_writes_nothing(cli: Cli) -> None:
    dry = ("tag", "--labels", LABELS, "--multi", "--min-confidence", "0", "--dry-run")
    lines = [json.loads(line) for line in cli(*dry, "--json").stdout.splitlines()]
    assert [len(line["labels"]) for line in lines[:-1]] == [3, 3, 3]
    assert [line["labels"][0] for line in lines[:-1]] == [
        Path(line["key"]).stem for line in lines[:-1]
    ]
    assert lines[-1]["dry_run"] is True
    text = cli(*dry).stdout
    assert re.search(r"^red\.png  red [01]\.\d\d, ", text, re.MULTILINE)
    assert text.endswith("nothing was written: --dry-run\n")
    assert set(labels(cli).values()) == {None}


@pytest.mark.usefixtures("own")
def test_labels_come_from_a_file_or_stdin_and_templates_word_them(cli: Cli, tmp_path: Path) -> None:
    listed = tmp_path / "labels.txt"
    listed.write_text("\n red \ngreen\nblue\n", encoding="utf-8")
    worded = ("--template", "a {} ball", "--template", "a {} thing", "--min-confidence", "0")
    assert cli("tag", "--labels-file", listed, *worded).exit_code == 0
    assert labels(cli) == {"red": "red", "green": "green", "blue": "blue"}
    result = cli("tag", "--labels-file", "-", "--attribute", "kind", stdin=b"disc\nvolcano\n")
    assert result.exit_code == 0, result.output


@pytest.mark.usefixtures("own")
def test_filter_chooses_what_is_labelled(cli: Cli) -> None:
    where = ("--where", "key like '%red%'", "--min-confidence", "0")
    assert cli("tag", "--labels", LABELS, *where).exit_code == 0
    assert labels(cli) == {"red": "red", "green": None, "blue": None}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say which labels"),
        (["--labels", LABELS, "--labels-file", "x"], "say which labels, in one way"),
        (["--labels", ","], "none of them empty"),
        (["--labels", "red,red"], "'red' is there twice"),
        (["--labels", "red"], "give another one"),
        (["--labels", LABELS, "--template", "photo"], "needs one place for the label"),
        (["--labels", LABELS, "--min-confidence", "2"], "a confidence is between 0 and 1"),
        (["--labels", LABELS, "--attribute", ""], "the attribute needs a name"),
        (["--labels", LABELS, "--where", "price <"], "price <"),
        (["--labels", LABELS, "--where", "nothing = 1"], "nothing"),
    ],
)
def test_request_that_makes_no_sense_is_a_usage_error(
    cli: Cli, indexed: Path, arguments: list[str], says: str
) -> None:
    result = cli("tag", *arguments, "--collection", indexed)
    assert result.exit_code == 2, result.output
    assert says in result.stderr


def test_file_of_labels_that_cannot_be_read_is_an_error(
    cli: Cli, indexed: Path, tmp_path: Path
) -> None:
    result = cli("tag", "--labels-file", "nowhere.txt", "--collection", indexed)
    assert (result.exit_code, "nowhere.txt: cannot be read" in result.stderr) == (1, True)
    (tmp_path / "latin.txt").write_bytes(b"gr\xfcn\nrot\n")
    result = cli("tag", "--labels-file", "latin.txt", "--collection", indexed)
    assert (result.exit_code, "not UTF-8" in result.stderr) == (1, True)


def test_labelling_loads_no_torch(indexed: Path) -> None:
    code = f"""
import sys
from mmsearch.cli.app import app
try:
    app(["tag", "--labels", "red,blue", "--dry-run", "--collection", {str(indexed)!r}])
except SystemExit as done:
    assert not done.code, done.code
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
