"""One product, several pictures: found by each of them, and one product in all else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mmsearch
from mmsearch.tables.sources import rows_to_sources
from mmsearch.types import Failure, Source
from tests.support import ColourEncoder, paint
from tests.test_upsert import picture

CARD_ATTRIBUTES = {"price": 5, "brand": "Acme"}
CARD = {"key": "card", "title": "white card", **CARD_ATTRIBUTES}


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[mmsearch.Collection]:
    with mmsearch.open(tmp_path / ".mmsearch", create=True, encoder=ColourEncoder()) as opened:
        yield opened


def live(collection: mmsearch.Collection) -> set[str]:
    return {item.key for item in collection._catalog.stored() if item.live}


def best(collection: mmsearch.Collection, colour: str, **options: Any) -> mmsearch.Hit:
    return collection.search(colour, to="image", mode="vector", k=1, **options)[0]


def test_product_is_found_by_each_of_its_pictures_and_shown_once(
    collection: mmsearch.Collection,
) -> None:
    pictures = [picture(colour) for colour in ("white", "red", "blue")]
    report = collection.upsert(
        [{**CARD, "images": pictures}, {"key": "leaf", "image": picture("green")}]
    )
    assert (report.added, report.encoded_images, report.encoded_texts) == (4, 4, 1)
    hit = best(collection, "red")
    assert (hit.key, hit.group, hit.text, hit.attributes) == (
        "card#2",
        "card",
        "white card",
        {"price": 5, "brand": "Acme"},
    )
    everything = collection.search("blue", to="image", mode="vector", group=True, k=9)
    assert [hit.key for hit in everything] == ["card#3", "leaf"]
    assert collection.image_file("card#3").read_bytes() == pictures[2]


def test_words_and_texts_find_a_product_once(collection: mmsearch.Collection) -> None:
    collection.upsert([{**CARD, "images": [picture("white"), picture("red")]}])
    words = collection.search("white card", mode="lexical")
    texts = collection.search("white card", to="text", mode="vector")
    assert [hit.key for hit in words] == [hit.key for hit in texts] == ["card"]
    assert [hit.key for hit in collection.search("acme", mode="lexical")] == ["card"]
    assert {hit.key for hit in collection.search("red", to="image", where="price = 5")} == {
        "card",
        "card#2",
    }


def test_further_pictures_are_not_counted_as_products(collection: mmsearch.Collection) -> None:
    pictures = [picture(colour) for colour in ("white", "red", "blue")]
    collection.upsert([{**CARD, "images": pictures}])
    status = collection.status()
    assert (status.items, status.images, status.texts, status.further_pictures) == (1, 1, 1, 2)
    defaults = collection.defaults()
    assert defaults is not None
    assert (defaults.to, defaults.mode) == ("both", "hybrid")


def test_upsert_replaces_the_set_of_pictures(collection: mmsearch.Collection) -> None:
    collection.upsert([{**CARD, "images": [picture("white"), picture("red"), picture("blue")]}])
    assert live(collection) == {"card", "card#2", "card#3"}
    collection.upsert([{**CARD, "images": [picture("white"), picture("green")]}])
    assert live(collection) == {"card", "card#2"}
    assert best(collection, "green").key == "card#2"
    kept = {path.read_bytes() for path in (collection.path / "pictures").iterdir()}
    assert kept == {picture("white"), picture("green")}
    collection.upsert([{**CARD, "image": picture("white")}])
    assert live(collection) == {"card"}
    assert collection.status().further_pictures == 0


def test_row_that_fails_leaves_its_pictures_alone(collection: mmsearch.Collection) -> None:
    collection.upsert([{**CARD, "images": [picture("white"), picture("red")]}])
    report = collection.upsert([{**CARD, "images": [b"no picture"]}])
    assert [failure.key for failure in report.failures] == ["card"]
    report = collection.upsert([{**CARD, "images": [picture("white"), "nowhere.png"]}])
    assert [failure.key for failure in report.failures] == ["card#2"]
    assert live(collection) == {"card", "card#2"}


def test_row_whose_first_picture_is_damaged_leaves_its_item_as_it_was(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    collection.upsert([{**CARD, "images": [picture("white"), picture("red")]}])
    (tmp_path / "blue.png").write_bytes(picture("blue"))
    report = collection.upsert(
        [{"key": "card", "title": "blue hat", "images": ["bad.png", "blue.png"]}]
    )
    assert [failure.key for failure in report.failures] == ["card"]
    hit = best(collection, "red")
    assert (hit.key, hit.text, hit.attributes) == ("card#2", "white card", CARD_ATTRIBUTES)


def test_row_that_repeats_a_key_does_not_keep_pictures_of_its_item(
    collection: mmsearch.Collection,
) -> None:
    collection.upsert([{**CARD, "images": [picture("white"), picture("red"), picture("blue")]}])
    report = collection.upsert([{**CARD, "image": picture("white")}, {"key": "card", "text": "x"}])
    assert [failure.key for failure in report.failures] == ["card"]
    assert live(collection) == {"card"}


def test_further_pictures_wait_for_the_first(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    table = tmp_path / "products.csv"
    table.write_text("key,title,images\ncard,white card,white.png|red.png\n")
    for colour in ("white", "red"):
        paint(tmp_path / f"{colour}.png", colour)
    collection.index([table])
    (tmp_path / "white.png").write_bytes(b"no picture")
    collection.index([table])
    paint(tmp_path / "white.png", "white", size=30)

    def interrupt(progress: mmsearch.Progress) -> None:
        if progress.step == "encoded":
            assert live(collection) == set()

    assert collection.index([table], on_progress=interrupt).failures == ()
    assert live(collection) == {"card", "card#2"}


def test_further_pictures_come_and_go_with_the_first(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    table = tmp_path / "products.csv"
    table.write_text("key,title,images\ncard,white card,white.png|red.png\n")
    (tmp_path / "white.png").write_bytes(b"no picture")
    paint(tmp_path / "red.png", "red")
    for _ in range(2):
        assert [failure.key for failure in collection.index([table]).failures] == ["card"]
        assert live(collection) == set()
    paint(tmp_path / "white.png", "white")
    assert collection.index([table]).failures == ()
    assert live(collection) == {"card", "card#2"}
    (tmp_path / "white.png").write_bytes(b"no picture again")
    for _ in range(2):
        collection.index([table])
        assert live(collection) == set()
    paint(tmp_path / "white.png", "white", size=30)
    collection.index([table])
    assert live(collection) == {"card", "card#2"}


def test_pictures_of_a_row_whose_key_is_taken_are_not_those_of_the_other(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    for colour in ("white", "red", "blue"):
        paint(tmp_path / f"{colour}.png", colour)
    (tmp_path / "1.csv").write_text("key,title,image\ncard,white card,white.png\n")
    (tmp_path / "2.csv").write_text("key,title,images\ncard,red card,red.png|blue.png\n")
    report = collection.index([tmp_path / "1.csv", tmp_path / "2.csv"])
    assert [failure.key for failure in report.failures] == ["2.csv"]
    assert live(collection) == {"card"}


def test_update_and_remove_reach_every_picture(collection: mmsearch.Collection) -> None:
    collection.upsert([{**CARD, "images": [picture("white"), picture("red")]}])
    report = collection.update({"card": {"price": 7, "new": True}})
    assert (report.updated, report.failures) == (1, ())
    assert best(collection, "red").attributes == {"price": 7, "brand": "Acme", "new": True}
    assert collection.update({"card": {"price": 7}}).unchanged == 1
    (failure,) = collection.update({"card#2": {"price": 8}}).failures
    assert "further picture of 'card': update that one" in failure.reason
    assert collection.remove(["card"]) == 1
    assert live(collection) == set()
    assert list((collection.path / "pictures").iterdir()) == []


def test_pictures_of_a_row_follow_its_table(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    for colour in ("white", "red", "blue"):
        paint(tmp_path / "pics" / f"{colour}.png", colour)
    table = tmp_path / "products.csv"
    head = "key,title,group,image\n"
    table.write_text(f"{head}card,white card,g,pics/white.png|pics/red.png| pics/blue.png\n")
    collection.index([tmp_path])
    assert live(collection) == {"card", "card#2", "card#3"}
    assert (best(collection, "red").key, best(collection, "red").group) == ("card#2", "g")
    assert collection.index([tmp_path]).unchanged == 3
    table.write_text(f"{head}card,white card,g,pics/white.png|pics/blue.png\n")
    report = collection.index([table])
    assert (report.missing, report.encoded_images) == (1, 0)
    assert best(collection, "blue").key == "card#2"


def found(tmp_path: Path, name: str, text: str) -> list[tuple[str, str | None]]:
    table = tmp_path / name
    table.write_text(text)
    return [
        (one.key, one.path.name if one.path else None)
        for one in rows_to_sources(table, name)
        if isinstance(one, Source)
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "key,images\na,1.png|2.png|3.png\n"),
        ("t.csv", "key,image,images\na,1.png,2.png|3.png|1.png\n"),
        ("t.csv", "key,image,image3,Image 2\na,1.png,3.png,2.png\n"),
        ("t.jsonl", '{"key": "a", "images": ["1.png", "2.png", "3.png"]}\n'),
        ("t.jsonl", '{"key": "a", "image": ["1.png", null, "", "2.png"], "image2": "3.png"}\n'),
    ],
)
def test_several_pictures_are_named_in_any_of_these_ways(
    tmp_path: Path, name: str, text: str
) -> None:
    for number in (1, 2, 3):
        paint(tmp_path / f"{number}.png", "red")
    assert found(tmp_path, name, text) == [("a", "1.png"), ("a#2", "2.png"), ("a#3", "3.png")]


def test_file_with_a_bar_in_its_name_is_one_picture(tmp_path: Path) -> None:
    paint(tmp_path / "a|b.png", "red")
    assert found(tmp_path, "t.csv", "key,image\na,a|b.png\n") == [("a", "a|b.png")]


def test_key_of_a_further_picture_may_not_be_taken(tmp_path: Path) -> None:
    for number in (1, 2):
        paint(tmp_path / f"{number}.png", "red")
    (tmp_path / "t.csv").write_text("key,image\na#2,1.png\na,1.png|2.png\n")
    failures = [
        one for one in rows_to_sources(tmp_path / "t.csv", "t.csv") if isinstance(one, Failure)
    ]
    assert [failure.reason for failure in failures] == [
        "row 2: the key 'a#2' was already used by row 1; give it another key"
    ]
