"""`mmsearch evaluate` where it ends early: what it says then, and what it does not do before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evaluation import worlds


def evaluate(folder: Path, *arguments: str, loading_torch: str) -> subprocess.CompletedProcess[str]:
    """The program, with a few lines in the place of torch: a moment at which a model is loaded."""
    (folder / "torch.py").write_text(loading_torch)
    return subprocess.run(
        [sys.executable, "-m", "mmsearch", "evaluate", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "MMSEARCH_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        # A run in the background may itself ignore Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    worlds.pictures(tmp_path)
    return worlds.table(tmp_path / "shop.jsonl")


def test_interrupted_run_says_whether_its_embeddings_are_kept(shop: Path) -> None:
    ctrl_c = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    done = evaluate(shop.parent, shop.name, loading_torch=ctrl_c)
    assert done.returncode == 130, done.stderr
    assert "embeddings made so far are kept; run the same command again to go on" in done.stderr
    done = evaluate(shop.parent, shop.name, "--no-cache", loading_torch=ctrl_c)
    assert done.returncode == 130, done.stderr
    assert done.stderr.endswith("interrupted: with --no-cache no embeddings are kept\n")


def test_ids_that_no_run_can_carry_are_said_before_a_model_is_loaded(shop: Path) -> None:
    table = shop.read_text().replace('"red"', '"dark red"')
    shop.write_text(table)
    asked = (shop.name, "--relevance", "shade,colour", "--export-run", "r.run")
    done = evaluate(shop.parent, *asked, loading_torch="raise SystemExit('a model was loaded')\n")
    assert done.returncode == 2, done.stderr
    assert "dark red' holds a blank" in done.stderr
    assert not (shop.parent / "r.run").exists()
