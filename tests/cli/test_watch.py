"""`mmsearch watch` as a process of its own: its events, and how it ends."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.cli.conftest import Cli
from tests.support import paint

PATIENCE_S = 120.0  # of a busy machine that loads a model


class Running:
    """The program, and its lines as they come."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mmsearch.cli", "watch", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def line(self) -> str:
        return self._lines.get(timeout=PATIENCE_S)

    def event(self, kind: str) -> dict[str, Any]:
        """The next event, which has to be of this kind."""
        event: dict[str, Any] = json.loads(self.line())
        assert event["event"] == kind, event
        return event

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Exit code and stderr after this signal."""
        self._process.send_signal(number)
        code = self._process.wait(PATIENCE_S)
        assert self._process.stderr is not None
        return code, self._process.stderr.read()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def running(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    paint(tmp_path / "photos" / "red.png", "red")
    program = Running(tmp_path, "photos", *request.param)
    yield program
    program.close()


@pytest.mark.parametrize("running", [["--json"]], indirect=True)
def test_events_come_as_json_lines_until_sigterm(running: Running, tmp_path: Path) -> None:
    first = running.event("indexed")
    assert first["roots"] == [str(tmp_path / "photos")]
    assert first["report"]["added"] == 1
    running.event("watching")
    with FileLock(tmp_path / ".mmsearch" / "lock"):
        (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
        assert "another process is writing" in running.event("waiting")["message"]
    (failure,) = running.event("indexed")["report"]["failures"]
    assert failure["key"] == "photos/broken.png"
    (tmp_path / "photos" / "red.png").unlink()
    paint(tmp_path / "photos" / "blue.png", "blue")
    report = running.event("indexed")["report"]
    while not report["missing"]:  # both may be noticed in one run, or in two
        report = running.event("indexed")["report"]
    code, errors = running.end(signal.SIGTERM)
    assert code == 0, errors
    assert errors.endswith("stopped\n")


@pytest.mark.parametrize("running", [[]], indirect=True)
def test_events_come_as_words_until_ctrl_c(running: Running, tmp_path: Path) -> None:
    assert "indexed: added 1, in " in running.line()
    assert running.line().endswith("  watching photos\n")
    (tmp_path / "photos").rename(tmp_path / "unplugged")
    assert "unavailable: " in running.line()
    (tmp_path / "unplugged").rename(tmp_path / "photos")
    assert running.line().endswith("  photos: back\n")
    code, errors = running.end(signal.SIGINT)
    assert code == 0, errors
    assert errors.endswith("stopped\n")


def test_mistyped_folder_is_an_error_and_leaves_no_collection(cli: Cli, tmp_path: Path) -> None:
    result = cli("watch", "nowhere")
    assert result.exit_code == 1
    assert "no such file or folder" in result.stderr
    assert not (tmp_path / ".mmsearch").exists()


def test_watching_nothing_is_a_usage_error(cli: Cli) -> None:
    assert cli("watch").exit_code == 2


def test_number_that_makes_no_sense_is_a_usage_error(cli: Cli, corpus: Path) -> None:
    result = cli("watch", corpus, "--workers", "0")
    assert result.exit_code == 2
    assert "workers must be at least 1, not 0" in result.stderr
