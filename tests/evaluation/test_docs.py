"""docs/evaluation.md says what the program does, and quotes what it quotes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmsearch.cli.app import app
from mmsearch.evaluation import anchors
from mmsearch.evaluation.dataset import Dataset, Entry
from mmsearch.evaluation.measures import DEFINITIONS
from mmsearch.evaluation.tasks import DIRECTIONS

DOCS = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DEFINITIONS)
def test_every_measure_is_defined_in_the_docs_as_in_the_code(name: str) -> None:
    one = DEFINITIONS[name]
    for part in (one.formula, one.convention, one.source):
        assert part.replace("|", "\\|") in DOCS


def test_every_option_and_direction_is_in_the_docs() -> None:
    help_text = CliRunner().invoke(app, ["evaluate", "--help"], env={"COLUMNS": "200"}).stdout
    options = set(re.findall(r"^\s+(--[a-z-]+)", help_text, re.MULTILINE))
    everywhere = {"--help", "--collection", "--device", "--batch-size", "--workers"}
    assert "--relevance" in options
    assert {name for name in options - everywhere if name not in DOCS} == set()
    assert [name for name in DIRECTIONS[2:] if name not in DOCS] == []


def test_published_figures_are_the_same_in_docs_and_code() -> None:
    for model in (anchors.CLIP, anchors.LAION):
        for name in anchors.TEST_PICTURES:
            cells = [
                " / ".join(f"{v:.1f}" for v in anchors.HITS[model, name, way])
                for way in (anchors.TO_IMAGE, anchors.TO_TEXT)
            ]
            assert f"| {model} | {name} | {cells[0]} | {cells[1]} |" in DOCS
    for name in anchors.TEST_PICTURES:
        both = [f"{anchors.MEAN_AP[name, w]:.1f}" for w in (anchors.TO_IMAGE, anchors.TO_TEXT)]
        assert f"| {name} | {both[0]} | {both[1]} |" in DOCS


def published(pictures: int, split: str = "test", name: str = "flickr30k") -> Dataset:
    entries = tuple(Entry(f"{n}.jpg", f"{n}.jpg", ("words",)) for n in range(pictures))
    return Dataset(name, "Karpathy split", split, entries)


def test_published_figures_stand_only_beside_their_own_set_and_split() -> None:
    found = anchors.anchors_of(published(1000), "text to image")
    assert [(one.model, one.year) for one in found] == [
        (anchors.CLIP, 2023),
        (anchors.LAION, 2023),
        (anchors.CLIP, 2025),
    ]
    assert dict(found[0].figures) == {"hit@1": 0.588, "hit@5": 0.836, "hit@10": 0.9}
    assert dict(found[2].figures) == {"AP@10": 0.687}
    for other in (published(999), published(1000, "val"), published(1000, name="mine")):
        assert anchors.anchors_of(other, "text to image") == ()
    assert anchors.anchors_of(published(1000), "image to image") == ()
