"""Ctrl-C in the middle of a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support import paint

FIRST_BATCH_BYTES = 16 * 384 * 2
INDEX = [sys.executable, "-m", "mmsearch.cli", "index", "photos"]


def hear_ctrl_c() -> None:
    """A run in the background may itself ignore Ctrl-C, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_for_a_second_batch(run: subprocess.Popen[str], folder: Path) -> None:
    """Where there are rows of a second batch, the first one is committed."""
    vectors = folder / ".mmsearch" / "vectors"
    while run.poll() is None and not any(
        f.stat().st_size > FIRST_BATCH_BYTES for f in vectors.glob("*.f16")
    ):
        time.sleep(0.05)


def assert_that_the_next_run_goes_on(folder: Path) -> None:
    again = subprocess.run(
        [*INDEX, "--json"], cwd=folder, capture_output=True, text=True, check=True
    )
    report = json.loads(again.stdout)
    assert report["unchanged"] > 0
    assert report["unchanged"] + report["added"] == 300


def test_ctrl_c_keeps_what_was_committed_and_says_how_to_go_on(tmp_path: Path) -> None:
    for number in range(300):
        paint(tmp_path / "photos" / f"{number}.png", (number % 250, 90, 200 - number // 2))
    run = subprocess.Popen(
        INDEX,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    wait_for_a_second_batch(run, tmp_path)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 130, errors
    assert "run the same command again" in errors

    assert_that_the_next_run_goes_on(tmp_path)


def test_second_ctrl_c_ends_at_once_and_keeps_what_was_committed(tmp_path: Path) -> None:
    for number in range(300):
        paint(tmp_path / "photos" / f"{number}.png", (number % 250, 90, 200 - number // 2))
    run = subprocess.Popen(
        INDEX, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c
    )
    wait_for_a_second_batch(run, tmp_path)
    run.send_signal(signal.SIGINT)
    time.sleep(0.02)  # two signals that wait together are one
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 130, errors
    assert "terminate called" not in errors
    assert "Traceback" not in errors

    assert_that_the_next_run_goes_on(tmp_path)


def test_ctrl_c_while_modules_are_loaded_is_one_line(tmp_path: Path) -> None:
    # A module that is loaded early, in the place of the program's own, stands for the moment.
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, "-m", "mmsearch", "status"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=hear_ctrl_c,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
