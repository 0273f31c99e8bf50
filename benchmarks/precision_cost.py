"""What it costs answers when pictures are encoded a little wrong: recall against cosine.

    python benchmarks/precision_cost.py --data ../shared/data/flickr8k_dev

Encodes pictures and captions with a model in fp32, turns each picture's vector in a random
direction until its cosine with the right one is that of a column, and searches: `hit@10` is the
share of captions whose picture is among the first ten, `same@10` the share of the true first ten
that are still there. The data are NAME.tar of pictures and NAME.jsonl with `image` and `captions`.
An encoder's own error is not random, so this says which cosine is safe, not what int8 of a given
model costs: that is measured as the cosine, by each run's trial. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from mmsearch.encoders.open_clip_encoder import load_open_clip
from mmsearch.encoders.text_tower import open_text_tower
from mmsearch.images import decode

COSINES = (1.0, 0.9999, 0.9995, 0.999, 0.998, 0.995, 0.99, 0.98, 0.95)
SEEDS = 5
K = 10


def turned(rows: Any, cosine: float, seed: int) -> Any:
    """(n, d) unit rows at exactly `cosine` from `rows`, each in a direction of its own."""
    other = np.random.default_rng(seed).normal(size=rows.shape)
    other -= np.einsum("nd,nd->n", other, rows)[:, None] * rows
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    return cosine * rows + np.sqrt(1 - cosine**2) * other


def first(queries: Any, gallery: Any) -> Any:
    return np.argsort(-(queries @ gallery.T), axis=1, kind="stable")[:, :K]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/flickr8k_dev"))
    parser.add_argument("--model", default="mini")
    parser.add_argument("--captions", type=int, default=2, help="of each picture")
    options = parser.parse_args()
    lines = options.data.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    encoder = load_open_clip(options.model, device="cpu", batch_size=16)
    parts, batch, captions, owner = [], [], [], []
    with tarfile.open(options.data.with_suffix(".tar")) as tar:
        for number, row in enumerate(rows):
            member = tar.extractfile(row["image"])
            assert member is not None
            image = decode(member.read(), encoder.image_size).image
            batch.append(encoder.preprocess(image))
            if len(batch) == 64 or number == len(rows) - 1:
                parts.append(encoder.encode_images(np.stack(batch)))
                batch = []
            texts = row["captions"][: options.captions]
            captions += texts
            owner += [number] * len(texts)
    print(f"{len(rows)} pictures, {len(captions)} captions", file=sys.stderr)
    gallery = np.concatenate(parts).astype(np.float64)
    tower = open_text_tower(encoder.fingerprint, encoder.name) or encoder
    queries = tower.encode_texts(captions).astype(np.float64)
    right, truth = np.array(owner)[:, None], first(queries, gallery)
    table = []
    for cosine in COSINES:
        hits, same = [], []
        for seed in range(SEEDS):
            found = first(queries, turned(gallery, cosine, seed))
            hits.append(float((found == right).any(axis=1).mean()))
            pairs = zip(found, truth, strict=True)
            same.append(float(np.mean([len(set(a) & set(b)) / K for a, b in pairs])))
        table.append(
            {
                "cosine": cosine,
                "hit@10": round(float(np.mean(hits)), 4),
                "hit@10_spread": round(float(np.std(hits)), 4),
                "same@10": round(float(np.mean(same)), 4),
            }
        )
    print(
        json.dumps(
            {
                "model": encoder.name,
                "fingerprint": encoder.fingerprint,
                "data": options.data.name,
                "pictures": len(rows),
                "captions": len(captions),
                "rows": table,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
