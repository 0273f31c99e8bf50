"""This project's own gate: the bundled model on sample_data does not fall below its baseline.

The baseline is made, after a change that is meant, by

    mmsearch evaluate sample_data/captions.json --json > tests/evaluation/sample_baseline.jsonl
    mmsearch evaluate sample_data/products.csv --queries sample_data/qrels.json --json \
        >> tests/evaluation/sample_baseline.jsonl
"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmsearch.cli.app import app

ROOT = Path(__file__).parents[2]
BASELINE = Path(__file__).parent / "sample_baseline.jsonl"
# Of 160 queries three may change sides: torch's kernels differ between machines.
DROP = "0.02"


def test_bundled_model_on_sample_data_does_not_fall_below_its_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSEARCH_CACHE", str(tmp_path))
    gate = ["--baseline", str(BASELINE), "--fail-below", DROP, "--json"]
    sample = ROOT / "sample_data"
    products = [str(sample / "products.csv"), "--queries", str(sample / "qrels.json")]
    for question in ([str(sample / "captions.json")], products):
        done = CliRunner().invoke(app, ["evaluate", *question, *gate])
        assert done.exit_code == 0, done.output
        assert "figures fell more than 0.02" in done.stderr
