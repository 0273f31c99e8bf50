"""The gate lets through what did not fall, and refuses to compare what is not comparable."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmsearch.errors import InputError
from mmsearch.evaluation.evaluate import evaluate_embeddings
from mmsearch.evaluation.gate import against_baseline, read_evaluations
from mmsearch.evaluation.result import Evaluation
from mmsearch.evaluation.task import Subject, Task


def evaluation(hit: int) -> Evaluation:
    """Ten queries, of which `hit` find their item first."""
    items = tuple("abcdefghij")
    vectors = np.eye(10, dtype=np.float32)
    asked = vectors.copy()
    asked[hit:] = np.roll(vectors, 1, axis=0)[hit:]
    qrels = {f"q{item}": {item: 1} for item in items}
    task = Task("set", "test", "text to image", tuple(qrels), items, qrels)
    return evaluate_embeddings(task, asked, vectors, Subject("m", "f"))


def test_fall_beyond_what_is_allowed_is_found() -> None:
    baseline = [evaluation(8).to_json(per_query=False)]
    same = against_baseline([evaluation(8)], baseline, 0.0)
    assert same
    assert not any(change.fell for change in same)
    worse = {c.measure: c for c in against_baseline([evaluation(7)], baseline, 0.05)}
    assert worse["hit@1"].fell
    assert str(worse["hit@1"]) == "set, text to image, m: hit@1 0.8000 -> 0.7000 (-0.1000)"
    assert not any(c.fell for c in against_baseline([evaluation(7)], baseline, 0.1))
    assert not any(c.fell for c in against_baseline([evaluation(9)], baseline, 0.0))


@pytest.mark.parametrize(
    ("field", "value"),
    [("split", "dev"), ("dataset", "other"), ("gallery_size", 9), ("query_count", 3)],
)
def test_baseline_of_another_set_is_an_error(field: str, value: object) -> None:
    baseline = evaluation(8).to_json(per_query=False) | {field: value}
    with pytest.raises(InputError):
        against_baseline([evaluation(8)], [baseline], 0.0)


def test_figure_that_is_no_longer_measured_is_an_error() -> None:
    now = evaluation(8)
    fewer = replace(now, measures={"AP": now.measures["AP"]})
    with pytest.raises(InputError, match="was not measured now"):
        against_baseline([fewer], [now.to_json(per_query=False)], 0.0)


def test_baselines_of_several_models_go_by_name() -> None:
    both = [evaluation(8), replace(evaluation(3), model="other")]
    baseline = [one.to_json(per_query=False) for one in both]
    assert not any(change.fell for change in against_baseline(both, baseline, 0.0))
    with pytest.raises(InputError, match="no baseline"):
        against_baseline([replace(both[0], model="third")], baseline, 0.0)


def test_files_of_json_lines_and_of_full_evaluations_are_read(tmp_path: Path) -> None:
    plain = evaluation(8).to_json(per_query=False)
    lines, full = tmp_path / "a.jsonl", tmp_path / "a.json"
    lines.write_text(json.dumps(plain) + "\n" + json.dumps(plain) + "\n")
    full.write_text(json.dumps([evaluation(8).to_json()], indent=1))
    assert len(read_evaluations(lines)) == 2
    assert read_evaluations(full)[0]["figures"] == plain["figures"]
    for text in ("", "{}", "[]", "no", '{"mmsearch_evaluation": 1}\n{}\n'):
        lines.write_text(text)
        with pytest.raises(InputError):
            read_evaluations(lines)


@pytest.mark.parametrize("figures", [None, [0.5], {"AP": "high"}])
def test_baseline_without_figures_is_an_error(tmp_path: Path, figures: object) -> None:
    plain = evaluation(8).to_json(per_query=False)
    del plain["figures"]
    if figures is not None:
        plain["figures"] = figures
    (tmp_path / "a.json").write_text(json.dumps(plain))
    with pytest.raises(InputError, match=r"a\.json: not evaluations"):
        read_evaluations(tmp_path / "a.json")


def test_baseline_that_is_no_utf_8_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"[\n\xe9]")
    with pytest.raises(InputError, match=r"a\.json:2: not UTF-8"):
        read_evaluations(tmp_path / "a.json")
