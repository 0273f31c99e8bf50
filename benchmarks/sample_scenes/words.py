"""Honest captions for a scene, in one wording or in several."""

from __future__ import annotations

import random
from dataclasses import dataclass

from settings import Setting
from thing import Thing


@dataclass(frozen=True)
class Piece:
    """One thing in a picture, with the colour and material it has there."""

    thing: Thing
    colour: str
    material: str


@dataclass(frozen=True)
class Scene:
    """One picture: one or two things in a place."""

    pieces: tuple[Piece, ...]
    setting: Setting

    @property
    def name(self) -> str:
        """A file name without its ending."""
        things = "-and-".join(f"{p.colour}-{p.thing.kind}" for p in self.pieces)
        return f"{things}-{self.setting.name}"


def article(words: str) -> str:
    """The words with ``a`` or ``an`` before them."""
    return ("an " if words[0] in "aeiou" and not words.startswith("uni") else "a ") + words


def long_name(piece: Piece) -> str:
    """``red plastic toy car`` or the kind's own phrase."""
    material = "" if piece.material in ("fresh", "gem", "spotted") else piece.material
    words = piece.thing.phrase.format(colour=piece.colour, material=material, noun=piece.thing.noun)
    return " ".join(words.split())


def short_name(piece: Piece, noun: str | None = None) -> str:
    """``red toy car``, with another *noun* for the same thing if given."""
    if noun is None:
        return piece.thing.short.format(colour=piece.colour, noun=piece.thing.noun)
    if "with" in piece.thing.short or "in" in piece.thing.short.split():
        return noun
    return f"{piece.colour} {noun}"


def caption(scene: Scene) -> str:
    """The plain caption of a scene."""
    things = " and ".join(article(long_name(p)) for p in scene.pieces)
    return f"{things} {scene.setting.phrase}"


def paraphrases(scene: Scene, rng: random.Random) -> list[str]:
    """Four or five captions of one scene in different words."""
    places = (scene.setting.phrase, *scene.setting.others)
    short = " and ".join(short_name(p) for p in scene.pieces)
    shorts = " and ".join(article(short_name(p)) for p in scene.pieces)
    other = " and ".join(article(short_name(p, rng.choice(p.thing.synonyms))) for p in scene.pieces)
    bare = " and ".join(p.thing.noun for p in scene.pieces)
    said = [
        caption(scene),
        short,
        f"{rng.choice(('a photo of ', 'a picture of ', ''))}{shorts} {rng.choice(places)}",
        f"{other} {rng.choice(places)}",
    ]
    if rng.random() < 0.5:
        said.append(
            rng.choice(
                (bare, rng.choice(scene.pieces[0].thing.synonyms), f"{bare} {rng.choice(places)}")
            )
        )
    return list(dict.fromkeys(said))
