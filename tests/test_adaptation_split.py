"""Pairs are read, and cut so that nothing measured was seen in training."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmsearch.adaptation.pairs import read_pairs
from mmsearch.adaptation.split import Link, Split, split
from mmsearch.errors import TableError, TrainingError
from mmsearch.tables.sources import rows_to_sources
from mmsearch.types import Source


def link(image: int, text: str, *groups: str) -> Link:
    return Link(image.to_bytes(4, "big"), text, groups)


def groups_of(links: list[Link]) -> set[str]:
    return {group for one in links for group in one.groups}


def sides(links: list[Link], cut: Split) -> tuple[list[Link], list[Link]]:
    return [links[at] for at in cut.train], [links[at] for at in cut.held_out]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 60)), min_size=30, unique=True),
    st.floats(0.05, 0.5),
)
def test_no_picture_is_on_both_sides_and_no_pair_is_lost(
    numbers: list[tuple[int, int]], share: float
) -> None:
    links = [link(image, f"text {text}") for image, text in numbers]
    try:
        cut = split(links, share)
    except TrainingError:
        return
    train, held_out = sides(links, cut)
    assert train
    assert held_out
    assert sorted(cut.train + cut.held_out) == list(range(len(links)))
    assert not {one.image for one in train} & {one.image for one in held_out}
    if cut.rule == "picture and text":
        assert not {one.text for one in train} & {one.text for one in held_out}


def test_captions_are_held_out_together_with_their_pictures() -> None:
    links = [link(image, f"caption {image} {n}") for image in range(100) for n in range(3)]
    cut = split(links, 0.1)
    assert cut.rule == "picture and text"
    assert len(cut.held_out) == 30


def test_labels_are_kept_on_both_sides_and_the_rule_says_so() -> None:
    links = [link(image, f"a photo of thing {image % 5}") for image in range(200)]
    cut = split(links, 0.2)
    train, held_out = sides(links, cut)
    assert cut.rule == "picture"
    assert len(held_out) == 40
    assert {one.text for one in held_out} <= {one.text for one in train}


def test_groups_are_never_torn_apart() -> None:
    links = [link(image, f"view {image}", f"product {image // 4}") for image in range(80)]
    cut = split(links, 0.25)
    train, held_out = sides(links, cut)
    assert cut.rule == "group"
    assert len(held_out) == 20
    assert not groups_of(train) & groups_of(held_out)


@pytest.mark.parametrize("again", [link(0, "again", "g9"), link(0, "again", "g0", "g9")])
def test_a_picture_in_two_groups_ties_them_together(again: Link) -> None:
    links = [link(image, f"t{image}", f"g{image // 2}") for image in range(20)]
    for share in (0.1, 0.2, 0.3, 0.4, 0.5):
        train, held_out = sides([*links, again], split([*links, again], share))
        assert not groups_of(train) & groups_of(held_out)


def test_a_pair_of_two_groups_ties_them_together() -> None:
    links = [link(image, f"t{image}", "one" if image < 10 else "other") for image in range(20)]
    assert split(links, 0.5).rule == "group"
    with pytest.raises(TrainingError, match="all 21 pairs belong to one group"):
        split([*links, link(20, "both", "one", "other")], 0.5)


def test_the_cut_does_not_depend_on_the_order_of_the_pairs() -> None:
    links = [link(image, f"caption {image}") for image in range(60)]
    shuffled = list(links)
    random.Random(3).shuffle(shuffled)
    one, other = sides(links, split(links, 0.2)), sides(shuffled, split(shuffled, 0.2))
    assert set(one[1]) == set(other[1])


def test_pairs_of_one_group_cannot_be_cut() -> None:
    links = [link(image, f"caption {image}", "all") for image in range(30)]
    with pytest.raises(TrainingError, match="group"):
        split(links, 0.1)


def test_rows_become_pairs_with_group_and_weight(tmp_path: Path) -> None:
    rows = [
        {"image": "a.png", "caption": ["a red car", "red"], "group": 7, "clicks": 3},
        {"image": "b.png", "caption": "  a blue car "},
    ]
    table = tmp_path / "pairs.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    found = read_pairs(table)
    assert found.failures == ()
    assert [(p.image.name, p.text, p.group, p.weight) for p in found.pairs] == [
        ("a.png", "a red car", "7", 3.0),
        ("a.png", "red", "7", 3.0),
        ("b.png", "a blue car", None, 1.0),
    ]
    assert found.pairs[0].image == tmp_path / "a.png"


@pytest.mark.parametrize(
    "row",
    [
        {"title": "Red shoe.", "description": "Soft."},
        {"title": "Red shoe", "description": "Soft"},
        {"title": " ", "description": "Soft."},
        {"text": "", "title": "Red shoe...", "description": "Soft"},
    ],
)
def test_a_title_and_a_description_are_joined_as_an_index_run_stores_them(
    tmp_path: Path, row: dict[str, str]
) -> None:
    table = tmp_path / "pairs.jsonl"
    table.write_text(json.dumps({"image": "a.png", **row}))
    (tmp_path / "a.png").touch()
    (stored,) = rows_to_sources(table, "")
    assert isinstance(stored, Source)
    assert [pair.text for pair in read_pairs(table).pairs] == [stored.text]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.png,,1", "text is empty"),
        (",red,1", "no picture"),
        ("a.png,red,-2", "weight '-2'"),
        ("a.png,red,nan", "weight 'nan'"),
        ("a.png,red,many", "weight 'many'"),
    ],
)
def test_a_row_that_is_no_pair_is_a_failure_with_its_reason(
    tmp_path: Path, row: str, reason: str
) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(f"image,text,weight\nb.png,blue,2\n{row}\n")
    found = read_pairs(table)
    assert [pair.text for pair in found.pairs] == ["blue"]
    (failure,) = found.failures
    assert failure.key == "pairs.csv#2"
    assert reason in failure.reason


def test_a_table_without_pictures_is_told_by_its_columns(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("picture,text\na.png,red\n")
    with pytest.raises(TableError, match=r"no image column.*'picture'"):
        read_pairs(table)
