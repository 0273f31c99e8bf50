"""Items from Python: upsert of whole ones, update of attributes alone."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mmsearch
from tests.support import COLOURS, ColourEncoder, paint, shop


@pytest.fixture
def encoder() -> ColourEncoder:
    return ColourEncoder()


@pytest.fixture
def collection(tmp_path: Path, encoder: ColourEncoder) -> Iterator[mmsearch.Collection]:
    with mmsearch.open(tmp_path / ".mmsearch", create=True, encoder=encoder) as opened:
        yield opened


def picture(colour: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (20, 20), COLOURS[colour]).save(data, "PNG")
    return data.getvalue()


def attributes(collection: mmsearch.Collection, key: str) -> dict[str, Any]:
    item = collection._catalog.item(key)
    assert item is not None
    return dict(item.attributes)


def test_items_come_in_with_all_their_parts(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    paint(tmp_path / "red.png", "red")
    report = collection.upsert(
        [
            {"key": "a", "title": "red thing", "image": "red.png", "attributes": {"price": 5}},
            {"key": "b", "image": picture("blue"), "group": "g", "stock": 3},
            {"key": "c", "text": "a green thing", "since": datetime.date(2026, 1, 2)},
            {"key": 7, "image": tmp_path / "red.png"},
        ]
    )
    assert (report.added, report.failures) == (4, ())
    (red, _) = collection.search("red", k=2)
    assert (red.key, red.text, red.attributes) == ("a", "red thing", {"price": 5})
    (blue,) = collection.search("blue", k=1)
    assert (blue.key, blue.group, blue.attributes) == ("b", "g", {"stock": 3})
    assert collection.image_file("b").read_bytes() == picture("blue")
    assert attributes(collection, "c") == {"since": "2026-01-02"}
    assert collection.search(mmsearch.Query((mmsearch.Term(item="7"),)), k=1) != []


def test_only_what_changed_is_encoded(
    collection: mmsearch.Collection, encoder: ColourEncoder
) -> None:
    rows = [{"key": c, "image": picture(c), "text": f"{c} one", "price": 1} for c in COLOURS]
    collection.upsert(rows)
    report = collection.upsert(rows)
    assert (report.unchanged, report.encoded_images, report.encoded_texts) == (6, 0, 0)
    rows[0] = {**rows[0], "price": 2}
    rows[1] = {**rows[1], "text": "another green"}
    rows[2] = {**rows[2], "image": picture("white")}  # known from another item
    report = collection.upsert(iter(rows))
    assert (report.changed, report.unchanged) == (3, 3)
    assert (report.encoded_images, report.encoded_texts) == (0, 1)
    assert (encoder.encoded_images, encoder.encoded_texts) == (6, 7)


def test_row_that_fails_leaves_its_item_and_the_others_alone(
    collection: mmsearch.Collection,
) -> None:
    collection.upsert([{"key": "a", "image": picture("red"), "price": 1}])
    report = collection.upsert(
        [
            {"key": "a", "image": b"no picture", "price": 2},
            {"title": "without a key"},
            {"key": "b"},
            {"key": "c", "image": "nowhere.png"},
            {"key": "d", "image": 5},
            {"key": "e", "text": "once"},
            {"key": "e", "text": "twice"},
            {"key": "f", "text": "x", "attributes": [1]},
            {"key": "g", "text": "x", "price": 1, "attributes": {"price": 2}},
            {"key": "h", "text": "half \ud800"},
            {"key": "i", "image": b""},
        ]
    )
    reasons = {failure.key: failure.reason for failure in report.failures}
    assert set(reasons) == {"a", "row 2", "b", "c", "d", "e", "f", "g", "h", "i"}
    assert "not a picture" in reasons["a"]
    assert "no key" in reasons["row 2"]
    assert "neither text nor picture" in reasons["b"]
    assert "'nowhere.png'" in reasons["c"]
    assert "already used by row 6" in reasons["e"]
    assert "stands both" in reasons["g"]
    assert "lone surrogate" in reasons["h"]
    assert report.added == 1
    (hit,) = collection.search("red", to="image", k=5)
    assert (hit.key, hit.attributes) == ("a", {"price": 1})
    assert collection.status().failures == 0  # nothing to remember: the caller was told


def test_numbers_of_numpy_are_numbers(collection: mmsearch.Collection) -> None:
    row = {
        "key": np.int64(7),
        "text": "red thing",
        "price": np.int64(49),
        "sale": np.bool_(True),
        "weight": np.float32("nan"),
        "attributes": {"sizes": np.array([38, 39])},
    }
    assert collection.upsert([row]).failures == ()
    expected = {"price": 49, "sale": True, "weight": None, "sizes": [38, 39]}
    assert attributes(collection, "7") == expected
    (hit,) = collection.search("red", where="price < 50 and sale = true")
    assert hit.key == "7"
    assert collection.upsert([row]).unchanged == 1


def test_updates_take_numbers_of_numpy(collection: mmsearch.Collection) -> None:
    collection.upsert([{"key": "a", "text": "x"}])
    new = {"price": np.int64(3), "sizes": [np.int64(1), np.array([2])], "sale": np.bool_(True)}
    assert collection.update({"a": new}).failures == ()
    assert attributes(collection, "a") == {"price": 3, "sizes": [1, [2]], "sale": True}
    assert collection.update({"a": new}).unchanged == 1


def test_an_array_names_pictures_as_a_list_does(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    paint(tmp_path / "red.png", "red")
    names = np.array(["red.png", str(tmp_path / "blue.png")])
    contents = np.array([picture("green"), paint(tmp_path / "blue.png", "blue")], dtype=object)
    report = collection.upsert(
        [
            {"key": "a", "images": names},
            {"key": "b", "images": contents},
            {"key": "c", "image": np.zeros((4, 4, 3), np.uint8)},
            {"key": "d", "text": "words", "images": np.array([])},
        ]
    )
    assert [failure.key for failure in report.failures] == ["c"]
    assert "must be a file's path" in report.failures[0].reason
    keys = {hit.key for hit in collection.search("red", to="image", k=9)}
    assert keys == {"a", "a#2", "b", "b#2"}
    assert attributes(collection, "d") == {}


def test_failures_are_named_as_their_items_are(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    for colour in ("red", "blue"):
        paint(tmp_path / f"{colour}.png", colour)
    collection.upsert([{"key": 1.0, "images": ["red.png", "blue.png"]}])
    report = collection.upsert([{"key": 1.0, "images": ["red.png", "gone.png"]}])
    assert [failure.key for failure in report.failures] == ["1#2"]
    assert report.unchanged == 1
    keys = {hit.key for hit in collection.search("red", to="image", k=9)}
    assert keys == {"1", "1#2"}  # the second stays until its picture can be read
    report = collection.upsert([{"key": " e\u0301 "}, {"key": "\0", "text": "nothing"}])
    assert [failure.key for failure in report.failures] == ["\u00e9", "row 2"]


def test_kept_pictures_go_with_the_last_item_that_shows_them(
    collection: mmsearch.Collection,
) -> None:
    rows = [{"key": key, "image": picture("red")} for key in ("a", "b")]
    collection.upsert([*rows, {"key": "bad", "image": b"no picture"}])
    kept = collection.path / "pictures"
    assert len(list(kept.iterdir())) == 1
    assert collection.status().pictures_bytes == len(picture("red"))
    collection.upsert([{"key": "a", "image": picture("blue")}])
    assert len(list(kept.iterdir())) == 2
    collection.remove(["b"])
    assert [path.read_bytes() for path in kept.iterdir()] == [picture("blue")]
    collection.remove(["a"])
    assert list(kept.iterdir()) == []


def test_no_folder_misses_an_item_that_was_handed_over(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    collection.upsert([{"key": "a", "image": picture("red")}, {"key": "b", "text": "words"}])
    shop(tmp_path / "photos")
    report = collection.index([tmp_path])
    assert (report.added, report.missing, report.moved) == (7, 0, 0)
    assert {"a", "photos/red.png"} <= {hit.key for hit in collection.search("red", k=20)}


def test_handed_over_items_move_to_another_encoder(
    collection: mmsearch.Collection,
) -> None:
    collection.upsert([{"key": c, "image": picture(c), "text": f"{c} one"} for c in COLOURS])
    report = collection.reindex(ColourEncoder("0the2", name="other", seed=3))
    assert (report.switched, report.encoded_images, report.encoded_texts) == (True, 6, 6)
    assert collection.search("red", k=1)[0].key == "red"


def test_update_sets_and_removes_attributes_without_encoding(
    collection: mmsearch.Collection, encoder: ColourEncoder
) -> None:
    collection.upsert([{"key": "a", "image": picture("red"), "price": 1, "stock": 3, "tag": "x"}])
    before = encoder.encoded_images, encoder.encoded_texts
    report = collection.update({"a": {"price": 2.5, "stock": None, "new": ["ä", {"n": 1}]}})
    assert (report.updated, report.unchanged, report.failures) == (1, 0, ())
    assert (encoder.encoded_images, encoder.encoded_texts) == before
    expected = {"price": 2.5, "tag": "x", "new": ["ä", {"n": 1}]}
    assert collection.search("red", k=1)[0].attributes == expected
    assert collection.update({"a": {"price": 2.5, "stock": None}}).unchanged == 1
    assert collection.update({"a": {"tag": 1}}).updated == 1
    assert collection.update({"a": {"tag": True}}).updated == 1
    assert attributes(collection, "a")["tag"] is True


def test_update_names_each_key_that_it_could_not_change(collection: mmsearch.Collection) -> None:
    collection.upsert([{"key": key, "text": key, "n": 1} for key in "abcdefg"])
    collection.remove(["g"])
    nested: list[Any] = []
    nested.append(nested)
    wanted: dict[Any, Any] = {
        "a": {"n": 2},
        "b": {"n": float("nan")},
        "c": {"": 1},
        "d": {"n": object()},
        "e": {"n": 2, "half": "\ud800"},
        "f": 5,
        "g": {"n": 2},
        "nowhere": {"n": 2},
        3: {"n": 2},
    }
    report = collection.update(wanted)
    assert report.updated == 1
    failed = [failure.key for failure in report.failures]
    assert failed == ["b", "c", "d", "e", "f", "g", "nowhere", "3"]
    assert [attributes(collection, key)["n"] for key in "abcdef"] == [2, 1, 1, 1, 1, 1]
    assert collection.update({"a": {"n": nested}}).failures[0].key == "a"


def test_update_is_seen_by_readers_and_costs_their_index_nothing(
    collection: mmsearch.Collection,
) -> None:
    collection.upsert([{"key": c, "image": picture(c), "price": 1} for c in COLOURS])
    with mmsearch.open(collection.path, encoder=ColourEncoder()) as reader:
        reader.search("red")
        seen = reader._catalog.seq()
        collection.update({"red": {"price": 2}})
        assert reader._catalog.count_changes(seen) == 0
        assert reader.search("red", k=1)[0].attributes == {"price": 2}


def test_many_updates_are_one_transaction(collection: mmsearch.Collection) -> None:
    collection.upsert({"key": f"k{n}", "text": f"t{n}", "price": n} for n in range(2000))
    before = collection._catalog.seq()
    report = collection.update({f"k{n}": {"price": n + 1} for n in range(2000)})
    assert (report.updated, collection._catalog.seq()) == (2000, before + 1)
    assert [attributes(collection, f"k{n}")["price"] for n in (0, 1999)] == [1, 2000]


def test_attributes_given_to_a_row_stay_until_its_own_column_says_otherwise(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    table = tmp_path / "t.csv"

    def index(head: str, *cells: str) -> dict[str, Any]:
        table.write_text(f"key,title,{head}\n" + ",".join(("a", "red thing", *cells)) + "\n")
        collection.index([table])
        return attributes(collection, "a")

    assert index("price,stock,kind", "5", "3", "toy") == {"price": 5, "stock": 3, "kind": "toy"}
    collection.update({"a": {"price": 4, "colour": "red", "kind": None}})
    assert index("price,stock,kind", "5", "3", "toy") == {"price": 4, "stock": 3, "colour": "red"}
    assert collection.index([table]).unchanged == 1
    # One column changes: the others say nothing new.
    assert index("price,stock,kind", "5", "2", "toy") == {"price": 4, "stock": 2, "colour": "red"}
    assert index("price,stock,kind", "6", "2", "toy") == {"price": 6, "stock": 2, "colour": "red"}
    # A column that goes takes with it what it told of, and no more.
    collection.update({"a": {"kind": "car"}})
    assert index("price", "6") == {"price": 6, "kind": "car", "colour": "red"}
    # A column that comes wins; what it says is remembered even where it says what was given.
    assert index("price,colour", "6", "red") == {"price": 6, "colour": "red", "kind": "car"}
    assert index("price,colour", "6", "blue") == {"price": 6, "colour": "blue", "kind": "car"}
    collection.update({"a": {"kind": None}})
    assert index("price,colour", "6", "blue") == {"price": 6, "colour": "blue"}


def test_row_that_is_handed_over_again_wins_and_leaves_what_it_has_no_column_for(
    collection: mmsearch.Collection,
) -> None:
    row = {"key": "a", "text": "red thing", "price": 5, "stock": 3}
    collection.upsert([row])
    collection.update({"a": {"price": 4, "colour": "red"}})
    collection.upsert([row])
    assert attributes(collection, "a") == {"price": 5, "stock": 3, "colour": "red"}
    del row["stock"]
    collection.upsert([row])
    assert attributes(collection, "a") == {"price": 5, "colour": "red"}
    assert collection.upsert([row]).unchanged == 1


def test_attributes_given_to_a_photo_move_with_it(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    paint(photos / "a.png", "red")
    with mmsearch.open(tmp_path / "c", create=True, encoder=ColourEncoder()) as opened:
        opened.index([photos])
        (hit,) = opened.search("red", to="image")
        opened.update({hit.key: {"colour": "red"}})
        (photos / "a.png").rename(photos / "b.png")
        assert opened.index([photos]).moved == 1
        (hit,) = opened.search("red", to="image")
        assert (Path(hit.key).name, hit.attributes) == ("b.png", {"colour": "red"})
        (photos / "t.csv").write_text("key,image,price\nsku,b.png,5\n")
        opened.index([photos])
        assert attributes(opened, "sku") == {"price": 5, "colour": "red"}


def test_attributes_given_to_a_photo_stay_when_its_folder_is_indexed_again(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    paint(photos / "a.png", (200, 0, 0))
    with mmsearch.open(tmp_path / "c", create=True, encoder=ColourEncoder()) as opened:
        opened.index([photos])
        (hit,) = opened.search("red", to="image")
        opened.update({hit.key: {"colour": "red"}})
        assert opened.index([photos]).unchanged == 1
        paint(photos / "a.png", (0, 0, 200))
        assert opened.index([photos]).changed == 1
        (again,) = opened.search("blue", to="image")
        assert again.attributes == {"colour": "red"}
