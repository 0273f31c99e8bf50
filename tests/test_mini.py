"""The bundled model on the sample pictures: what a new user sees in the first minute."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mmsearch
from mmsearch.ingest import embed
from mmsearch.types import Encoder

SAMPLE = Path(__file__).parent.parent / "sample_data"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mmsearch.Collection]:
    with mmsearch.open(tmp_path_factory.mktemp("shop") / "c", create=True) as collection:
        report = collection.index([SAMPLE])
        assert (report.added, report.failures) == (160, ())
        yield collection


@pytest.fixture(scope="module")
def captions() -> dict[str, str]:
    loaded: dict[str, str] = json.loads((SAMPLE / "captions.json").read_text(encoding="utf-8"))
    return loaded


def test_red_car_finds_a_red_car_first(shop: mmsearch.Collection) -> None:
    best = shop.search("red car", k=1)[0]
    assert best.attributes["colour"] == "red"
    assert best.group == "car"


def test_captions_find_their_pictures(shop: mmsearch.Collection, captions: dict[str, str]) -> None:
    answers = shop.search_many(list(captions.values()), to="image", k=1)
    right = [
        hits[0].path is not None and hits[0].path.endswith(image)
        for image, hits in zip(captions, answers, strict=True)
    ]
    assert sum(right) / len(right) >= 0.8


def test_a_picture_finds_its_caption_among_the_first_three(
    shop: mmsearch.Collection, captions: dict[str, str]
) -> None:
    image = "photos/red-car-wooden-table.jpg"
    hits = shop.search(SAMPLE / image, to="text", k=3)
    assert captions[image] in [hit.text for hit in hits]


def test_a_few_texts_more_are_encoded_without_torch(shop: mmsearch.Collection) -> None:
    code = """
import sys, mmsearch
with mmsearch.open(sys.argv[1]) as collection:
    assert collection.upsert([{"key": "note", "text": "a lilac umbrella"}]).added == 1
    assert collection.search("a lilac umbrella", to="text", k=1)[0].key == "note"
    assert "torch" not in sys.modules, "a text took torch"
    assert collection.remove(["note"]) == 1
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(shop.path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_first_run_of_a_few_texts_takes_no_torch(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("key,text\n1,a red car\n2,a lilac umbrella\n")
    code = """
import sys, mmsearch
with mmsearch.open("c", create=True) as collection:
    assert collection.index(["notes.csv"]).encoded_texts == 2
    assert collection.search("umbrella", to="text", mode="vector", k=1)[0].key == "2"
    assert "torch" not in sys.modules, "texts took torch"
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with mmsearch.open(tmp_path / "c") as collection:
        assert collection.index([SAMPLE / "photos/red-car-wooden-table.jpg"]).added == 1
        best = collection.search("a red car", to="image", mode="vector", k=1)
        assert len(best) == 1
        assert collection.status().model == "mini"
        assert collection.check().problems == ()


def test_many_texts_take_the_whole_encoder(
    shop: mmsearch.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "FEW_TEXTS", 2)
    loaded: list[str] = []
    load = shop._encoders.load

    def noted(name: str, *rest: Any) -> Encoder:
        loaded.append(name)
        return load(name, *rest)

    monkeypatch.setattr(shop._encoders, "load", noted)
    shop.upsert([{"key": f"note {number}", "text": f"note {number}"} for number in range(3)])
    assert loaded == ["mini"]
    shop.remove([f"note {number}" for number in range(3)])
