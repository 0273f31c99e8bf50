"""Small datasets of coloured squares in every published form, for tests of the readers."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from tests.support import COLOURS, paint

CAPTIONS = {f"{colour}.png": [f"a {colour} square", f"something {colour}"] for colour in COLOURS}


def pictures(folder: Path) -> Path:
    """One picture per colour."""
    for colour in COLOURS:
        paint(folder / f"{colour}.png", colour)
    return folder


def karpathy(path: Path, split: str = "test") -> Path:
    """Captions in the form of dataset_flickr30k.json; half of the pictures are in "train"."""
    images = [
        {
            "filename": name,
            "split": split if number % 2 == 0 else "train",
            "sentences": [{"raw": caption} for caption in captions],
        }
        for number, (name, captions) in enumerate(CAPTIONS.items())
    ]
    path.write_text(json.dumps({"dataset": "colours", "images": images}))
    return path


def coco(path: Path) -> Path:
    """Captions in the form of captions_val2017.json."""
    images = [{"id": n, "file_name": name} for n, name in enumerate(CAPTIONS)]
    notes = [
        {"id": 10 * n + k, "image_id": n, "caption": caption}
        for n, captions in enumerate(CAPTIONS.values())
        for k, caption in enumerate(captions)
    ]
    path.write_text(json.dumps({"images": images, "annotations": notes}))
    return path


def tokens(path: Path) -> Path:
    """Captions in the form of Flickr8k.token.txt."""
    lines = [f"{n}#{k}\t{c}\n" for n, captions in CAPTIONS.items() for k, c in enumerate(captions)]
    path.write_text("".join(lines))
    return path


def table(path: Path) -> Path:
    """One row per picture, as .jsonl, with what a shop knows of it."""
    rows = [
        {
            "image": name,
            "captions": captions,
            "shade": "light" if name[:-4] in ("white", "yellow", "green") else "dark",
            "colour": name[:-4],
        }
        for name, captions in CAPTIONS.items()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def shard(folder: Path, scratch: Path) -> Path:
    """colours.tar with colours.jsonl beside it."""
    folder.mkdir(exist_ok=True)
    table(folder / "colours.jsonl")
    with tarfile.open(folder / "colours.tar", "w") as tar:
        for name in CAPTIONS:
            content = (pictures(scratch) / name).read_bytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return folder / "colours.tar"
