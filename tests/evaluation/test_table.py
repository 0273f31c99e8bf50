"""The table says what pins its figures, and which model is better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmsearch.evaluation.evaluate import evaluate_embeddings
from mmsearch.evaluation.report.groups import grouped
from mmsearch.evaluation.result import Anchor, ClassFigures, Evaluation
from mmsearch.evaluation.table import json_objects, markdown, mean_name, terminal
from mmsearch.evaluation.task import Subject, Task


def evaluation(right: int, model: str) -> Evaluation:
    """Forty queries of twenty pictures, of which the first `right` find theirs."""
    items = tuple(f"i{n:02}" for n in range(40))
    vectors = np.eye(40, dtype=np.float32)
    asked = vectors.copy()
    asked[right:] = np.roll(vectors, 1, axis=0)[right:]
    qrels = {f"q{n:02}": {item: 1} for n, item in enumerate(items)}
    clusters = tuple(f"picture {n // 2}" for n in range(40))
    task = Task("set", "test", "text to image", tuple(qrels), items, qrels, clusters=clusters)
    return evaluate_embeddings(task, asked, vectors, Subject(model, f"f-{model}", "224 px"))


def test_models_stand_side_by_side_with_intervals_and_marks() -> None:
    (group,) = grouped([evaluation(38, "good"), evaluation(4, "poor")], 0, None)
    text = terminal(group)
    for words in (
        "set test, text to image",
        "good: 40 queries, gallery of 40, fingerprint f-good, 224 px, index: exact",
        "ties: scores compared as 32-bit floats, ties by descending item id (as trec_eval)",
        "hit@k: a right item among the first k; what CLIP papers call R@k.",
        "mAP@k divides by all relevant items, as trec_eval does.",
        "[a, b]: 95% bootstrap interval, queries of one picture drawn together.",
        "paired randomisation test, Holm; a = good, b = poor.",
    ):
        assert words in text
    (row,) = [line for line in text.splitlines() if line.startswith("hit@1 ")]
    good, poor = row.split("0.950")[1].split("0.100")
    assert ">b" in good
    assert ">" not in poor
    assert "| hit@1 | 0.950 [" in markdown(group)
    first, second = json_objects(group)
    assert first["better_than"]["hit@1"] == ["poor"]
    assert second["better_than"] == {}
    low, high = first["intervals"]["hit@1"]
    assert low < first["figures"]["hit@1"] <= high


def test_warnings_anchors_and_classes_are_shown() -> None:
    one = replace(
        evaluation(38, "good"),
        dataset="flickr30k",
        warnings=("two pictures are odd",),
        anchors=(Anchor("ViT", {"hit@1": 0.588, "AP@10": 0.6}, "a table", 2023),),
        classes=(ClassFigures("tea|pot", 3, 2, 1.0, 2 / 3, 0.8),),
    )
    (group,) = grouped([one], 0, None)
    text = terminal(group)
    assert "note: two pictures are odd" in text
    assert "This is the Karpathy test split of Flickr30k with all its 1000 pictures." in text
    assert "  ViT: hit@1 0.588, mAP@10 0.600 (a table, 2023)" in text
    assert "tea|pot  precision 1.000  recall 0.667  F1 0.800  of 3" in text
    assert "macro f1" in text


def test_other_datasets_stand_in_tables_of_their_own() -> None:
    both = [evaluation(9, "m"), replace(evaluation(9, "m"), direction="image to text")]
    assert len(grouped(both, 0, None)) == 2


def test_means_have_the_names_that_readers_know() -> None:
    names = ["AP", "AP@10", "RR", "nDCG@10", "accuracy", "macro f1"]
    wanted = ["mAP", "mAP@10", "MRR", "nDCG@10", "accuracy", "macro f1"]
    assert [mean_name(name) for name in names] == wanted
