"""A picture and changed copies of it, from which a model learns what does not matter."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from mmsearch.training.data import IMAGE_SIZE

# Of a random crop: smallest share of the area, strongest stretch (as a logarithm), and how far
# brightness, contrast and saturation may go. Captions name what stands at the edges too, so
# crops are milder than those of ImageNet training.
SMALLEST_AREA = 0.5
STRETCH = 0.2
COLOURS = (0.75, 1.3)


def view(encoded: bytes, number: int, seed: int) -> NDArray[np.uint8]:
    """View `number` of a picture, (224, 224, 3) bytes: odd ones are mirrored, those from 2 on are
    random crops in other light.

    View 0 is what the model's preprocessing makes of the picture. The others depend on the
    number and on `seed` alone.
    """
    from PIL import Image, ImageEnhance

    with Image.open(io.BytesIO(encoded)) as opened:
        image = opened.convert("RGB")
    size = (IMAGE_SIZE, IMAGE_SIZE)
    if number < 2:
        image = image.resize(size, Image.Resampling.BICUBIC)
    else:
        random = np.random.default_rng((seed, number))
        area, stretch = random.uniform(SMALLEST_AREA, 1), np.exp(random.uniform(-STRETCH, STRETCH))
        width = image.width * min(1.0, float(np.sqrt(area * stretch)))
        height = image.height * min(1.0, float(np.sqrt(area / stretch)))
        left = random.uniform(0, image.width - width)
        top = random.uniform(0, image.height - height)
        box = (left, top, left + width, top + height)
        image = image.resize(size, Image.Resampling.BICUBIC, box=box)
        for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = change(image).enhance(random.uniform(*COLOURS))
    pixels = np.asarray(image, dtype=np.uint8)
    return np.ascontiguousarray(pixels[:, ::-1] if number % 2 else pixels)
