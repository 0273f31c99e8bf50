"""How near an index run comes to what decoding and encoding allow.

    python benchmarks/indexing_speed.py --quick
    python benchmarks/indexing_speed.py --model ViT-B-32 --precision auto --sizes 0.2 --count 2000

For JPEGs of 12, 2 and 0.2 MP (photos of sample_data enlarged, with a sensor's noise): decoding
alone, encoding alone, and a whole `index` run with the encoder loaded, in pictures a second. Both
stages alone have all cores, in a run they share them: no run can be faster than the `ceiling`
1 / (1 / decode + 1 / encode), nor of course than the slower one. `cpu_ms` is processor time per
picture; on a machine with other work on it, it says more than the clock: `cpu_overhead` is what a
run spends beyond its two stages, `busy` how much of all cores it got hold of.

A model of open_clip's, such as ViT-B-32, gets random weights: its speed is that of any, its vectors
mean nothing. A run has some costs of its own, whatever its size: `--count` says how many pictures.
`one_by_one` is open_clip's own way, batches of one in fp32 with all threads; on one core it has no
barriers to wait at, and `one_core_of_one_by_one` compares processor time with that. Prints JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from photos import SIZES, paint

import mmsearch
from mmsearch.encoders.open_clip_encoder import OpenClipEncoder, load_open_clip
from mmsearch.encoders.precision import cpu_name
from mmsearch.encoders.torchvision_shim import import_open_clip
from mmsearch.images import decode, read
from mmsearch.pool import default_workers, in_order

COUNTS = {"12": (16, 48), "2": (64, 192), "0.2": (128, 512)}  # quick, full


def rate(work: Callable[[], int]) -> dict[str, float]:
    """Pictures a second, and processor time per picture, of one call that does so many."""
    started, cpu = time.perf_counter(), time.process_time()
    done = work()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {
        "per_s": done / seconds,
        "cpu_ms": 1e3 * cpu / done,
        "busy": cpu / seconds / (os.cpu_count() or 1),
    }


def decode_all(encoder: OpenClipEncoder, paths: list[Path]) -> Iterator[np.ndarray[Any, Any]]:
    def one(path: Path) -> np.ndarray[Any, Any]:
        return encoder.preprocess(decode(read(path), encoder.image_size).image)

    workers = default_workers()
    return in_order(paths, one, workers=workers, window=lambda: 4 * workers)


def encode_all(encoder: OpenClipEncoder, pixels: np.ndarray[Any, Any]) -> int:
    """As an index run does it: the next batch is begun before the last one is waited for."""
    size = encoder.batch_size
    waiting: list[Callable[[], Any]] = []
    for start in range(0, len(pixels), size):
        waiting.append(encoder.start_images(pixels[start : start + size]))
        if len(waiting) > 1:
            waiting.pop(0)()
    for rest in waiting:
        rest()
    return len(pixels)


def index(encoder: OpenClipEncoder, folder: Path, collection: Path) -> tuple[int, str]:
    with mmsearch.open(collection, create=True, encoder=encoder) as opened:
        report = opened.index([folder])
    shutil.rmtree(collection)
    assert not report.failures, report.failures
    return report.encoded_images, report.bottleneck


def one_by_one(encoder: OpenClipEncoder, pixels: np.ndarray[Any, Any]) -> int:
    with torch.inference_mode():
        for picture in pixels:
            batch = encoder.normalised(picture[None])
            encoder.model.encode_image(batch, normalize=True)
    return len(pixels)


def best(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The quickest round, with the median processor time."""
    chosen = max(rounds, key=lambda one: one["per_s"])
    chosen["cpu_ms"] = statistics.median(one["cpu_ms"] for one in rounds)
    return {name: round(value, 2) for name, value in chosen.items()}


def measure(encoder: OpenClipEncoder, folder: Path, size: str, rounds: int) -> dict[str, Any]:
    paths = sorted((folder / size).iterdir())
    pixels = np.stack(list(decode_all(encoder, paths)))
    encode_all(encoder, pixels)  # warms up, and lets `auto` decide
    stages: dict[str, list[dict[str, float]]] = {"decode": [], "encode": [], "index": []}
    bottleneck = ""

    def run() -> int:
        nonlocal bottleneck
        done, bottleneck = index(encoder, folder / size, folder / "collection")
        return done

    for _ in range(rounds):  # in turn, so that other work on the machine meets all alike
        stages["decode"].append(rate(lambda: sum(1 for _ in decode_all(encoder, paths))))
        stages["encode"].append(rate(lambda: encode_all(encoder, pixels)))
        stages["index"].append(rate(run))
    out: dict[str, Any] = {name: best(found) for name, found in stages.items()}
    d, e, i = (out[name]["per_s"] for name in ("decode", "encode", "index"))
    ceiling = 1 / (1 / d + 1 / e)
    both = out["decode"]["cpu_ms"] + out["encode"]["cpu_ms"]
    return {
        "megapixels": size,
        "pictures": len(paths),
        **out,
        "bottleneck": bottleneck,
        "ceiling_per_s": round(ceiling, 2),
        "ceiling_of_slower_stage": round(ceiling / min(d, e), 3),
        "index_of_ceiling": round(i / ceiling, 3),
        "index_of_slower_stage": round(i / min(d, e), 3),
        "cpu_overhead": round(out["index"]["cpu_ms"] / both - 1, 3),
    }


@contextlib.contextmanager
def model_name(model: str) -> Iterator[str]:
    """What `load_open_clip` takes: an architecture is made for the occasion."""
    open_clip = import_open_clip()
    if model not in open_clip.list_models():
        yield model
        return
    with tempfile.TemporaryDirectory() as scratch:
        torch.manual_seed(0)
        torch.save(open_clip.create_model(model).state_dict(), Path(scratch) / "random.pt")
        yield f"{model}={scratch}/random.pt"


def single(encoder: OpenClipEncoder, threads: int) -> dict[str, float]:
    """`one_by_one` with so many threads."""
    side = encoder.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (8, side, side, 3), np.uint8)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        one_by_one(encoder, pixels[:2])
        return best([rate(lambda: one_by_one(encoder, pixels)) for _ in range(2)])
    finally:
        torch.set_num_threads(before)


def of_model(model: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    notes: list[str] = []
    with model_name(model) as name:
        encoder = load_open_clip(name, device="cpu", on_note=notes.append)
    encoder.use_precision(options.precision)
    paint(folder / f"warm-{model}", (64, 64), 2)
    index(encoder, folder / f"warm-{model}", folder / "collection")  # imports, first calls
    rows = []
    for size in options.sizes:
        print(f"{model}, {size} MP", file=sys.stderr)
        rows.append(measure(encoder, folder, size, 1 if options.quick else 3))
    threads = torch.get_num_threads()
    all_cores, one_core = single(encoder, threads), single(encoder, 1)
    quickest = max(row["encode"]["per_s"] for row in rows)
    least = min(row["encode"]["cpu_ms"] for row in rows)
    return {
        "model": model,
        "fingerprint": encoder.fingerprint,
        "precision": encoder.precision,
        "batch_size": encoder.batch_size,
        "notes": notes,
        "one_by_one": all_cores,
        "one_by_one_on_one_core": one_core,
        "encode_of_one_by_one": round(quickest / all_cores["per_s"], 2),
        "one_core_of_one_by_one": round(one_core["cpu_ms"] / least, 2),
        "sizes": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", help="by default mini and ViT-B-32")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16", "int8"], default="auto")
    parser.add_argument("--sizes", nargs="*", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--count", type=int, help="pictures of each size")
    parser.add_argument("--quick", action="store_true", help="fewer pictures, one round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["MMSEARCH_CACHE"] = str(folder / "cache")  # a random model is met only once
        for size in options.sizes:
            count = options.count or COUNTS[size][0 if options.quick else 1]
            paint(folder / size, SIZES[size], count)
        models = options.model or ["mini", "ViT-B-32"]
        results = [of_model(model, options, folder) for model in models]
    report = {
        "version": mmsearch.__version__,
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg(),
        "models": results,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
