"""Training pictures and the words that describe them."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

IMAGE_SIZE = 224
FASHION_HELD_OUT = 1000
RENDERS_HELD_OUT = 0.1

GENDERS = {
    "Women": "women's",
    "Men": "men's",
    "Girls": "girls'",
    "Boys": "boys'",
    "Unisex": "unisex",
}
# Irregular plurals of the catalogue; anything else that ends in one "s" simply loses it.
SINGULAR = {
    "Dresses": "dress",
    "Watches": "watch",
    "Scarves": "scarf",
    "Clutches": "clutch",
    "Dress": "dress",
}
# Garments that come in pairs keep their plural.
PAIRS = (
    "shoes",
    "jeans",
    "trousers",
    "shorts",
    "socks",
    "sandals",
    "sunglasses",
    "earrings",
    "leggings",
    "tights",
)


@dataclass(frozen=True)
class Example:
    """One picture: the set it belongs to, its file's name, its captions, and whether it is kept
    for evaluation."""

    corpus: str
    image: str
    captions: tuple[str, ...]
    held_out: bool = False


@dataclass(frozen=True)
class Corpus:
    """A set of pictures, in the order of its feature rows."""

    name: str
    source: Path
    examples: tuple[Example, ...]

    def head(self, limit: int | None) -> Corpus:
        """The first `limit` pictures, or all of them."""
        return replace(self, examples=self.examples[:limit])

    def read_images(self) -> Iterator[bytes]:
        """Encoded pictures in the order of `examples`, from a tar file or a folder."""
        if self.source.is_dir():
            for example in self.examples:
                yield (self.source / example.image).read_bytes()
            return
        with tarfile.open(self.source) as tar:
            members = {
                Path(member.name).name: member for member in tar.getmembers() if member.isfile()
            }
            for example in self.examples:
                stream = tar.extractfile(members[Path(example.image).name])
                if stream is None:
                    raise ValueError(f"{example.image} in {self.source} is not a file")
                yield stream.read()


def hash_fraction(text: str) -> float:
    """A number in [0, 1) that depends on `text` alone, for splits that survive reordering."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def shuffled(examples: list[Example]) -> tuple[Example, ...]:
    """`examples` in the order of their names' hashes, so that any prefix is a fair sample."""
    return tuple(sorted(examples, key=lambda example: hash_fraction(example.image)))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def garment(article: str) -> str:
    """The catalogue's "Tshirts" as one would type it: "tshirt"."""
    word = SINGULAR.get(article, article.lower())
    if word.endswith("s") and not word.endswith(("ss", *PAIRS)) and article not in SINGULAR:
        word = word.removesuffix("s")
    return word


def fashion_captions(row: dict[str, Any]) -> tuple[str, ...]:
    """The title first, then phrases from the attributes: "women's red kurta", "a photo of a red
    kurta"."""
    thing, colour = garment(row["articleType"]), str(row["baseColour"]).lower()
    who, usage = GENDERS.get(row["gender"], ""), str(row.get("usage") or "").lower()
    coloured = thing if colour in ("", "na", "none", "nan") else f"{colour} {thing}"
    phrases = [row["title"], f"{who} {coloured}", f"a photo of a {coloured}", coloured]
    if usage not in ("", "na", "none", "nan"):
        phrases.append(f"{usage} {who} {coloured}")
    return tuple(" ".join(phrase.split()) for phrase in phrases)


def fashion_held_out(titles: list[str], count: int) -> set[str]:
    """The `count` distinct titles with the smallest hashes: all pictures of a title fall on the
    same side."""
    distinct = {title.casefold().strip() for title in titles}
    return set(sorted(distinct, key=hash_fraction)[:count])


def load_flickr(data: Path, name: str, captions: int) -> Corpus:
    rows = read_jsonl(data / f"{name}.jsonl")
    held_out = name.endswith("dev")
    examples = tuple(
        Example("flickr", row["image"], tuple(row["captions"][:captions]), held_out) for row in rows
    )
    return Corpus(name, data / f"{name}.tar", examples)


def load_fashion(data: Path) -> Corpus:
    rows = read_jsonl(data / "fashion_large.jsonl")
    kept = fashion_held_out([row["title"] for row in rows], FASHION_HELD_OUT)
    examples = tuple(
        Example(
            "fashion", row["image"], fashion_captions(row), row["title"].casefold().strip() in kept
        )
        for row in rows
    )
    return Corpus("fashion_large", data / "fashion_large.tar", examples)


def load_grocery(data: Path, name: str) -> Corpus:
    """`grocery_train` or `grocery_val`, the second kept for evaluation."""
    examples = []
    for row in read_jsonl(data / f"{name}.jsonl"):
        label, coarse = (
            row["label"].replace("-", " ").lower(),
            row["coarse"].replace("-", " ").lower(),
        )
        captions = (f"a photo of {label}", label, f"{label}, {coarse}", f"a photo of {coarse}")
        examples.append(Example("grocery", row["image"], captions, name.endswith("val")))
    return Corpus(name, data / f"{name}.tar", shuffled(examples))


def load_clothing(data: Path) -> Corpus:
    """Phone photos of garments; labels that name no garment are left out."""
    examples = []
    for row in read_jsonl(data / "clothing.jsonl"):
        label = row["label"].lower()
        if label in ("not sure", "other", "skip"):
            continue
        whose = "kids " if row["kids"] else ""
        captions = (
            f"a photo of a {whose}{label}",
            f"{whose}{label} lying on the floor",
            f"{whose}{label}",
        )
        examples.append(Example("clothing", row["image"], captions))
    return Corpus("clothing", data / "clothing.tar", shuffled(examples))


def load_renders(folder: Path) -> Corpus:
    """Drawn pictures with exact captions: `captions.jsonl` beside the JPEG files."""
    rows = read_jsonl(folder / "captions.jsonl")
    examples = tuple(
        Example(
            "renders",
            row["image"],
            tuple(row["captions"]),
            hash_fraction(row["image"]) < RENDERS_HELD_OUT,
        )
        for row in rows
    )
    return Corpus("renders", folder, examples)


def load_all(data: Path, renders: Path | None, flickr_captions: int = 5) -> list[Corpus]:
    """Every corpus of the recipe, training and evaluation; a missing set is simply not in the
    list."""
    loaders: list[tuple[Path, Callable[[], Corpus]]] = [
        (data / "flickr8k_dev.jsonl", lambda: load_flickr(data, "flickr8k_dev", flickr_captions)),
        (
            data / "flickr8k_train0.jsonl",
            lambda: load_flickr(data, "flickr8k_train0", flickr_captions),
        ),
        (
            data / "flickr8k_train1.jsonl",
            lambda: load_flickr(data, "flickr8k_train1", flickr_captions),
        ),
        (data / "fashion_large.jsonl", lambda: load_fashion(data)),
        (data / "grocery_train.jsonl", lambda: load_grocery(data, "grocery_train")),
        (data / "grocery_val.jsonl", lambda: load_grocery(data, "grocery_val")),
        (data / "clothing.jsonl", lambda: load_clothing(data)),
    ]
    if renders is not None:
        loaders.append((renders / "captions.jsonl", lambda: load_renders(renders)))
    return [load() for path, load in loaders if path.exists()]
