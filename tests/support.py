"""A small real encoder and a small world of pictures, for tests that are not about models."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 40),
    "blue": (40, 60, 220),
    "yellow": (230, 220, 40),
    "white": (250, 250, 250),
    "black": (10, 10, 10),
}


class ColourEncoder:
    """Joint space of average colours: pictures by their pixels, texts by their colour words."""

    name = "colours"
    fingerprint = "c0105"
    dim = 16
    image_size = 32
    batch_size = 4

    def __init__(
        self, fingerprint: str = "c0105", *, name: str = "colours", dim: int = 16, seed: int = 7
    ) -> None:
        self.fingerprint = fingerprint
        self.name = name
        self.dim = dim
        self.encoded_images = 0
        self.encoded_texts = 0
        self._project = np.random.default_rng(seed).normal(size=(3, dim)).astype(np.float32)

    def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        size = (self.image_size, self.image_size)
        return np.asarray(image.convert("RGB").resize(size), np.uint8)

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.encoded_images += len(pixels)
        return self._embed(pixels.reshape(len(pixels), -1, 3).mean(axis=1))

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.encoded_texts += len(texts)
        return self._embed(np.array([_colour_of(text) for text in texts], np.float32))

    def _embed(self, colours: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        # Not by a matrix product, of which the last bits depend on how many rows there are.
        vectors = np.einsum("nc,cd->nd", colours - 120, self._project).astype(np.float32)
        unit: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


class TurnedEncoder(ColourEncoder):
    """A DerivedEncoder: the vectors of `base`, turned by a fixed rotation."""

    def __init__(
        self, base: ColourEncoder, fingerprint: str = "70b1ed", *, reuses_images: bool = True
    ) -> None:
        super().__init__(fingerprint, name="turned", dim=base.dim)
        self.base = base
        self.reuses_images = reuses_images
        square = np.random.default_rng(5).normal(size=(base.dim, base.dim))
        self._turn = np.linalg.qr(square)[0].astype(np.float32)

    def adapt_images(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        assert self.reuses_images
        return np.asarray(np.einsum("nd,de->ne", rows, self._turn), np.float32)

    def adapt_texts(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(np.einsum("nd,de->ne", rows, self._turn), np.float32)

    def _embed(self, colours: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return self.adapt_texts(self.base._embed(colours))


def _colour_of(text: str) -> tuple[float, float, float]:
    known = [COLOURS[word] for word in text.lower().split() if word in COLOURS]
    if known:
        mean = np.mean(known, axis=0)
    else:  # any other text still stands somewhere, always at the same place
        mean = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=3).digest(), np.uint8)
    return float(mean[0]), float(mean[1]), float(mean[2])


def paint(path: Path, colour: str | tuple[int, int, int], size: int = 40) -> Path:
    """A picture of one colour, with a little noise so that every file differs."""
    base = COLOURS[colour] if isinstance(colour, str) else colour
    seed = int.from_bytes(hashlib.blake2b(path.name.encode(), digest_size=4).digest())
    noise = np.random.default_rng(seed).integers(-8, 8, (size, size, 3))
    pixels = np.clip(np.array(base) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def shop(folder: Path) -> Path:
    """Six pictures, two of them with words beside them, and a lone text."""
    for colour in COLOURS:
        paint(folder / f"{colour}.png", colour)
    (folder / "red.txt").write_text("a red square")
    (folder / "blue.txt").write_text("a blue square")
    (folder / "note.txt").write_text("something green")
    return folder
