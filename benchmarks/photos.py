"""JPEGs of any number and size, made of those of sample_data, for benchmarks that read pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SAMPLES = Path(__file__).parents[1] / "sample_data" / "photos"
SIZES = {"12": (4000, 3000), "2": (1600, 1200), "0.2": (520, 390)}  # megapixels: width, height


def paint(folder: Path, size: tuple[int, int], count: int) -> list[Path]:
    """`count` different JPEGs with the edges of photos and the noise of a sensor."""
    folder.mkdir(parents=True)
    samples = sorted(SAMPLES.glob("*.jpg"))
    random = np.random.default_rng(0)
    width, height = size
    noise = random.normal(0, 4, (height, width, 1)).astype(np.float32)
    paths = []
    for number in range(count):
        photo = Image.open(samples[number % len(samples)]).convert("RGB")
        pixels = np.asarray(photo.resize(size, Image.Resampling.BICUBIC), np.float32)
        pixels = pixels + np.roll(noise, int(random.integers(1, height)), axis=0)
        path = folder / f"{number:04}.jpg"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        paths.append(path)
    return paths
