"""Caption files as they are published: Karpathy splits, COCO captions, Flickr tokens, and plain."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mmsearch.errors import InputError
from mmsearch.evaluation.dataset import Entry
from mmsearch.evaluation.files import SURROGATES, read_text
from mmsearch.images import is_image_name

Reader = tuple[str, str, Callable[[], Iterator[Entry]]]

# `1000268201_693b08cb0e.jpg#0<TAB>A child in a pink dress ...`, Flickr8k.token.txt and Flickr30k's.
_TOKEN = re.compile(r"(?P<image>[^\t#]+)#(?P<number>[0-9]+)\t(?P<caption>.*)")
_SPLIT_FILES = {"train": "trainImages", "dev": "devImages", "test": "testImages"}


def json_reader(path: Path, content: Any) -> Reader | None:
    """The reader for a JSON file, by what it holds; None for another kind of JSON."""
    if not isinstance(content, Mapping):
        return None
    images = content.get("images")
    if isinstance(images, list) and images and isinstance(images[0], Mapping):
        if "sentences" in images[0]:
            name = str(content.get("dataset") or path.stem)
            return name, "Karpathy split", lambda: karpathy_entries(path, images)
        if isinstance(content.get("annotations"), list):
            return path.stem, "COCO captions", lambda: coco_entries(path, content)
        return None
    first = list(islice(content.items(), 20))
    if first and all(
        is_image_name(name) and isinstance(value, str | list) for name, value in first
    ):
        return path.stem, "captions", lambda: mapping_entries(path, content)
    return None


def karpathy_entries(path: Path, images: list[Any]) -> Iterator[Entry]:
    """Karpathy and Fei-Fei, CVPR 2015: `images` with `filename`, `split` and `sentences`."""
    for number, image in enumerate(images):
        try:
            name = str(image["filename"])
            if image.get("filepath"):
                name = f"{image['filepath']}/{name}"
            captions = tuple(_caption(sentence["raw"]) for sentence in image["sentences"])
            # "restval" is the part of COCO's validation set that everyone trains on.
            split = str(image["split"])
        except (KeyError, TypeError) as error:
            raise InputError(f"{path}: image {number} lacks {error}") from error
        yield Entry(str(image["filename"]), name, captions, split=split)


def coco_entries(path: Path, content: Mapping[str, Any]) -> Iterator[Entry]:
    """cocodataset.org, "format-data": `images` and `annotations` joined by the image's id."""
    captions: dict[Any, list[str]] = {}
    try:
        for note in content["annotations"]:
            captions.setdefault(note["image_id"], []).append(_caption(note["caption"]))
        known = {image["id"]: str(image["file_name"]) for image in content["images"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: an annotation or an image lacks {error}") from error
    strange = next((one for one in captions if one not in known), None)
    if strange is not None:
        raise InputError(f"{path}: a caption belongs to image {strange!r}, which is not listed")
    split = path.stem.removeprefix("captions_")
    for image, name in known.items():
        yield Entry(name, name, tuple(captions.get(image, ())), split=split)


def mapping_entries(path: Path, content: Mapping[str, Any]) -> Iterator[Entry]:
    """A plain object: picture -> caption, or a list of captions."""
    for name, value in content.items():
        try:
            captions = tuple(map(_caption, value if isinstance(value, list) else [value]))
        except TypeError as error:
            raise InputError(f"{path}: the picture {name!r} lacks {error}") from error
        yield Entry(name, name, captions)


def _caption(value: Any) -> str:
    if not isinstance(value, str) or SURROGATES.search(value):
        raise TypeError(f"a caption that is text: {value!r} is none")
    return value.strip()


def text_reader(path: Path) -> Reader | None:
    """The reader for a token file, or for Kaggle's `image,caption` in a .txt; None for others."""
    try:
        # What the file is shows in ASCII; bytes that are not UTF-8 are its reader's to refuse.
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            first = next((line.rstrip("\n") for line in file if line.strip()), "")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if _TOKEN.fullmatch(first):
        return path.stem, "Flickr tokens", lambda: token_entries(path)
    if first.replace(" ", "").lower() == "image,caption":
        return path.stem, "captions", lambda: comma_entries(path)
    return None


def token_entries(path: Path) -> Iterator[Entry]:
    """Hodosh, Young and Hockenmaier, JAIR 47, 2013. Splits come from the lists beside the file."""
    captions: dict[str, dict[int, str]] = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        found = _TOKEN.fullmatch(line)
        if found is None:
            raise InputError(f"{path}:{number}: not `picture#number<TAB>caption`")
        of_image = captions.setdefault(found["image"], {})
        if int(found["number"]) in of_image:
            raise InputError(f"{path}:{number}: caption {found['number']} of the picture again")
        of_image[int(found["number"])] = found["caption"].strip()
    split_of = _flickr_splits(path)
    for image, numbered in captions.items():
        ordered = tuple(numbered[number] for number in sorted(numbered))
        yield Entry(image, image, ordered, split=split_of.get(image, "none" if split_of else None))


def _flickr_splits(path: Path) -> dict[str, str]:
    """picture -> split, from `Flickr_8k.testImages.txt` and its like beside the captions."""
    split_of: dict[str, str] = {}
    for split, ending in _SPLIT_FILES.items():
        for listing in path.parent.glob(f"*{ending}.txt"):
            for name in read_text(listing).split():
                if split_of.setdefault(name, split) != split:
                    raise InputError(f"{listing}: {name!r} is in two splits")
    return split_of


def comma_entries(path: Path) -> Iterator[Entry]:
    """One caption a line: `image,caption`, quoted as in csv."""
    captions: dict[str, list[str]] = {}
    rows = csv.reader(io.StringIO(read_text(path)))
    try:
        for number, row in enumerate(filter(None, rows)):
            if len(row) != 2:
                raise InputError(f"{path}:{rows.line_num}: {len(row)} columns where 2 are needed")
            if number > 0:  # the first row names the columns
                captions.setdefault(row[0].strip(), []).append(row[1].strip())
    except csv.Error as error:
        raise InputError(f"{path}:{rows.line_num}: cannot be read as csv ({error})") from error
    for image, texts in captions.items():
        yield Entry(image, image, tuple(texts))


def _is_hidden(path: Path) -> bool:
    """Whether its name, or that of a folder in it, begins with a dot."""
    return any(part.startswith(".") for part in path.parts)


def sidecar_entries(folder: Path) -> Iterator[Entry]:
    """Pictures with a text of the same name beside them; one caption a line.

    Hidden files and folders are left out, as `mmsearch index` does.

    Raises InputError where no picture has one.
    """
    visible = [p for p in sorted(folder.rglob("*")) if not _is_hidden(p.relative_to(folder))]
    pictures = [p for p in visible if is_image_name(p) and p.is_file()]
    found = False
    for picture in pictures:
        beside = picture.with_suffix(".txt")
        lines = read_text(beside).split("\n") if beside.is_file() else []
        captions = tuple(line.strip() for line in lines if line.strip())
        found = found or bool(captions)
        name = picture.relative_to(folder).as_posix()
        yield Entry(name, str(picture), captions)
    if not found:
        raise InputError(
            f"{folder}: {len(pictures)} pictures and no captions: put a caption file, a table or "
            "a .txt beside each picture, or give --labels, --queries or --run"
        )
