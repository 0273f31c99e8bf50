"""Equal items, nearly equal ones, and which of them may go."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mmsearch
from mmsearch.duplicates import Duplicates, find_duplicates, to_drop
from mmsearch.errors import NoCollectionError, UsageError
from tests.support import ColourEncoder, paint


def index(folder: Path, *others: Path) -> mmsearch.Collection:
    collection = mmsearch.open(folder, create=True, encoder=ColourEncoder())
    collection.index([folder, *others])
    return collection


def keys(groups: list[Duplicates]) -> list[tuple[str, list[str]]]:
    return [(group.kind, [member.key for member in group.members]) for group in groups]


def aged(path: Path, seconds: int) -> Path:
    os.utime(path, (seconds, seconds))
    return path


def test_equal_files_are_an_exact_group_with_the_oldest_first(tmp_path: Path) -> None:
    aged(paint(tmp_path / "a.png", "red"), 2000)
    aged(Path(shutil.copy(tmp_path / "a.png", tmp_path / "b.png")), 1000)
    paint(tmp_path / "c.png", "blue")
    with index(tmp_path) as collection:
        (group,) = find_duplicates(collection)
    assert keys([group]) == [("exact", ["b.png", "a.png"])]
    assert [member.similarity for member in group.members] == [1.0, 1.0]


def test_near_group_has_the_picture_with_most_pixels_first(tmp_path: Path) -> None:
    aged(paint(tmp_path / "small.png", "red", size=20), 1000)
    aged(paint(tmp_path / "large.png", "red", size=80), 2000)
    paint(tmp_path / "other.png", "blue")
    with index(tmp_path) as collection:
        (group,) = find_duplicates(collection)
    assert keys([group]) == [("near", ["large.png", "small.png"])]
    assert [member.size for member in group.members] == [(80, 80), (20, 20)]
    assert 0.95 <= group.members[1].similarity <= 1


def test_near_group_has_of_equal_files_only_the_first(tmp_path: Path) -> None:
    aged(paint(tmp_path / "a.png", "red"), 1000)
    aged(Path(shutil.copy(tmp_path / "a.png", tmp_path / "b.png")), 2000)
    paint(tmp_path / "near.png", "red", size=20)
    with index(tmp_path) as collection:
        groups = find_duplicates(collection)
        assert keys(groups) == [("exact", ["a.png", "b.png"]), ("near", ["a.png", "near.png"])]
        assert keys(find_duplicates(collection, exact_only=True)) == keys(groups[:1])
    assert [member.key for member in to_drop(groups)] == ["b.png", "near.png"]


def test_equal_files_are_told_without_their_vectors(tmp_path: Path) -> None:
    paint(tmp_path / "0.png", "red")
    paint(tmp_path / "1.png", "blue")
    paint(tmp_path / "3.png", "green")
    for copy, of in (("2", "0"), ("4", "1"), ("5", "0")):
        shutil.copy2(tmp_path / f"{of}.png", tmp_path / f"{copy}.png")
    with index(tmp_path) as collection:
        groups = find_duplicates(collection)
        (vectors,) = (collection.path / "vectors").iterdir()
        vectors.unlink()
        alone = find_duplicates(collection, exact_only=True)
    assert keys(alone) == [("exact", ["0.png", "2.png", "5.png"]), ("exact", ["1.png", "4.png"])]
    assert alone == groups[:2]


def test_one_of_each_kind_is_left_when_the_best_of_equal_files_is_not_the_best_of_all(
    tmp_path: Path,
) -> None:
    paint(tmp_path / "a.png", "red", size=20)
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    paint(tmp_path / "large.png", "red", size=80)
    with index(tmp_path) as collection:
        groups = find_duplicates(collection)
    assert sorted(member.key for member in to_drop(groups)) == ["a.png", "b.png"]


def test_file_that_a_kept_item_shows_is_not_to_go(tmp_path: Path) -> None:
    paint(tmp_path / "pictures" / "red.png", "red")
    (tmp_path / "shop.csv").write_text(
        "key,image,title\np1,pictures/red.png,one\np2,pictures/red.png,two\n"
    )
    with index(tmp_path) as collection:
        (group,) = find_duplicates(collection)
    assert keys([group]) == [("exact", ["p1", "p2"])]
    assert to_drop([group]) == []


def test_link_to_a_copy_is_no_third_one_and_the_copy_itself_is_named(tmp_path: Path) -> None:
    aged(paint(tmp_path / "photo.png", "red"), 2000)
    aged(Path(shutil.copy(tmp_path / "photo.png", tmp_path / "z.png")), 1000)
    (tmp_path / "a.png").symlink_to("z.png")
    os.link(tmp_path / "photo.png", tmp_path / "same.png")
    with index(tmp_path) as collection:
        (group,) = find_duplicates(collection)
    assert group.members[0].key == "z.png"
    assert {member.key for member in group.members[1:]} < {"photo.png", "same.png"}
    assert len(group.members) == 2
    assert to_drop([group]) == [group.members[1]]


def test_file_and_links_to_it_are_no_duplicates(tmp_path: Path) -> None:
    paint(tmp_path / "photos" / "z.png", "red")
    (tmp_path / "a.png").symlink_to("photos/z.png")
    (tmp_path / "linked").symlink_to("photos")
    os.link(tmp_path / "photos" / "z.png", tmp_path / "hard.png")
    with index(tmp_path, tmp_path / "linked") as collection:
        assert find_duplicates(collection) == []


def test_file_is_not_to_go_where_a_link_to_it_is_kept(tmp_path: Path) -> None:
    paint(tmp_path / "z.png", "red", size=80)
    (tmp_path / "a.png").symlink_to("z.png")
    paint(tmp_path / "small.png", "red", size=20)
    with index(tmp_path) as collection:
        (group,) = find_duplicates(collection)
        link = replace(group.members[0], key="a.png", file=tmp_path / "a.png")
    assert [member.key for member in group.members] == ["z.png", "small.png"]
    assert to_drop([replace(group, members=(link, *group.members))]) == [group.members[1]]


def test_groups_are_the_connected_parts_above_the_threshold(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for number in range(24):
        red, green, blue = (int(value) for value in rng.integers(20, 235, 3))
        paint(tmp_path / f"{number:02}.png", (red, green, blue), size=12)
    with index(tmp_path) as collection:
        items, vectors = collection.vectors("image")
        found = find_duplicates(collection, threshold=0.9)
    parts = [{item.key} for item in items]
    cosines = vectors @ vectors.T
    for one in range(len(items)):
        for other in range(one):
            if cosines[one, other] >= 0.9:
                joined = [part for part in parts if {items[one].key, items[other].key} & part]
                parts = [part for part in parts if part not in joined] + [set().union(*joined)]
    expected = sorted(sorted(part) for part in parts if len(part) > 1)
    assert len(expected) > 1
    assert sorted(sorted(names) for _, names in keys(found)) == expected


def test_picture_that_only_a_chain_joins_to_the_kept_one_is_not_to_go(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):  # each a little greener, and smaller
        paint(tmp_path / f"{name}.png", (250, 20 + 40 * number, 20), size=80 - 10 * number)
    shutil.copy2(tmp_path / "c.png", tmp_path / "copy.png")
    with index(tmp_path) as collection:
        groups = find_duplicates(collection, threshold=0.9)
    assert keys(groups) == [
        ("exact", ["c.png", "copy.png"]),
        ("near", ["a.png", "b.png", "c.png"]),
    ]
    near = groups[1].members
    assert [member.similarity >= 0.9 for member in near] == [True, True, False]
    assert [member.by_chain for member in near] == [False, False, True]
    assert [member.key for member in to_drop(groups)] == ["copy.png", "b.png"]


def test_file_is_not_to_go_where_it_is_kept_at_the_end_of_a_chain(tmp_path: Path) -> None:
    paint(tmp_path / "large.png", "red", size=80)
    paint(tmp_path / "small.png", "red", size=20)
    with index(tmp_path) as collection:
        (group,) = find_duplicates(collection)
    small = group.members[1]
    chained = replace(small, key="a row with its picture", by_chain=True)
    assert to_drop([group]) == [small]
    assert to_drop([replace(group, members=(*group.members, chained))]) == []


def test_picture_whose_file_is_gone_is_not_the_one_to_keep(tmp_path: Path) -> None:
    paint(tmp_path / "large.png", "red", size=80)
    paint(tmp_path / "small.png", "red", size=20)
    with index(tmp_path) as collection:
        (tmp_path / "large.png").unlink()
        (group,) = find_duplicates(collection)
    assert [(member.key, member.size) for member in group.members] == [
        ("small.png", (20, 20)),
        ("large.png", None),
    ]


def test_texts_are_compared_with_texts(tmp_path: Path) -> None:
    for name, text in (("a", "red"), ("b", "red"), ("c", "a red thing"), ("d", "blue")):
        (tmp_path / f"{name}.txt").write_text(text)
    with index(tmp_path) as collection:
        assert find_duplicates(collection) == []
        groups = find_duplicates(collection, "text")
    assert [kind for kind, _ in keys(groups)] == ["exact", "near"]
    assert set(keys(groups)[0][1]) == {"a.txt", "b.txt"}
    assert groups[1].members[0].key == "c.txt"  # the longest


def test_pictures_of_one_caption_are_not_what_could_go(tmp_path: Path) -> None:
    for colour in ("red", "blue", "green"):
        paint(tmp_path / f"{colour}.png", colour)
        (tmp_path / f"{colour}.txt").write_text("the same words")
    (tmp_path / "shop.csv").write_text(
        "key,image,title\np1,red.png,the same words\nred.txt,,the same words\n"
    )
    (tmp_path / "lone.txt").write_text("the same words")
    with index(tmp_path) as collection:
        groups = find_duplicates(collection, "text")
    ((_, names),) = keys(groups)
    assert {"p1", "red.txt", "lone.txt"} < set(names)
    assert {member.file for member in groups[0].members} == {None, tmp_path / "lone.txt"}
    assert all(member.file in (None, tmp_path / "lone.txt") for member in to_drop(groups))


def test_single_picture_has_no_duplicates(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "one.png")
    with index(tmp_path) as collection:
        assert find_duplicates(collection) == []


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.01, float("nan")])
def test_threshold_is_a_cosine_above_zero(tmp_path: Path, threshold: float) -> None:
    paint(tmp_path / "a.png", "red")
    with index(tmp_path) as collection, pytest.raises(UsageError, match="threshold"):
        find_duplicates(collection, threshold=threshold)


def test_collection_without_any_item_says_what_to_do(tmp_path: Path) -> None:
    with (
        mmsearch.open(tmp_path, create=True, encoder=ColourEncoder()) as collection,
        pytest.raises(NoCollectionError, match="mmsearch index"),
    ):
        find_duplicates(collection)
