"""`mmsearch index`: what it reports, and where."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from mmsearch.cli.progress import ProgressBar
from mmsearch.types import Progress
from tests.cli.conftest import Cli

REPORT = """\
added 6, changed 0, moved 0, missing 0, unchanged 0, failed 0
encoded 3 images and 4 texts in N s, N images/s; the bottleneck was: STAGE
"""


def test_first_run_makes_a_collection_here_and_reports(
    cli: Cli, corpus: Path, tmp_path: Path
) -> None:
    result = cli("index", corpus)
    assert result.exit_code == 0, result.output
    assert (tmp_path / ".mmsearch" / "catalog.sqlite3").is_file()
    steady = re.sub(r"\d+\.\d", "N", result.stdout)
    steady = re.sub(r"(decode|encode|commit)\n", "STAGE\n", steady)
    assert steady == REPORT


def test_small_model_says_in_one_line_how_to_get_a_better_one(cli: Cli, corpus: Path) -> None:
    result = cli("index", corpus)
    (line,) = [line for line in result.stderr.splitlines() if "--model best" in line]
    assert f"mmsearch index {corpus} --collection NEW --model best" in line


def test_second_run_finds_everything_unchanged_and_advises_no_more(cli: Cli, corpus: Path) -> None:
    cli("index", corpus)
    result = cli("index", corpus, "--json")
    report = json.loads(result.stdout)
    assert (report["unchanged"], report["decoded"], report["encoded_images"]) == (6, 0, 0)
    assert result.stderr == ""


def test_progress_is_silent_when_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        bar(Progress("scan", 10))
        bar(Progress("commit", 5, 10))
        bar(Progress("note: the batch was halved"))
        bar(Progress("note: the batch was halved"))
    assert capsys.readouterr().err == "note: the batch was halved\n"


def test_progress_on_a_terminal_shows_count_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with ProgressBar() as bar:
        bar(Progress("scan", 10))
        bar(Progress("commit", 0, 10))
        time.sleep(0.15)  # tqdm redraws every 0.1 s
        bar(Progress("commit", 10, 10))
    drawn = capsys.readouterr().err
    assert "scan: 10 found" in drawn
    assert "10/10" in drawn
    assert "items/s" in drawn
