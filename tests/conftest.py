"""What tests of several rooms share: a tiny corpus, and a collection of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image, ImageDraw

settings.register_profile("untimed", deadline=None)  # a busy machine fails no test
settings.load_profile("untimed")

# No test may ask a hub for anything; transformers and huggingface_hub read this on import.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("MMSEARCH_COLLECTION", None)


def draw_disc(path: Path, colour: str) -> None:
    """A disc of `colour` on grey."""
    image = Image.new("RGB", (96, 64), "lightgrey")
    ImageDraw.Draw(image).ellipse((24, 8, 72, 56), fill=colour)
    image.save(path)


def write_corpus(folder: Path) -> Path:
    """Three pictures, one of them with a caption, a text, and a table of two rows."""
    folder.mkdir()
    for colour in ("red", "green", "blue"):
        draw_disc(folder / f"{colour}.png", colour)
    (folder / "red.txt").write_text("a red ball on a grey table\n", encoding="utf-8")
    (folder / "note.txt").write_text("a dog runs on the beach\n", encoding="utf-8")
    (folder / "shop.csv").write_text(
        "text,price\na yellow taxi in the city,12\ntwo people ride bicycles,30\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A fresh folder with the tiny corpus."""
    return write_corpus(tmp_path / "corpus")
