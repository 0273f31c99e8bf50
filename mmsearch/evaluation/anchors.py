"""Published figures, shown beside one's own when set, split and direction are the same.

`docs/evaluation.md` quotes the same ones; a test keeps the two together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmsearch.evaluation.result import Anchor

if TYPE_CHECKING:
    from mmsearch.evaluation.dataset import Dataset
    from mmsearch.evaluation.result import Evaluation

CLIP, LAION = "ViT-B-32/openai", "ViT-B-32/laion2b_s34b_b79k"
OPEN_CLIP = "mlfoundations/open_clip, docs/openclip_retrieval_results.csv"
MIEB = "MTEB, Massive Image Embedding Benchmark (arXiv 2504.10471), mAP@10"
FLICKR30K, COCO = "Flickr30k", "COCO"
# Pictures in the test split of Karpathy and Fei-Fei (CVPR 2015), which all of them use.
TEST_PICTURES = {FLICKR30K: 1000, COCO: 5000}
TO_IMAGE, TO_TEXT = "text to image", "image to text"

# (model, set, direction) -> hit@1, hit@5, hit@10 in per cent; the source calls it recall@k.
HITS = {
    (CLIP, FLICKR30K, TO_IMAGE): (58.8, 83.6, 90.0),
    (CLIP, FLICKR30K, TO_TEXT): (78.9, 94.9, 98.2),
    (CLIP, COCO, TO_IMAGE): (30.4, 55.9, 66.9),
    (CLIP, COCO, TO_TEXT): (50.1, 75.0, 83.5),
    (LAION, FLICKR30K, TO_IMAGE): (66.8, 88.4, 93.1),
    (LAION, FLICKR30K, TO_TEXT): (84.1, 96.2, 98.3),
    (LAION, COCO, TO_IMAGE): (39.3, 65.4, 75.6),
    (LAION, COCO, TO_TEXT): (56.3, 79.8, 87.1),
}
# (set, direction) -> mAP@10 in per cent, of CLIP.
MEAN_AP = {
    (FLICKR30K, TO_IMAGE): 68.7,
    (FLICKR30K, TO_TEXT): 60.1,
    (COCO, TO_IMAGE): 41.5,
    (COCO, TO_TEXT): 33.0,
}


def published_set(dataset: Dataset) -> str | None:
    """The published set whose Karpathy test split this is, or None."""
    if dataset.kind != "Karpathy split" or dataset.split != "test":
        return None
    pictures = len(dataset.entries)
    for name, size in TEST_PICTURES.items():
        if name.lower() in dataset.name.lower() and pictures == size:
            return name
    return None


def published_name(evaluation: Evaluation) -> str:
    """Which published set an evaluation with anchors was made on, in words."""
    name = next(n for n in TEST_PICTURES if n.lower() in evaluation.dataset.lower())
    return f"the Karpathy test split of {name} with all its {TEST_PICTURES[name]} pictures"


def anchors_of(dataset: Dataset, direction: str) -> tuple[Anchor, ...]:
    """What was published for this very set, split and direction; usually nothing."""
    name = published_set(dataset)
    if name is None:
        return ()
    anchors = [
        Anchor(
            model,
            dict(zip(("hit@1", "hit@5", "hit@10"), _unit(hits), strict=True)),
            OPEN_CLIP,
            2023,
        )
        for (model, at, way), hits in HITS.items()
        if (at, way) == (name, direction)
    ]
    if (name, direction) in MEAN_AP:
        (value,) = _unit((MEAN_AP[name, direction],))
        anchors.append(Anchor(CLIP, {"AP@10": value}, MIEB, 2025))
    return tuple(anchors)


def _unit(percentages: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(value / 100, 6) for value in percentages)
