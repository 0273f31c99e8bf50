"""The vector of a query by picture, by the image tower that is kept for ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmsearch.encoders.image_tower import open_image_tower
from mmsearch.images import decode

if TYPE_CHECKING:
    from pathlib import Path

    from mmsearch.types import Vectors


def encode(path: Path, fingerprint: str, precision: str | None) -> Vectors | None:
    """(d,) float32 unit vector, to the bit what `search.terms` makes of it among pictures that were
    encoded in `precision`; None: no such tower is kept. Raises ImageError, ModelError."""
    tower = open_image_tower(fingerprint, precision)
    if tower is None:
        return None
    pixels = tower.preprocess(decode(path, tower.image_size).image)
    vector: Vectors = tower.encode_images(pixels[None])[0]
    return vector
