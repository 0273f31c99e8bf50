"""The sample shop's product list and graded queries, from what was put in the scenes."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from words import Piece, Scene, caption

PARTLY_COLOURED = {"snowman", "ring", "house", "bed", "plant", "lamp", "rocket"}
MADE_OF = {"ring": ("metal",), "bed": ("fabric", "wooden")}
SEATS = ("chair", "stool", "sofa")


@dataclass(frozen=True)
class Wanted:
    """What a query asks of one thing in a picture; empty fields ask for nothing."""

    kinds: tuple[str, ...] = ()
    colour: str = ""
    category: str = ""
    material: str = ""

    def grade(self, piece: Piece) -> int:
        """2: all that is asked; 1: the kind in another colour, or a part in the colour."""
        if self.kinds and piece.thing.kind not in self.kinds:
            return 0
        if self.category and piece.thing.category != self.category:
            return 0
        if self.material and self.material not in MADE_OF.get(piece.thing.kind, (piece.material,)):
            return 0
        if not self.colour:
            return 2
        if piece.colour != self.colour:
            return 1 if self.kinds else 0
        return 1 if not self.kinds and piece.thing.kind in PARTLY_COLOURED else 2


@dataclass(frozen=True)
class Query:
    """A text query and what it asks for: things, a place, or both."""

    text: str
    things: tuple[Wanted, ...] = ()
    setting: str = ""

    def grade(self, scene: Scene) -> int:
        """How well a scene answers: 2 exactly, 1 in part, 0 not at all."""
        here = scene.setting.name == self.setting
        if not self.things:
            return 2 if here else 0
        grades = [max(wanted.grade(piece) for piece in scene.pieces) for wanted in self.things]
        if len(grades) > 1:
            return 2 if min(grades) == 2 else int(max(grades) == 2)
        if not self.setting:
            return grades[0]
        if here:
            return grades[0] or int(not self.things[0].kinds)
        return int(grades[0] == 2 and bool(self.things[0].kinds))


def _kind(text: str, *kinds: str, colour: str = "", setting: str = "") -> Query:
    return Query(text, (Wanted(kinds=kinds, colour=colour),), setting)


def queries() -> Iterator[Query]:
    """About sixty queries: kinds, colours, places, materials, synonyms and uses."""
    for text, kind in (
        ("car", "car"),
        ("teapot", "teapot"),
        ("banana", "banana"),
        ("guitar", "guitar"),
        ("rubber duck", "duck"),
        ("snowman", "snowman"),
        ("flower", "flower"),
        ("book", "book"),
    ):
        yield _kind(text, kind)
    for colour, noun, kind in (
        ("red", "car", "car"),
        ("blue", "car", "car"),
        ("red", "mug", "mug"),
        ("red", "chair", "chair"),
        ("red", "apple", "apple"),
        ("red", "umbrella", "umbrella"),
        ("red", "sofa", "sofa"),
        ("yellow", "car", "car"),
        ("red", "ball", "ball"),
        ("brown", "table", "table"),
        ("blue", "teapot", "teapot"),
        ("yellow", "duck", "duck"),
        ("green", "book", "book"),
    ):
        yield _kind(f"{colour} {noun}", kind, colour=colour)
    for colour in ("red", "blue", "purple", "orange", "turquoise", "black"):
        yield Query(f"something {colour}", (Wanted(colour=colour),))
    for text, place in (
        ("on the beach", "beach"),
        ("in the snow", "snow"),
        ("brick wall", "brick-wall"),
        ("on a green lawn", "grass"),
        ("night scene with stars", "night"),
        ("black and white tiles", "checked-floor"),
    ):
        yield Query(text, setting=place)
    yield Query("toys on the beach", (Wanted(category="toys"),), "beach")
    yield Query("toys in the snow", (Wanted(category="toys"),), "snow")
    yield Query("furniture on the grass", (Wanted(category="furniture"),), "grass")
    yield _kind("red car on a sandy beach", "car", colour="red", setting="beach")
    yield _kind("red ball on the grass", "ball", colour="red", setting="grass")
    yield _kind("candle at night", "candle", setting="night")
    yield Query("a car and a ball", (Wanted(("car",)), Wanted(("ball",))))
    yield Query("a teapot and a mug", (Wanted(("teapot",)), Wanted(("mug",))))
    yield Query(
        "red apple and yellow banana", (Wanted(("apple",), "red"), Wanted(("banana",), "yellow"))
    )
    yield Query("glass things", (Wanted(material="glass"),))
    yield Query("things made of metal", (Wanted(material="metal"),))
    yield Query("wooden furniture", (Wanted(category="furniture", material="wooden"),))
    yield Query("fruit", (Wanted(category="fruit"),))
    yield Query("furniture", (Wanted(category="furniture"),))
    yield Query("children's toys", (Wanted(category="toys"),))
    for text, kinds in (
        ("automobile", ("car",)),
        ("timepiece", ("clock",)),
        ("couch", ("sofa",)),
        ("pail", ("bucket",)),
        ("wrapped present", ("gift",)),
        ("spaceship", ("rocket",)),
        ("locomotive", ("train",)),
        ("sailboat", ("boat",)),
        ("toadstool", ("mushroom",)),
        ("parasol", ("umbrella",)),
        ("houseplant", ("plant",)),
        ("something to sit on", SEATS),
        ("something to drink from", ("mug", "wineglass")),
        ("gives light", ("lamp", "candle")),
    ):
        yield _kind(text, *kinds)


COLUMNS = (
    "key",
    "group",
    "title",
    "category",
    "colour",
    "price",
    "stock",
    "image",
    "caption",
)


def write_catalogue(out: Path, scenes: list[Scene], seed: int) -> None:
    """Write products.csv and what evaluation needs.

    The judgements lie in .json files, which `mmsearch index` does not take for tables.
    """
    rng = random.Random(seed)
    photos = {f"photos/{scene.name}.jpg": scene for scene in scenes}
    with (out / "products.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for number, (image, scene) in enumerate(photos.items(), 1):
            table.writerow((f"P{number:03d}", *_row(scene, rng), image, caption(scene)))
    judged: dict[str, dict[str, int]] = {}
    for query in queries():
        grades = {image: query.grade(scene) for image, scene in photos.items()}
        if 2 in grades.values():
            judged[query.text] = {image: grade for image, grade in grades.items() if grade}
    captions = {image: caption(scene) for image, scene in photos.items()}
    for name, content in (("qrels", judged), ("captions", captions)):
        text = json.dumps(content, indent=1) + "\n"
        (out / f"{name}.json").write_text(text, encoding="utf-8")


def _row(scene: Scene, rng: random.Random) -> tuple[str, str, str, str, str, int]:
    """Group, title, category, colour, price and stock of one picture's product."""
    price = sum(piece.thing.price for piece in scene.pieces) * rng.uniform(0.85, 1.25)
    if len(scene.pieces) > 1:
        group, category = "set", "sets"
        title = "Set: " + " and ".join(f"{p.colour} {p.thing.noun}" for p in scene.pieces)
    else:
        piece = scene.pieces[0]
        group, category = piece.thing.kind, piece.thing.category
        title = f"{piece.thing.noun.capitalize()}, {piece.colour}"
    colour = " and ".join(dict.fromkeys(p.colour for p in scene.pieces))
    return group, title, category, colour, f"{price:.2f}", rng.randrange(0, 40)
