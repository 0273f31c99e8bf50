"""Published forms are recognised by what they hold; what is wrong in them is an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmsearch.errors import InputError, UsageError
from mmsearch.evaluation import pictures
from mmsearch.evaluation.dataset import read_dataset
from tests.evaluation import worlds


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
    ],
)
def test_bad_files_are_errors_that_name_the_place(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path / name)


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
