"""Measure a COCO-sized evaluation, 25,000 captions and 5,000 pictures, both ways: time and memory.

    python benchmarks/evaluation_speed.py
    python benchmarks/evaluation_speed.py --json

The vectors are drawn here: unit rows of 512 numbers, five captions around each picture, so far
from it that some are missed. For comparison the same measures of a subset are taken the plain way,
a dict of scores per query through ir-measures. The whole set is measured in a process of its own,
whose peak memory is printed. Exit code 1: more than 20 s or 2 GB.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import mmsearch
from mmsearch.evaluation.evaluate import evaluate_embeddings
from mmsearch.evaluation.measures import DEFAULT_MEASURES
from mmsearch.evaluation.reference import trec_measures
from mmsearch.evaluation.statistics import evaluation_intervals
from mmsearch.evaluation.task import Subject, Task

if TYPE_CHECKING:
    from mmsearch.types import Vectors

DIM = 512
CAPTIONS = 5  # of each picture, as COCO has them
# Length of the noise on a caption beside a picture of length 1: hit@1 is 0.60 and 0.93.
NOISE = 5.7
LIMIT_S = 20.0
LIMIT_MB = 2048


def draw(pictures: int) -> tuple[Vectors, Vectors]:
    """(n, 512) unit pictures and (5 n, 512) unit captions around them, float32."""
    random = np.random.default_rng(1)
    images = random.standard_normal((pictures, DIM), np.float32)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    texts = np.repeat(images, CAPTIONS, axis=0)
    noise = random.standard_normal(texts.shape, np.float32)
    noise *= NOISE / np.sqrt(DIM)
    texts += noise
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    return images, texts


def tasks(pictures: int) -> dict[str, Task]:
    images = tuple(f"{n:06}.jpg" for n in range(pictures))
    texts = tuple(f"{image}#{n}" for image in images for n in range(CAPTIONS))
    shared = tuple(text.partition("#")[0] for text in texts)
    to_image = {text: {image: 1} for text, image in zip(texts, shared, strict=True)}
    to_text = {image: {f"{image}#{n}": 1 for n in range(CAPTIONS)} for image in images}
    there = Task("drawn", None, "text to image", texts, images, to_image, clusters=shared)
    back = Task("drawn", None, "image to text", images, texts, to_text, clusters=images)
    return {one.direction: one for one in (there, back)}


def whole(pictures: int) -> dict[str, Any]:
    """Both directions of all pictures, every default measure, then their intervals."""
    images, texts = draw(pictures)
    result: dict[str, Any] = {}
    total = 0.0
    for direction, task in tasks(pictures).items():
        queries, items = (texts, images) if direction == "text to image" else (images, texts)
        started = time.perf_counter()
        evaluation = evaluate_embeddings(task, queries, items, Subject("drawn", "none"))
        measured = time.perf_counter()
        intervals = evaluation_intervals(evaluation)
        done = time.perf_counter()
        total += measured - started
        hit = intervals["hit@1"]
        result[direction] = {
            "queries": len(task.queries),
            "gallery": len(task.items),
            "seconds": round(measured - started, 2),
            "intervals_seconds": round(done - measured, 2),
            "hit@1": [round(value, 4) for value in (hit.low, hit.estimate, hit.high)],
        }
    return result | {"seconds": round(total, 2)}


def subset(pictures: int, queries: int) -> dict[str, Any]:
    """The same gallery, the first `queries` captions: the array path against plain ir-measures."""
    images, texts = draw(pictures)
    task = tasks(pictures)["text to image"]
    asked = task.queries[:queries]
    part = replace(
        task,
        queries=asked,
        qrels={query: task.qrels[query] for query in asked},
        clusters=task.clusters[:queries],
    )
    rows = texts[:queries]
    started = time.perf_counter()
    fast = evaluate_embeddings(part, rows, images, Subject("drawn", "none")).measures
    between = time.perf_counter()
    scores = rows @ images.T
    run = {
        query: dict(zip(part.items, line.tolist(), strict=True))
        for query, line in zip(asked, scores, strict=True)
    }
    plain = trec_measures(part.qrels, run, asked, DEFAULT_MEASURES)
    done = time.perf_counter()
    worst = max(float(np.abs(fast[name] - values).max()) for name, values in plain.items())
    return {
        "queries": queries,
        "arrays_seconds": round(between - started, 3),
        "ir_measures_seconds": round(done - between, 3),
        "ratio": round((done - between) / (between - started), 1),
        "largest_difference": worst,
    }


def whole_in_its_own_process(pictures: int) -> dict[str, Any]:
    code = (
        "import json, resource, runpy, sys\n"
        "module = runpy.run_path(sys.argv[1])\n"
        "result = module['whole'](int(sys.argv[2]))\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "print(json.dumps(result | {'peak_rss_mb': peak}))\n"
    )
    command = [sys.executable, "-c", code, __file__, str(pictures)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(out)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--subset", type=int, default=500, help="queries for the comparison")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    result: dict[str, Any] = {
        "mmsearch": mmsearch.__version__,
        "numpy": np.__version__,
        "ir_measures": importlib.metadata.version("ir-measures"),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "measures": [str(measure) for measure in DEFAULT_MEASURES],
        "whole": whole_in_its_own_process(options.pictures),
        "subset": subset(options.pictures, options.subset),
    }
    within = result["whole"]["seconds"] < LIMIT_S and result["whole"]["peak_rss_mb"] < LIMIT_MB
    if options.json:
        print(json.dumps(result | {"within_limits": within}))
        return 0 if within else 1
    for direction in ("text to image", "image to text"):
        one = result["whole"][direction]
        low, hit, high = one["hit@1"]
        print(
            f"{direction}: {one['queries']} queries in {one['gallery']}: {one['seconds']:.2f} s, "
            f"intervals {one['intervals_seconds']:.2f} s, hit@1 {hit:.4f} ({low:.4f}-{high:.4f})"
        )
    print(
        f"both: {result['whole']['seconds']:.2f} s (limit {LIMIT_S:.0f}), peak "
        f"{result['whole']['peak_rss_mb']} MB (limit {LIMIT_MB})"
    )
    part = result["subset"]
    print(
        f"{part['queries']} queries: arrays {part['arrays_seconds']:.3f} s, ir-measures "
        f"{part['ir_measures_seconds']:.3f} s: {part['ratio']} times; largest difference "
        f"{part['largest_difference']:.1e}"
    )
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
