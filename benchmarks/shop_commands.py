"""What the defaults of `mmsearch duplicates` and `mmsearch tag` rest on.

    python benchmarks/shop_commands.py [--model mini] [--photos PHOTOS.tar]

Duplicates: copies of pictures (saved again, made smaller, cropped, brightened) against their
originals, and pictures of different things against each other. Tags: the colours, categories and
kinds of sample_data against those in its table. `--photos` adds real photographs, a tar of JPEGs.
"""

from __future__ import annotations

import argparse
import csv
import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

import mmsearch
from mmsearch.encoders.open_clip_encoder import load_encoder
from mmsearch.evaluation.labels import DEFAULT_TEMPLATES, label_vectors
from mmsearch.images import decode
from mmsearch.tagging import CLIP_TEMPERATURE, confidences, temperature_of
from mmsearch.types import Encoder

SAMPLE = Path(__file__).parent.parent / "sample_data"
Copy = Callable[[Image.Image], Image.Image]
Rows = npt.NDArray[np.float32]


def saved(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Without `share` of the width and the height."""
    width, height = image.size
    x, y = round(width * share / 2), round(height * share / 2)
    return image.crop((x, y, width - x, height - y))


COPIES: dict[str, Copy] = {
    "saved again, quality 80": lambda image: saved(image, 80),
    "saved again, quality 40": lambda image: saved(image, 40),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "cropped by 5 %": lambda image: cropped(image, 0.05),
    "cropped by 10 %": lambda image: cropped(image, 0.10),
    "cropped by 20 %": lambda image: cropped(image, 0.20),
    "20 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
}
THRESHOLDS = (0.90, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99)


def embed(images: Sequence[Image.Image], encoder: Encoder) -> Rows:
    parts = []
    for start in range(0, len(images), encoder.batch_size):
        batch = [encoder.preprocess(one) for one in images[start : start + encoder.batch_size]]
        parts.append(encoder.encode_images(np.stack(batch)))
    return np.concatenate(parts)


def photos(tar: Path, count: int) -> Iterator[Image.Image]:
    with tarfile.open(tar) as archive:
        members = [one for one in archive if one.name.lower().endswith((".jpg", ".jpeg"))]
        for member in members[:count]:
            file = archive.extractfile(member)
            assert file is not None
            yield decode(file.read(), 512).image


def report_duplicates(
    name: str, images: Sequence[Image.Image], vectors: Rows, copied: int, encoder: Encoder
) -> None:
    """Copies of the first `copied` images against these; all images against each other."""
    apart = (vectors @ vectors.T)[np.triu_indices(len(images), k=1)]
    print(f"\n{name}: {len(images)} pictures, {len(apart)} pairs of different ones")
    print("share at or above       " + "".join(f"{one:>9.2f}" for one in THRESHOLDS) + "  lowest")
    for what, copy in COPIES.items():
        copies = embed([copy(one) for one in images[:copied]], encoder)
        print_shares(what, (vectors[:copied] * copies).sum(axis=1))
    print_shares("different pictures", apart)
    print(f"the most alike of different ones: {np.sort(apart)[::-1][:5].round(3).tolist()}")


def print_shares(what: str, cosines: Rows) -> None:
    shares = "".join(f"{(cosines >= one - 1e-6).mean():>9.3%}" for one in THRESHOLDS)
    print(f"{what:<24}{shares}  {cosines.min():.3f}")


def report_tags(pictures: Rows, rows: Sequence[dict[str, str]], encoder: Encoder) -> None:
    temperature = temperature_of(encoder.name) or CLIP_TEMPERATURE
    single = [number for number, row in enumerate(rows) if row["group"] != "set"]
    print(f"\ntags of {len(single)} single things, temperature {temperature:.1f}")
    for column in ("colour", "category", "group"):
        true = np.array([rows[number][column] for number in single])
        labels = sorted(set(true))
        worded = [one.replace("{}", label) for label in labels for one in DEFAULT_TEMPLATES]
        vectors = label_vectors(encoder.encode_texts(worded), len(DEFAULT_TEMPLATES))
        likely = confidences(pictures[single], vectors, temperature)
        right = np.array(labels)[likely.argmax(axis=1)] == true
        best = likely.max(axis=1)
        line = f"{column:<9} {len(labels)} labels  accuracy {right.mean():.3f}"
        for least in (0.5, 0.7, 0.9):
            sure = best >= least
            line += f"  at {least} {right[sure].mean():.3f} of {sure.mean():.2f}"
        print(line)


def report_multi(pictures: Rows, rows: Sequence[dict[str, str]], encoder: Encoder) -> None:
    """All pictures, also those of two things, whose colour is "red and blue"."""
    temperature = temperature_of(encoder.name) or CLIP_TEMPERATURE
    sets = [set(row["colour"].split(" and ")) for row in rows]
    labels = sorted(set().union(*sets))
    vectors = label_vectors(encoder.encode_texts([f"a photo of {one}" for one in labels]), 1)
    likely = confidences(pictures, vectors, temperature)
    true = np.array([[label in one for label in labels] for one in sets])
    line = f"colours   of {len(rows)} pictures, {(true.sum(axis=1) > 1).sum()} with two: F1"
    for least in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5):
        given = likely >= least
        line += f"  at {least} {2 * (given & true).sum() / (given.sum() + true.sum()):.3f}"
    print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--copied", type=int, default=60, help="pictures of each set")
    parser.add_argument("--different", type=int, default=500, help="photos to tell apart")
    parser.add_argument("--photos", type=Path)
    arguments = parser.parse_args()
    encoder = load_encoder(arguments.model)
    print(f"mmsearch {mmsearch.__version__}, {encoder.name} {encoder.fingerprint}")
    with (SAMPLE / "products.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    images = [decode(SAMPLE / row["image"], 512).image for row in rows]
    vectors = embed(images, encoder)
    report_tags(vectors, rows, encoder)
    report_multi(vectors, rows, encoder)
    report_duplicates("sample_data", images, vectors, arguments.copied, encoder)
    if arguments.photos is not None:
        taken = list(photos(arguments.photos, arguments.different))
        vectors = embed(taken, encoder)
        report_duplicates(arguments.photos.name, taken, vectors, arguments.copied, encoder)


if __name__ == "__main__":
    main()
