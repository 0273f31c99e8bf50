"""How well models find what they should: the table of figures that the docs publish.

    python benchmarks/quality.py                     # mini on sample_data, and on DATA where it is
    python benchmarks/quality.py --model mini --model ViT-B-32/openai --only flickr8k --json

Each set is one call of what `mmsearch evaluate` calls, so that the line under each table is the
command that gives the same figures. Embeddings are kept: a second run only measures.
DATA is a folder with flickr8k_dev, fashion_large and grocery_val as NAME.tar beside NAME.jsonl.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import mmsearch
from mmsearch.encoders.open_clip_encoder import load_encoder
from mmsearch.evaluation.attributes import attribute_tasks
from mmsearch.evaluation.cache import default_folder
from mmsearch.evaluation.dataset import Dataset, read_dataset
from mmsearch.evaluation.labels import label_task, measure_labels
from mmsearch.evaluation.measure import Measured, measure_tasks
from mmsearch.evaluation.query_file import query_file_task
from mmsearch.evaluation.report.groups import grouped
from mmsearch.evaluation.table import markdown
from mmsearch.evaluation.task import Task
from mmsearch.evaluation.tasks import caption_tasks
from mmsearch.training.data import FASHION_HELD_OUT, load_fashion
from mmsearch.types import Encoder, Progress

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "sample_data"
DATA = ROOT.parent / "shared" / "data"
GARMENT = ("gender", "articleType", "baseColour")


@dataclass(frozen=True)
class Benchmark:
    """One set: the files that it reads, its tasks, and the command that gives the same figures."""

    name: str
    files: tuple[Path, ...]
    tasks: Callable[[], list[Task]]
    command: str
    templates: tuple[str, ...] = ()  # zero-shot labels, if any


def benchmarks(data: Path) -> list[Benchmark]:
    """All of them; those whose files are missing are left out by the caller."""
    captions, products = SAMPLE / "captions.json", SAMPLE / "products.csv"
    qrels = SAMPLE / "qrels.json"
    flickr = data / "flickr8k_dev.jsonl"
    fashion = data / "fashion_large.jsonl"
    grocery = data / "grocery_val.jsonl"
    return [
        Benchmark(
            "sample",
            (captions, products, qrels),
            lambda: [
                *caption_tasks(read_dataset(captions), ["text-to-image", "image-to-text"]),
                query_file_task(read_dataset(products), qrels),
            ],
            "mmsearch evaluate sample_data/captions.json, and: "
            "mmsearch evaluate sample_data/products.csv --queries sample_data/qrels.json",
        ),
        Benchmark(
            "flickr8k",
            (flickr, flickr.with_suffix(".tar")),
            lambda: caption_tasks(read_dataset(flickr), ["text-to-image", "image-to-text"]),
            "mmsearch evaluate DATA/flickr8k_dev.tar",
        ),
        Benchmark(
            "fashion",
            (fashion, fashion.with_suffix(".tar")),
            lambda: _fashion(fashion),
            f"one row for each of the {FASHION_HELD_OUT:,} titles of DATA/fashion_large.jsonl that "
            "mmsearch.training holds out: mmsearch evaluate ROWS.jsonl --relevance "
            f"{','.join(GARMENT)}, and without --relevance",
        ),
        Benchmark(
            "grocery",
            (grocery, grocery.with_suffix(".tar")),
            lambda: [label_task(read_dataset(grocery), "label")],
            'mmsearch evaluate DATA/grocery_val.tar --labels label --template "a photo of {}"',
            ("a photo of {}",),
        ),
    ]


def _fashion(path: Path) -> list[Task]:
    dataset = read_dataset(path)
    kept = {
        example.captions[0].casefold().strip(): example.image
        for example in reversed(load_fashion(path.parent).examples)  # a title's first picture
        if example.held_out
    }
    pictures = set(kept.values())
    unseen: Dataset = replace(
        dataset,
        name=f"{dataset.name}, held-out titles",
        entries=tuple(entry for entry in dataset.entries if entry.names[0] in pictures),
    )
    return [
        *attribute_tasks(unseen, GARMENT, ["text-to-image"]),
        *caption_tasks(unseen, ["text-to-image"]),
    ]


def run(benchmark: Benchmark, models: list[str], device: str | None) -> list[Measured]:
    """The tasks of one set put to each model."""
    tasks = benchmark.tasks()
    measured: list[Measured] = []
    for name in models:
        encoder: Encoder = load_encoder(name, device=device)
        started = time.perf_counter()
        if benchmark.templates:
            measured += [
                measure_labels(
                    task,
                    encoder,
                    benchmark.templates,
                    cache=default_folder(),
                    on_progress=_show,
                )
                for task in tasks
            ]
        else:
            measured += measure_tasks(tasks, encoder, cache=default_folder(), on_progress=_show)
        seconds = time.perf_counter() - started
        print(f"\r{benchmark.name}, {name}: {seconds:.0f} s" + " " * 40, file=sys.stderr)
    return measured


def digest(files: tuple[Path, ...]) -> str:
    """16 hex digits of the files' bytes: equal digests, equal data."""
    total = hashlib.sha256()
    for path in files:
        total.update(path.read_bytes())
    return total.hexdigest()[:16]


def _show(progress: Progress) -> None:
    if sys.stderr.isatty():
        print(f"\r{progress.step} {progress.done} of {progress.total}", end="", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", action="append", help="repeat it to compare (mini)")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the optional sets")
    parser.add_argument("--only", action="append", help="only these sets")
    parser.add_argument("--device", help="cpu, cuda or mps")
    parser.add_argument("--json", action="store_true", help="one object a line")
    options = parser.parse_args()
    known = benchmarks(options.data)
    unknown = set(options.only or ()) - {one.name for one in known}
    if unknown:
        parser.error(f"no such set: {', '.join(unknown)}; {', '.join(o.name for o in known)}")
    models: list[str] = options.model or ["mini"]
    where = f"mmsearch {mmsearch.__version__}, {platform.machine()}, {options.device or 'default'}"
    for benchmark in known:
        if options.only and benchmark.name not in options.only:
            continue
        if not all(path.is_file() for path in benchmark.files):
            print(f"left out: {benchmark.name}, not in {options.data}", file=sys.stderr)
            continue
        measured = run(benchmark, models, options.device)
        data_digest = digest(benchmark.files)
        if options.json:
            for one in measured:
                plain = one.evaluation.to_json(per_query=False)
                facts = {"set": benchmark.name, "machine": where, "data_digest": data_digest}
                print(json.dumps(facts | plain))
            continue
        for group in grouped([one.evaluation for one in measured], 0, None):
            print(markdown(group), end="\n\n")
        print(f"{where} device, data {data_digest}; {benchmark.command}\n")


if __name__ == "__main__":
    main()
