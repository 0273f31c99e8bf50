"""Indexing on a CUDA GPU: the model alone, decoding alone, and a whole run.

    python benchmarks/gpu_indexing.py --model ViT-B-32 --peak-tflops 989

Pictures a second of: the model with pictures already on the device (`model`), `start_images` with
upload and download, two batches under way (`encode`), decoding in threads (`decode`), and `index`.
`of_peak` is the model's arithmetic against `--peak-tflops`, the card's dense bf16 figure (H100 SXM:
989). Checks that bf16 vectors stay near those of fp32 on the same card. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from indexing_speed import best, decode_all, encode_all, index, model_name, rate
from photos import SIZES, paint
from torch.utils.flop_counter import FlopCounterMode

import mmsearch
from mmsearch.encoders.open_clip_encoder import OpenClipEncoder, load_open_clip


def flops(encoder: OpenClipEncoder, pixels: np.ndarray[Any, Any]) -> int:
    """Of one picture, two per multiplication and addition."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        encoder.visual(encoder.normalised(pixels[:1]))
    return int(counter.get_total_flops())


def model_alone(encoder: OpenClipEncoder, pixels: np.ndarray[Any, Any], batches: int) -> int:
    resident = torch.from_numpy(pixels[: encoder.batch_size]).to(encoder.device)
    dtype = torch.bfloat16 if encoder.precision == "bf16" else torch.float32
    with (
        torch.inference_mode(),
        torch.autocast("cuda", dtype, enabled=dtype is torch.bfloat16),
    ):
        for _ in range(batches):
            encoder.visual(encoder.standardised(resident))
    torch.cuda.synchronize()
    return batches * len(resident)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--size", choices=list(SIZES), default="2", help="megapixels")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--peak-tflops", type=float, help="dense, of this card")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("error: there is no CUDA device here; run it on a machine that has one")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        paths = paint(folder / "photos", SIZES[options.size], options.pictures)
        with model_name(options.model) as name:
            encoder = load_open_clip(name, device="cuda", batch_size=options.batch_size)
        paint(folder / "warm", (64, 64), 2)
        index(encoder, folder / "warm", folder / "collection")
        pixels = np.stack(list(decode_all(encoder, paths)))
        encoder.use_precision("fp32")
        exact = encoder.encode_images(pixels[:64])
        encoder.use_precision(options.precision)
        cosines = np.einsum("nd,nd->n", exact, encoder.encode_images(pixels[:64]))
        model_alone(encoder, pixels, 3)
        stages = {
            "model": best([rate(lambda: model_alone(encoder, pixels, 30)) for _ in range(3)]),
            "encode": best([rate(lambda: encode_all(encoder, pixels)) for _ in range(3)]),
            "decode": best([rate(lambda: sum(1 for _ in decode_all(encoder, paths)))]),
            "index": best(
                [rate(lambda: index(encoder, folder / "photos", folder / "collection")[0])]
            ),
        }
        work = flops(encoder, pixels)
    tflops = work * stages["model"]["per_s"] / 1e12
    slower = min(stages["decode"]["per_s"], stages["encode"]["per_s"])
    report = {
        "version": mmsearch.__version__,
        "device": torch.cuda.get_device_name(),
        "cores": os.cpu_count(),
        "model": options.model,
        "fingerprint": encoder.fingerprint,
        "precision": encoder.precision,
        "batch_size": encoder.batch_size,
        "least_cosine_to_fp32": round(float(cosines.min()), 5),
        "gflop_per_picture": round(work / 1e9, 2),
        "tflops": round(tflops, 1),
        "of_peak": round(tflops / options.peak_tflops, 3) if options.peak_tflops else None,
        "index_of_slower_stage": round(stages["index"]["per_s"] / slower, 3),
        **stages,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
