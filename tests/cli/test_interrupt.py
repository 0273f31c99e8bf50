"""Ctrl-C in the middle of a run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support import paint

FIRST_BATCH_BYTES = 16 * 384 * 2
COMMAND = [sys.executable, "-m", "mmsearch.cli"]


def test_ctrl_c_keeps_what_was_committed_and_says_how_to_go_on(tmp_path: Path) -> None:
    for number in range(300):
        paint(tmp_path / "photos" / f"{number}.png", (number % 250, 90, 200 - number // 2))
    index = [*COMMAND, "index", "photos"]
    run = subprocess.Popen(
        index,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # A run in the background may itself ignore Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    vectors = tmp_path / ".mmsearch" / "vectors"
    while run.poll() is None and not any(
        # Rows of a second batch: the first one is committed.
        f.stat().st_size > FIRST_BATCH_BYTES
        for f in vectors.glob("*.f16")
    ):
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 130, errors
    assert "run the same command again" in errors

    again = subprocess.run(
        [*index, "--json"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    report = json.loads(again.stdout)
    assert report["unchanged"] > 0
    assert report["unchanged"] + report["added"] == 300
