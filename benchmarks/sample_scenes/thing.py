"""What the scene scripts know about one kind of thing."""

from __future__ import annotations

from dataclasses import dataclass

ANY = (
    "red",
    "blue",
    "green",
    "yellow",
    "orange",
    "purple",
    "pink",
    "white",
    "black",
    "brown",
    "turquoise",
)


@dataclass(frozen=True)
class Thing:
    """A kind of thing: its shape in POV-Ray's language, and the words for it.

    The shape stands on ``y = 0`` around the origin and is about two units
    tall or wide.  Parts without a texture of their own take the main material.
    """

    kind: str
    noun: str
    category: str
    sdl: str
    colours: tuple[str, ...] = ANY
    materials: tuple[str, ...] = ("plastic",)
    synonyms: tuple[str, ...] = ()
    price: float = 10.0
    phrase: str = "{colour} {material} {noun}"
    short: str = "{colour} {noun}"
    turn: tuple[float, float] = (-35.0, 35.0)
    scale: float = 1.0
    aim: float = 0.95
