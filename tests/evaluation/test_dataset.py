"""Published forms are recognised by what they hold; what is wrong in them is an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmsearch.errors import InputError, UsageError
from mmsearch.evaluation import pictures
from mmsearch.evaluation.dataset import read_dataset
from mmsearch.tables.sources import rows_to_sources
from mmsearch.types import Source
from tests.evaluation import worlds
from tests.support import paint


def content(path: Path, **options: object) -> dict[str, tuple[str, ...]]:
    dataset = read_dataset(path, **options)  # type: ignore[arg-type]  # options of several types
    for entry in dataset.entries:
        assert entry.image is not None
        read = pictures.read(entry.image)
        assert read.is_file() if isinstance(read, Path) else read.startswith(b"\x89PNG")
    return {entry.id: entry.captions for entry in dataset.entries}


WANTED = {name: tuple(captions) for name, captions in worlds.CAPTIONS.items()}


@pytest.mark.parametrize(
    ("name", "write", "kind"),
    [
        ("captions_val2017.json", worlds.coco, "COCO captions"),
        ("colours.token.txt", worlds.tokens, "Flickr tokens"),
        ("captions.json", lambda p: p.write_text(json.dumps(worlds.CAPTIONS)), "captions"),
        ("shop.jsonl", worlds.table, "table"),
        (
            "captions.txt",
            lambda p: p.write_text(
                "image,caption\n"
                + "".join(f'{n},"{c}"\n' for n, cs in worlds.CAPTIONS.items() for c in cs)
            ),
            "captions",
        ),
        (
            "captions.csv",
            lambda p: p.write_text(
                "image,caption\n"
                + "".join(f'{n},"{c}"\n' for n, cs in worlds.CAPTIONS.items() for c in cs)
            ),
            "table",
        ),
    ],
)
def test_caption_files_are_recognised_by_content(
    tmp_path: Path, name: str, write: Callable[[Path], object], kind: str
) -> None:
    worlds.pictures(tmp_path / "images")
    write(tmp_path / name)
    assert read_dataset(tmp_path / name).kind == kind
    assert content(tmp_path / name) == WANTED
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    assert content(tmp_path / "elsewhere" / name, images=tmp_path / "images") == WANTED
    assert content(tmp_path / "elsewhere", images=tmp_path / "images") == WANTED


def test_karpathy_file_gives_its_test_split(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    path = worlds.karpathy(tmp_path / "dataset_colours.json")
    dataset = read_dataset(path)
    assert (dataset.name, dataset.split, dataset.kind) == ("colours", "test", "Karpathy split")
    assert list(content(path)) == ["red.png", "blue.png", "white.png"]
    assert list(content(path, split="train")) == ["green.png", "yellow.png", "black.png"]
    with pytest.raises(UsageError, match="no 'dev'"):
        read_dataset(path, split="dev")


def test_flickr_split_lists_are_read_beside_the_tokens(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    path = worlds.tokens(tmp_path / "Flickr8k.token.txt")
    (tmp_path / "Flickr_8k.testImages.txt").write_text("red.png\nblue.png\n")
    (tmp_path / "Flickr_8k.devImages.txt").write_text("green.png\n")
    assert list(content(path)) == ["red.png", "blue.png"]
    assert list(content(path, split="dev")) == ["green.png"]


def test_tar_shard_needs_no_unpacking(tmp_path: Path) -> None:
    path = worlds.shard(tmp_path / "shard", tmp_path / "scratch")
    assert content(path) == WANTED
    assert content(path.with_suffix(".jsonl")) == WANTED
    assert content(path.parent) == WANTED


def test_folder_of_pictures_with_texts_beside_them(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    (tmp_path / "red.txt").write_text("a red square\nsomething red\n")
    dataset = read_dataset(tmp_path)
    assert dataset.kind == "captions beside pictures"
    assert {e.id: e.captions for e in dataset.entries if e.captions} == {
        "red.png": ("a red square", "something red")
    }


def test_hidden_files_are_left_out_as_index_does(tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    (tmp_path / ".trash").mkdir()
    for name in ("shown/red.png", "shown/.blue.png", ".trash/green.png", ".white.png"):
        paint(tmp_path / name, (200, 0, 0))
        (tmp_path / name).with_suffix(".txt").write_text("a square")
    (tmp_path / ".captions.json").write_text('{"shown/red.png": ["another square"]}')
    dataset = read_dataset(tmp_path)
    assert [(one.id, one.captions) for one in dataset.entries] == [("shown/red.png", ("a square",))]
    assert len(read_dataset(tmp_path / ".trash").entries) == 1  # asked for by its name


def test_split_column_of_a_table_is_a_split(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    rows = "image,caption,split\nred.png,red,test\nblue.png,blue,val\n"
    (tmp_path / "t.csv").write_text(rows)
    assert list(content(tmp_path / "t.csv")) == ["red.png"]
    assert list(content(tmp_path / "t.csv", split="val")) == ["blue.png"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "cannot be read as JSON"),
        ("a.json", "[1]", "not a dataset"),
        ("a.json", '{"images": [{"filename": "a.png", "sentences": []}]}', "lacks 'split'"),
        (
            "a.json",
            '{"images": [{"id": 1, "file_name": "a.png"}],'
            ' "annotations": [{"image_id": 2, "caption": "x"}]}',
            "belongs to image 2",
        ),
        ("a.txt", "red.png#0\tred\nred.png#0\tagain\n", ":2: caption 0 of the picture again"),
        ("a.txt", "red.png#0\tred\nnonsense\n", ":2: not"),
        ("a.jsonl", '{"image": "a.png", "caption": "x"}\nnot json\n', "row 2"),
        ("a.jsonl", '{"id": 1, "text": "x"}\n{"id": 1, "text": "y"}\n', "used before"),
        ("a.csv", "image,caption\na.png,x\n,\n", "row 2: neither"),
        ("a.md", "# words\n", "not a dataset"),
        (
            "a.json",
            json.dumps({f"{n}.png": "x" for n in range(30)} | {"z.png": None}),
            "'z.png' lacks a caption that is text: None",
        ),
        ("a.json", '{"a.png": ["x", 7]}', "'a.png' lacks a caption that is text: 7"),
        ("a.json", '{"a.png": "\\ud800"}', "lacks a caption that is text"),
        (
            "a.json",
            '{"images": [{"filename": "a.png", "split": "test", "sentences": [{"raw": null}]}]}',
            "image 0 lacks a caption that is text",
        ),
        (
            "a.json",
            '{"images": [{"id": 1, "file_name": "a.png"}],'
            ' "annotations": [{"image_id": 1, "caption": null}]}',
            "lacks a caption that is text",
        ),
        ("a.txt", "image,caption\na.png," + "x" * 200_000 + "\n", "as csv"),
        (
            "a.csv",
            "image,caption,split\na.png,x,test\na.png,y,train\n",
            "row 2: the split of 'a.png' is 'train', and 'test' in a row before",
        ),
        ("a.csv", "image,caption,split\na.png,x,test\na.png,y,\n", "row 2: the split"),
        ("a.csv", "image,caption,group\na.png,x,1\na.png,y,2\n", "row 2: the group"),
    ],
)
def test_bad_files_are_errors_that_name_the_place(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path / name)


LATIN = "a café\n".encode("latin-1")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.txt", b"red.png#0\tred\nred.png#1\t" + LATIN, 2),
        ("a.txt", b"red.png#0\t" + LATIN, 1),
        ("a.txt", b"image,caption\n" + b"red.png,red\n" * 2000 + b"red.png," + LATIN, 2002),
        ("a.json", b'{"red.png":\n"' + LATIN + b'"}', 2),
    ],
)
def test_captions_that_are_not_utf_8_are_errors_that_name_the_line(
    tmp_path: Path, name: str, content: bytes, line: int
) -> None:
    worlds.pictures(tmp_path)
    (tmp_path / name).write_bytes(content)
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(InputError, match=rf"{name}:{line}: not UTF-8 text \(byte 0xe9\)"):
            read_dataset(path)


def test_text_beside_a_picture_and_split_list_that_are_not_utf_8_are_errors(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    (tmp_path / "red.txt").write_bytes(LATIN)
    with pytest.raises(InputError, match=r"red\.txt:1: not UTF-8"):
        read_dataset(tmp_path)
    path = worlds.tokens(tmp_path / "Flickr8k.token.txt")
    (tmp_path / "Flickr_8k.testImages.txt").write_bytes(b"red.png\n" + LATIN)
    with pytest.raises(InputError, match=r"testImages\.txt:2: not UTF-8"):
        read_dataset(path)


def test_only_line_feeds_end_a_caption(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    (tmp_path / "red.txt").write_text("a red\u2028square\r\nsomething\x85red\n", newline="")
    wanted = ("a red\u2028square", "something\x85red")
    assert content(tmp_path)["red.png"] == wanted
    path = tmp_path / "a.token.txt"
    path.write_text("".join(f"red.png#{n}\t{caption}\n" for n, caption in enumerate(wanted)))
    assert content(path) == {"red.png": wanted}


def test_byte_order_mark_is_no_part_of_what_follows(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    text = json.dumps({"red.png": "red"})
    (tmp_path / "a.json").write_text(text, encoding="utf-8-sig")
    assert content(tmp_path / "a.json") == {"red.png": ("red",)}


def test_damaged_caption_file_in_a_folder_is_an_error_and_not_another_set(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    (tmp_path / "red.txt").write_text("a red square\n")
    (tmp_path / "dataset_flickr30k.json").write_text('{"images": [')
    with pytest.raises(InputError, match=r"dataset_flickr30k\.json: cannot be read as JSON"):
        read_dataset(tmp_path)


def test_keys_of_a_table_are_those_that_the_collection_gives_it(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    rows = '{"id": 7.0, "image": "red.png", "group": 3.0}\n{"id": "", "image": "blue.png"}\n'
    (tmp_path / "t.jsonl").write_text(rows)
    red, blue = read_dataset(tmp_path / "t.jsonl").entries
    assert (red.id, red.group) == ("7", "3")
    assert (blue.id, blue.group) == ("blue.png", None)


@pytest.mark.parametrize(
    ("title", "description"), [("Red shoe.", "Soft."), ("Red shoe", ""), ("", "Soft."), (".", "")]
)
def test_title_and_description_are_the_text_that_is_indexed(
    tmp_path: Path, title: str, description: str
) -> None:
    worlds.pictures(tmp_path)
    table = tmp_path / "t.csv"
    table.write_text(f"image,title,description\nred.png,{title},{description}\n")
    (source,) = rows_to_sources(table, "t.csv")
    assert isinstance(source, Source)
    (entry,) = read_dataset(table).entries
    assert entry.captions == (source.text,)


def test_rows_of_a_picture_may_differ_in_what_is_not_asked(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    rows = "image,number,caption,colour\nred.png,0,red,\nred.png,1,reddish,red\nred.png,2,x,red\n"
    (tmp_path / "t.csv").write_text(rows)
    (red,) = read_dataset(tmp_path / "t.csv").entries
    assert red.captions == ("red", "reddish", "x")
    assert red.value("colour") == "red"
    with pytest.raises(InputError, match=r"'red\.png': its rows differ in 'number'"):
        red.value("number")


def test_missing_and_ambiguous_datasets_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_dataset(tmp_path / "none")
    with pytest.raises(InputError, match="no captions"):
        read_dataset(worlds.pictures(tmp_path / "bare"))
    worlds.table(tmp_path / "a.jsonl")
    worlds.table(tmp_path / "b.jsonl")
    with pytest.raises(UsageError, match="several datasets"):
        read_dataset(tmp_path)
    with pytest.raises(UsageError, match="tells of no splits"):
        read_dataset(tmp_path / "a.jsonl", split="test")
    with pytest.raises(UsageError, match="no such folder or tar"):
        read_dataset(tmp_path / "a.jsonl", images=tmp_path / "gone")


def test_compressed_shard_says_what_to_do(tmp_path: Path) -> None:
    worlds.table(tmp_path / "a.jsonl")
    (tmp_path / "a.tar").write_bytes(b"\x1f\x8b not a tar")
    with pytest.raises(InputError, match="unpacked first"):
        read_dataset(tmp_path / "a.tar")
