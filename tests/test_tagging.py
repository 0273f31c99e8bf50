"""Zero-shot tags: which labels pictures get, and what is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmsearch
from mmsearch.errors import EncoderMismatchError, FilterError, UsageError
from mmsearch.models.templates import ensemble_of
from mmsearch.tagging import CLIP_TEMPERATURE, Tagging, confidences, tag, temperature_of
from tests.support import COLOURS, ColourEncoder, shop
from tests.test_upsert import picture

ENCODER = ColourEncoder()
LABELS = tuple(COLOURS)


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[mmsearch.Collection]:
    with mmsearch.open(shop(tmp_path), create=True, encoder=ENCODER) as opened:
        opened.index([tmp_path])
        yield opened


def attributes(collection: mmsearch.Collection, name: str = "label") -> dict[str, Any]:
    items, _ = collection.vectors("image")
    return {item.key: item.attributes.get(name) for item in items}


@pytest.mark.parametrize("field", ["key", "text", "group", "path", " path "])
def test_attribute_is_not_called_as_a_field_that_would_hide_it(
    collection: mmsearch.Collection, field: str
) -> None:
    with pytest.raises(UsageError, match=f"^{field.strip()} is a field"):
        tag(collection, Tagging(LABELS, attribute=field), text_encoder=ENCODER)


def test_product_is_tagged_by_its_first_picture_and_the_others_follow(tmp_path: Path) -> None:
    with mmsearch.open(tmp_path, create=True, encoder=ENCODER) as opened:
        opened.upsert([{"key": "card", "images": [picture("white"), picture("red")]}])
        report = tag(opened, Tagging(LABELS), text_encoder=ENCODER)
        assert (report.updated, report.failures) == (1, ())
        assert attributes(opened) == {"card": "white", "card#2": "white"}


def test_labels_may_be_worded_as_suits_the_model(tmp_path: Path) -> None:
    encoder = ColourEncoder(name="mini")
    with mmsearch.open(shop(tmp_path), create=True, encoder=encoder) as opened:
        opened.index([tmp_path])
        before = encoder.encoded_texts
        tag(opened, Tagging(LABELS, templates=("ensemble",)), text_encoder=encoder)
        assert encoder.encoded_texts - before == len(LABELS) * len(ensemble_of("mini"))
        assert attributes(opened)["red.png"] == "red"
        with pytest.raises(UsageError, match="one place for the label"):
            tag(opened, Tagging(LABELS, templates=("ensemble", "a {}")), text_encoder=encoder)


def test_each_picture_gets_its_colour_without_being_opened(
    collection: mmsearch.Collection,
) -> None:
    for colour in COLOURS:
        collection.image_file(f"{colour}.png").unlink()
    report = tag(collection, Tagging(LABELS), text_encoder=ENCODER)
    assert attributes(collection) == {f"{colour}.png": colour for colour in COLOURS}
    assert report.counts == dict.fromkeys(COLOURS, 1)
    assert (report.updated, report.unsure, report.kept, report.failures) == (6, 0, 0, ())


def test_text_alone_is_not_labelled(collection: mmsearch.Collection) -> None:
    tag(collection, Tagging(LABELS), text_encoder=ENCODER)
    texts, _ = collection.vectors("text")
    assert next(item for item in texts if item.key == "note.txt").attributes == {}


def test_dry_run_says_the_same_and_writes_nothing(collection: mmsearch.Collection) -> None:
    foreseen = tag(collection, Tagging(LABELS), text_encoder=ENCODER, dry_run=True)
    assert set(attributes(collection).values()) == {None}
    done = tag(collection, Tagging(LABELS), text_encoder=ENCODER)
    assert (foreseen.tags, foreseen.counts) == (done.tags, done.counts)
    assert foreseen.updated == 0


def test_attribute_that_is_there_stays_unless_it_is_to_be_overwritten(
    collection: mmsearch.Collection,
) -> None:
    collection.update({"red.png": {"label": "mine"}})
    report = tag(collection, Tagging(LABELS), text_encoder=ENCODER)
    assert (report.kept, report.updated) == (1, 5)
    assert attributes(collection)["red.png"] == "mine"
    report = tag(collection, Tagging(LABELS, overwrite=True), text_encoder=ENCODER)
    assert (report.kept, report.updated, report.unchanged) == (0, 1, 5)
    assert attributes(collection)["red.png"] == "red"


def test_unsure_item_gets_no_label_and_loses_an_old_one_only_when_overwriting(
    collection: mmsearch.Collection,
) -> None:
    collection.update({"red.png": {"label": "mine"}})
    unsure = Tagging(("red", "blue"), min_confidence=0.9)
    report = tag(collection, unsure, text_encoder=_Blind())
    assert (report.unsure, report.kept, report.updated) == (5, 1, 0)
    assert attributes(collection)["red.png"] == "mine"
    tag(collection, Tagging(**{**vars(unsure), "overwrite": True}), text_encoder=_Blind())
    assert set(attributes(collection).values()) == {None}


class _Blind(ColourEncoder):
    """All texts are the same to it."""

    def encode_texts(self, texts: Any) -> Any:
        return np.repeat(super().encode_texts(["x"]), len(texts), axis=0)


def test_multi_writes_a_list_of_all_labels_that_are_likely_enough(
    collection: mmsearch.Collection,
) -> None:
    wanted = Tagging(("red", "bright red", "blue"), multi=True, attribute="colours")
    tag(collection, wanted, text_encoder=ENCODER)
    found = attributes(collection, "colours")
    assert found["red.png"] == ["red", "bright red"]
    assert found["blue.png"] == ["blue"]


def test_only_items_that_the_filter_allows_are_labelled(collection: mmsearch.Collection) -> None:
    collection.update({f"{colour}.png": {"price": len(colour)} for colour in COLOURS})
    where = Tagging(LABELS, where="price < 5 and key like 'r%'")
    assert tag(collection, where, text_encoder=ENCODER).updated == 1
    as_json = Tagging(LABELS, where={"field": "price", "op": ">=", "value": 5})
    foreseen = tag(collection, as_json, text_encoder=ENCODER, dry_run=True)
    assert {one.key for one in foreseen.tags} == {
        "green.png",
        "yellow.png",
        "white.png",
        "black.png",
    }
    labelled = {key for key, label in attributes(collection).items() if label}
    assert labelled == {"red.png"}


def test_unknown_attribute_in_the_filter_is_an_error(collection: mmsearch.Collection) -> None:
    with pytest.raises(FilterError, match="prise"):
        tag(collection, Tagging(LABELS, where="prise < 5"), text_encoder=ENCODER)


def test_labels_of_another_encoder_are_refused(collection: mmsearch.Collection) -> None:
    with pytest.raises(EncoderMismatchError, match="c0105"):
        tag(collection, Tagging(LABELS), text_encoder=ColourEncoder("0ther"))


def test_label_is_the_mean_of_its_templates(collection: mmsearch.Collection) -> None:
    labels, templates = ("red", "green", "white"), ("{}", "{} blue")
    wanted = Tagging(labels, templates=templates, min_confidence=0, multi=True)
    report = tag(collection, wanted, text_encoder=ENCODER, dry_run=True)
    items, vectors = collection.vectors("image")
    for item, vector, given_to in zip(items, vectors, report.tags, strict=True):
        logits = []
        for label in labels:
            parts = ENCODER.encode_texts([one.replace("{}", label) for one in templates])
            mean = parts.sum(axis=0) / np.linalg.norm(parts.sum(axis=0))
            logits.append(CLIP_TEMPERATURE * float(mean @ vector))
        powers = np.exp(np.array(logits) - max(logits))
        expected = dict(zip(labels, powers / powers.sum(), strict=True))
        assert given_to.key == item.key
        for label, confidence in zip(given_to.labels, given_to.confidences, strict=True):
            assert confidence == pytest.approx(expected[label], abs=1e-3)
        assert list(given_to.confidences) == sorted(given_to.confidences, reverse=True)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Tagging(()), "none of them empty"),
        (Tagging(("red", " ")), "none of them empty"),
        (Tagging(("red",)), "give another one"),
        (Tagging(("red", "blue", "red")), "'red' is there twice"),
        (Tagging(("red", "blue"), templates=("a photo",)), "'a photo' needs one place"),
        (Tagging(("red", "blue"), templates=("{} {}",)), "needs one place"),
        (Tagging(("red", "blue"), templates=()), "needs one place"),
        (Tagging(("red", "blue"), attribute=" "), "needs a name"),
        (Tagging(("red", "blue"), min_confidence=1.5), r"between 0 and 1, not 1\.5"),
        (Tagging(("red", "blue"), min_confidence=float("nan")), "between 0 and 1"),
        (Tagging(tuple(map(str, range(10_001)))), "10,001 labels"),
    ],
)
def test_request_that_makes_no_sense_says_why(
    collection: mmsearch.Collection, wanted: Tagging, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        tag(collection, wanted, text_encoder=ENCODER)


@given(st.integers(1, 6), st.integers(2, 9), st.floats(1, 1000), st.integers(0, 2**32 - 1))
def test_confidences_are_probabilities_in_the_order_of_the_cosines(
    pictures: int, labels: int, temperature: float, seed: int
) -> None:
    rows = np.random.default_rng(seed).normal(size=(pictures + labels, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    likely = confidences(rows[:pictures], rows[pictures:], temperature)
    assert likely.shape == (pictures, labels)
    np.testing.assert_allclose(likely.sum(axis=1), 1, rtol=1e-5)
    best = (rows[:pictures] @ rows[pictures:].T).argmax(axis=1)
    assert (likely.max(axis=1) == likely[np.arange(pictures), best]).all()


def test_temperature_is_read_from_a_model_that_has_its_folder() -> None:
    bundled = temperature_of("mini")
    assert bundled is not None
    assert 1 < bundled <= CLIP_TEMPERATURE
    assert temperature_of("ViT-B-32/openai") is None
