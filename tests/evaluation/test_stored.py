"""A collection judges itself by its own captions, from the vectors that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import mmsearch
from mmsearch.errors import UsageError
from mmsearch.evaluation.stored import index_queries, measure_collection
from tests.support import COLOURS, ColourEncoder, paint


@pytest.fixture
def captioned(tmp_path: Path) -> Iterator[mmsearch.Collection]:
    """Six pictures, each with its colour as words, and a lone text."""
    for colour in COLOURS:
        paint(tmp_path / "photos" / f"{colour}.png", colour)
        (tmp_path / "photos" / f"{colour}.txt").write_text(f"a {colour} square")
    (tmp_path / "photos" / "note.txt").write_text("nothing of that kind")
    with mmsearch.open(tmp_path / ".mmsearch", create=True, encoder=ColourEncoder()) as opened:
        opened.index([tmp_path / "photos"])
        yield opened


@pytest.mark.parametrize("sample", [None, 2])
def test_each_query_is_asked_with_its_own_vector(
    captioned: mmsearch.Collection, sample: int | None
) -> None:
    to_image, to_text = measure_collection(captioned, sample=sample)
    assert (len(to_image.task.items), len(to_text.task.items)) == (6, 7)
    for one, asked in ((to_image, "text"), (to_text, "image")):
        assert len(one.task.queries) == sample or sample is None
        assert one.evaluation.figure("hit@1") == 1
        items, vectors = captioned.vectors("image" if asked == "image" else "text")
        rows = [[item.key for item in items].index(query) for query in one.task.queries]
        np.testing.assert_array_equal(one.query_vectors, vectors[rows])


def test_collection_without_captions_says_so_before_a_vector_is_read(tmp_path: Path) -> None:
    paint(tmp_path / "photos" / "red.png", "red")
    (tmp_path / "photos" / "note.txt").write_text("something green")
    path = tmp_path / ".mmsearch"
    with mmsearch.open(path, create=True, encoder=ColourEncoder()) as opened:
        opened.index([tmp_path / "photos"])
    (vectors,) = (path / "vectors").iterdir()
    vectors.write_bytes(b"")
    with (
        mmsearch.open(path) as again,
        pytest.raises(UsageError, match="no item has both a picture and a text"),
    ):
        measure_collection(again)


def test_collection_has_two_directions(captioned: mmsearch.Collection) -> None:
    with pytest.raises(UsageError, match="from text to image or back: image-to-image"):
        measure_collection(captioned, ["image-to-image"])


def test_indexes_are_asked_in_words_where_there_are_any(captioned: mmsearch.Collection) -> None:
    pictures, texts = captioned.vectors("image")[1], captioned.vectors("text")[1]
    gallery, asked, kind = index_queries(captioned, 100)
    np.testing.assert_array_equal(gallery, pictures)
    np.testing.assert_array_equal(asked, texts)
    assert kind == "texts"
    few = index_queries(captioned, 3)[1]
    assert len(few) == 3
    assert all((row == texts).all(axis=1).any() for row in few)
    captioned.remove([item.key for item in captioned.vectors("image")[0]])
    gallery, asked, kind = index_queries(captioned, 100)
    assert (gallery.shape, asked.shape, kind) == ((1, 16), (1, 16), "texts")


def test_indexes_are_asked_with_pictures_where_there_are_no_words(tmp_path: Path) -> None:
    for colour in COLOURS:
        paint(tmp_path / "photos" / f"{colour}.png", colour)
    with mmsearch.open(tmp_path / ".mmsearch", create=True, encoder=ColourEncoder()) as opened:
        opened.index([tmp_path / "photos"])
        gallery, asked, kind = index_queries(opened, 4)
    assert (len(gallery), len(asked), kind) == (6, 4, "pictures")
