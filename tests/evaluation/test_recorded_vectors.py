"""CLIP's own vectors of 100 pictures and 500 captions of Flickr8k, judged twice."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mmsearch.evaluation.evaluate import evaluate_embeddings
from mmsearch.evaluation.task import Subject, Task

DATA = Path(__file__).parents[3] / "shared" / "data" / "clip_vitb32_flickr8k"


@pytest.mark.skipif(not DATA.is_dir(), reason="the recorded CLIP vectors are not here (optional)")
def test_report_on_recorded_clip_vectors_equals_ten_lines_of_numpy() -> None:
    with (DATA / "metadata.csv").open(encoding="utf-8", newline="") as file:
        owner = [row["image_id"] for row in csv.DictReader(file)]
    texts = np.load(DATA / "text_embeddings.npy")
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    names, rows = np.unique(owner, return_index=True)
    images = np.load(DATA / "image_embeddings.npy")[rows]
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    own = np.searchsorted(names, owner)  # (500,) row of each caption's picture
    assert (len(images), len(texts)) == (100, 500)

    # ---- the independent computation: no tie is there, so that sorting is enough
    scores = texts @ images.T
    assert len(np.unique(scores[0])) == 100
    to_image = 1 + (scores > scores[np.arange(500), own][:, None]).sum(axis=1)
    ranks = [
        np.sort(1 + (row > row[own == i][:, None]).sum(axis=1)) for i, row in enumerate(scores.T)
    ]
    first = np.array([one[0] for one in ranks])
    wanted = {
        "text to image": {f"hit@{k}": (to_image <= k).mean() for k in (1, 5, 10)}
        | {"RR": (1 / to_image).mean(), "median rank": np.median(to_image)}
        | {"nDCG@10": np.where(to_image <= 10, 1 / np.log2(to_image + 1), 0).mean()},
        "image to text": {f"hit@{k}": (first <= k).mean() for k in (1, 5, 10)}
        | {f"recall@{k}": np.mean([(one <= k).sum() / 5 for one in ranks]) for k in (1, 5, 10)}
        | {"AP": np.mean([(np.arange(1, 6) / one).mean() for one in ranks])}
        | {"R-precision": np.mean([(one <= 5).sum() / 5 for one in ranks])},
    }

    captions = tuple(f"c{n:03}" for n in range(500))
    pictures = tuple(names.tolist())
    subject = Subject("clip-vit-base-patch32", "recorded")
    forth = {caption: {name: 1} for caption, name in zip(captions, owner, strict=True)}
    back: dict[str, dict[str, int]] = {name: {} for name in pictures}
    for caption, name in zip(captions, owner, strict=True):
        back[name][caption] = 1
    task = Task("flickr8k", None, "text to image", captions, pictures, forth)
    got = {task.direction: evaluate_embeddings(task, texts, images, subject)}
    task = Task("flickr8k", None, "image to text", pictures, captions, back)
    got[task.direction] = evaluate_embeddings(task, images, texts, subject)
    for direction, figures in wanted.items():
        for name, value in figures.items():
            assert got[direction].figure(name) == pytest.approx(value, abs=1e-12), name
