"""Captions through a text tower in bulk: ours, and open_clip's own `encode_text` of padded rows.

    python benchmarks/text_indexing.py --model ViT-B-32
    python benchmarks/text_indexing.py --model mini --json

The captions are those of sample_data, in batches of one size for both, which take turns; the best
round counts. `tokens` is how many of a row matter on average, of all that it has. `cosine` is the
least between the vectors of both. `--model ViT-B-32` is a ViT-B/32 of random weights.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from indexing_speed import model_name
from photos import SAMPLES

from mmsearch.encoders.open_clip_encoder import OpenClipEncoder, load_open_clip
from mmsearch.encoders.precision import cpu_name
from mmsearch.encoders.text_padding import token_lengths


def padded(encoder: OpenClipEncoder, texts: list[str]) -> Any:
    """(n, d) unit rows, as open_clip's own examples encode them."""
    size = encoder.batch_size
    with torch.inference_mode():
        rows = [
            encoder.model.encode_text(
                encoder.tokenizer(texts[start : start + size]).to(encoder.device), normalize=True
            )
            for start in range(0, len(texts), size)
        ]
    return torch.cat(rows).float().cpu().numpy()


def per_second(encode: Callable[[], Any], count: int) -> float:
    started = time.perf_counter()
    encode()
    return count / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    captions = SAMPLES.parent / "captions.json"
    texts = list(json.loads(captions.read_text(encoding="utf-8")).values())
    with model_name(options.model) as name:
        encoder = load_open_clip(name, options.device)
    tokens = encoder.tokenizer(texts)
    cosines = np.einsum("nd,nd->n", encoder.encode_texts(texts), padded(encoder, texts))
    rounds = [
        (
            per_second(lambda: encoder.encode_texts(texts), len(texts)),
            per_second(lambda: padded(encoder, texts), len(texts)),
        )
        for _ in range(options.rounds)
    ]
    ours, theirs = (max(rates) for rates in zip(*rounds, strict=True))
    out = {
        "cpu": cpu_name(),
        "model": options.model,
        "device": options.device,
        "texts": len(texts),
        "batch": encoder.batch_size,
        "tokens": round(float(token_lengths(encoder.model, tokens).float().mean()), 1),
        "of": tokens.shape[1],
        "ours_per_s": round(ours, 1),
        "open_clip_per_s": round(theirs, 1),
        "times": round(ours / theirs, 2),
        "cosine": round(float(cosines.min()), 6),
    }
    print(json.dumps(out) if options.json else "\n".join(f"{k:16} {v}" for k, v in out.items()))


if __name__ == "__main__":
    main()
