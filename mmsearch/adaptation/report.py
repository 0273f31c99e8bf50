"""What a training run is asked for, what it gives, and the model card that says both."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mmsearch.adaptation.measure import Measures
from mmsearch.adaptation.split import Rule
from mmsearch.types import Failure

if TYPE_CHECKING:
    from mmsearch.encoders.adapter import ImageInput

Tune = Literal["adapter", "head", "full"]

ROWS = (
    ("text to picture, hit@1", "text_to_image_hit_1"),
    ("text to picture, hit@10", "text_to_image_hit_10"),
    ("text to picture, MRR", "text_to_image_mrr"),
    ("picture to text, hit@1", "image_to_text_hit_1"),
    ("picture to text, hit@10", "image_to_text_hit_10"),
    ("picture to text, MRR", "image_to_text_mrr"),
)
RULES: dict[Rule, str] = {
    "group": "by group: no group and no picture is on both sides",
    "picture and text": "by picture and text: no picture and no text is on both sides",
    "picture": "by picture: no picture is on both sides; texts are, as many pictures share them",
}


@dataclass(frozen=True)
class TrainReport:
    """What one run did. Counts are of distinct pairs; `failures` could not be used.

    `text_geometry_change`: mean absolute change of the cosine between two texts.
    `best_step` 0: no step made the held-out MRR better, and the model equals its base.
    """

    out: Path
    base: str
    base_fingerprint: str
    fingerprint: str
    tune: Tune
    features: ImageInput | None
    train_pairs: int
    held_out_pairs: int
    pictures: int
    texts: int
    merged: int
    rule: Rule
    before: Measures
    after: Measures
    text_geometry_change: float
    steps: int
    best_step: int
    stopped_early: bool
    seconds: float
    failures: tuple[Failure, ...]
    recipe: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "out": str(self.out)}


def table(report: TrainReport) -> list[tuple[str, float, float]]:
    """(measure, before, after) of each row of the before/after table."""
    return [
        (title, getattr(report.before, name), getattr(report.after, name)) for title, name in ROWS
    ]


def model_card(report: TrainReport, version: str) -> str:
    """MODEL_CARD.md: what it is, what it was trained and measured on, and what it is not for."""
    lines = [
        f"# {report.out.name}",
        "",
        f"`{report.base}` fitted to pairs of pictures and texts with `mmsearch train` {version} "
        f"({_method(report)}). Use it as any model: "
        f"`mmsearch index PATH --model {report.out.name}`.",
        "",
        "## Measured on held-out pairs",
        "",
        f"{report.held_out_pairs} pairs ({report.before.pictures} pictures, {report.before.texts} "
        f"texts), cut {RULES[report.rule]}. hit@k is the share of queries with a right answer "
        "among the first k of the held-out pictures or texts, MRR the mean of 1 / rank. "
        + _chosen(report),
        "",
        "| | before | after |",
        "|---|---|---|",
        *(f"| {title} | {before:.3f} | {after:.3f} |" for title, before, after in table(report)),
        "",
        f"The cosine between two of the texts changed by {report.text_geometry_change:.3f} on "
        "average: the more it did, the less the model is what its base was on everything else.",
        "",
        "![loss and held-out MRR by step](curve.png)",
        "",
        "## Training",
        "",
        f"{report.train_pairs} pairs; {report.pictures} pictures and {report.texts} texts in all; "
        f"{report.merged} repeated others, {len(report.failures)} could not be used. "
        f"{report.steps} steps in {report.seconds:.0f} s, the best after step {report.best_step}.",
        "",
        *(f"- {name}: {value}" for name, value in report.recipe.items()),
        f"- base: `{report.base}`, fingerprint {report.base_fingerprint}",
        f"- fingerprint of this model: {report.fingerprint}",
        "",
        "## Limits",
        "",
        "It is better on what its pairs show, and can be worse on anything else; measure it there "
        "before you rely on it. The terms of the base model and of the pictures and texts apply.",
        "",
    ]
    return "\n".join(lines)


def _chosen(report: TrainReport) -> str:
    if not report.recipe["early_stop"]:
        return "The last step was kept, whatever these pairs said."
    return (
        "The step that was kept was chosen on these same pairs, so the figures lean a little to "
        "the good side."
    )


def _method(report: TrainReport) -> str:
    if report.tune != "adapter":
        parts = "the last projections" if report.tune == "head" else "all weights"
        return f"{parts}, end to end"
    read = "the features below the last projection" if report.features == "pooled" else "embeddings"
    return f"an adapter on the frozen model: it reads {read}"
