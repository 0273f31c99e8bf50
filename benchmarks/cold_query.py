"""A text query as a new process, over 100,000 pictures: how long until its answers are printed.

    python benchmarks/cold_query.py [--items 100000] [--runs 20] [--json FILE] [--folder DIR]

Three collections are built: one of `mini`, one of a randomly initialised ViT-B-32 whose text tower
is written to disk as an `index` run writes it, and a shop of `mini`, each item of which has a text
too: it is searched by pictures, by texts and by words. Vectors are random around those of texts;
each run asks for other words, so that nothing is remembered of them. Each way is measured in turn
with the floors (Python alone, with NumPy, with typer), run by run, for a machine is not equally
fast all the time: the ratios to "python, numpy" say more than the milliseconds.

    quick       `mmsearch query WORDS`, as the console script begins it
    remembered  the same words again
    whole       the same through the whole program, without the quick way
    picture     `mmsearch query --image FILE`, by the image tower that an earlier one has kept
    filter      of the shop: words among a tenth of the items, by a price and a truth
    whole, filter
    torch       open_clip, and an exact search of the same vectors (--torch RUNS, 2)

`recall` compares the quick reader's ten best with an exact scan, in this process; those of the shop
with the collection's own answer.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from processes import seconds, workplace

import mmsearch
from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo, NewVectors, Write
from mmsearch.encoders.fingerprint import folder_fingerprint
from mmsearch.encoders.text_tower import export_text_tower, open_text_tower
from mmsearch.layout import Layout
from mmsearch.models.registry import BUNDLED_FOLDER
from mmsearch.quick import reader
from mmsearch.search.bank import TYPICAL_QUERIES
from mmsearch.types import Modality

BATCH = 10_000
MAIN = "from mmsearch.__main__ import main; main()"
FILTER = "--where", "price < 50 and sale = true"  # leaves a tenth of the shop
PICTURE = Path(__file__).parent.parent / "sample_data/photos/red-car-wooden-table.jpg"
FLOORS = {
    "python": "pass",
    "python, numpy": "import numpy",
    "python, typer": "import typer",
    "python, numpy, typer": "import numpy, typer",
}
TORCH = """
import json, sys, numpy as np, torch
from mmsearch.encoders.open_clip_encoder import load_encoder
name, path, dim, text = sys.argv[1:]
query = load_encoder(name, device="cpu").encode_texts([text])[0]
rows = np.memmap(path, np.float16, "r").reshape(-1, int(dim))
print(np.argsort(-(rows.astype(np.float32) @ query))[:10])
"""


def words(count: int) -> list[str]:
    """Two everyday words each, never the same twice."""
    every = sorted({word for text in TYPICAL_QUERIES for word in text.split() if len(word) > 2})
    draw = random.Random(5)
    return [" ".join(pair) for pair in draw.sample([(a, b) for a in every for b in every], count)]


def build(path: Path, info: EncoderInfo, items: int, *, shop: bool = False) -> None:
    """A collection of pictures, written to the catalog as an `index` run writes them."""
    tower = open_text_tower(info.fingerprint, info.name)
    assert tower is not None
    path.mkdir(parents=True)
    layout = Layout(path)
    catalog = Catalog(layout.catalog, create=True)
    catalog.spaces.begin(info)
    vectors = layout.vector_file(info)
    draw = np.random.default_rng(1)
    texts = words(2000)
    things = tower.encode_texts(texts)
    for first in range(0, items, BATCH):
        count = min(BATCH, items - first)
        noise = draw.normal(size=(count, info.dim)).astype(np.float32) / info.dim**0.5
        chosen = draw.integers(0, len(things), count)
        rows = things[chosen] + 1.5 * noise
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        new = [picture(number) for number in range(first, first + count)]
        names: list[tuple[Modality, bytes]] = [("image", row["image_digest"]) for row in new]
        if shop:
            for row, thing in zip(new, chosen.tolist(), strict=True):
                row |= {"text": texts[thing], "text_digest": f"t{thing}".encode()}
                row["attributes"] = attributes(draw)
            if not first:  # the texts' own vectors, once
                names += [("text", f"t{thing}".encode()) for thing in range(len(texts))]
                rows = np.concatenate([rows, things])
        head = catalog.spaces.head(info.fingerprint)
        check = vectors.append(head, rows)
        batch = NewVectors(info.fingerprint, head, tuple(names), check)
        catalog.commit(Write(items=new, vectors=batch))
    catalog.close()
    with mmsearch.open(path) as collection:
        collection.check(repair=True)  # writes the snapshots, and what makes queries quick
        collection.answer("a dog")  # measures what a score is worth


def attributes(draw: np.random.Generator) -> dict[str, Any]:
    """Those of a product."""
    price, stock, brand, colour, size, sale = draw.random(6).tolist()
    return {
        "price": round(100 * price, 2), "stock": int(200 * stock), "brand": f"b{int(400 * brand)}",
        "colour": ("red", "blue", "green", "black")[int(4 * colour)], "size": "SML"[int(3 * size)],
        "sale": sale < 0.2,
    }  # fmt: skip


def picture(number: int) -> dict[str, Any]:
    """A row of the table `items`."""
    path = f"pictures/{number // 1000}/IMG_{number:06}.jpg"
    return {
        "id": None, "key": path, "state": "live", "origin": None, "group": None, "path": path,
        "text": None, "attributes": {}, "image_digest": f"i{number}".encode(),
        "text_digest": None, "size_bytes": 0, "mtime_ns": 0,
    }  # fmt: skip


def random_clip(folder: Path) -> EncoderInfo:
    """A ViT-B-32 that has learned nothing, and its exported text tower."""
    from safetensors.torch import save_file

    from mmsearch.encoders.open_clip_encoder import load_open_clip
    from mmsearch.encoders.torchvision_shim import import_open_clip

    open_clip: Any = import_open_clip()
    model = open_clip.create_model("ViT-B-32")
    folder.mkdir()
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": {"size": 224}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    encoder = load_open_clip(str(folder), "cpu")
    if export_text_tower(encoder) is None:
        raise SystemExit("the text tower was not exported: it differs from torch's")
    return EncoderInfo(encoder.name, encoder.fingerprint, encoder.dim)


def python_s(code: str, *arguments: str) -> float:
    """How long a new Python process takes to run `code`."""
    return seconds([sys.executable, "-c", code, *arguments])


def measure(
    path: Path, info: EncoderInfo, runs: int, torch_runs: int, *, shop: bool
) -> dict[str, list[float]]:
    asked = iter(words(2000 + 5 * (runs + 1) + torch_runs)[2000:])
    place = ("--collection", str(path))
    vectors = str(Layout(path).vector_file(info).path)
    whole = "from mmsearch.cli.app import main; main()"
    ways: dict[str, Callable[[], float]] = {
        name: partial(python_s, code) for name, code in FLOORS.items()
    }
    ways |= {
        "quick": lambda: python_s(MAIN, "query", next(asked), *place),
        "remembered": lambda: python_s(MAIN, "query", "red car", *place),
        "whole": lambda: python_s(whole, "query", next(asked), *place),
        "picture": lambda: python_s(MAIN, "query", "--image", str(PICTURE), *place),
    }
    ways["picture"]()  # a model that is not small has no image tower yet, and torch is loaded
    if shop:
        ways |= {
            "filter": lambda: python_s(MAIN, "query", next(asked), *FILTER, *place),
            "whole, filter": lambda: python_s(whole, "query", next(asked), *FILTER, *place),
        }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(runs + 1):
        for name, way in ways.items():
            lasted = way()
            if run:  # the first one compiles modules and warms the page cache
                taken[name].append(lasted)
    if torch_runs:
        python_s(TORCH, info.name, vectors, str(info.dim), "red car")
        taken["torch"] = [
            python_s(TORCH, info.name, vectors, str(info.dim), next(asked))
            for _ in range(torch_runs)
        ]
    return taken


def recall(path: Path, info: EncoderInfo, queries: int = 50) -> float:
    """The share of the ten best that the quick reader finds."""
    tower = open_text_tower(info.fingerprint, info.name)
    assert tower is not None
    rows = np.memmap(Layout(path).vector_file(info).path, np.float16, "r").reshape(-1, info.dim)
    corpus = rows.astype(np.float32)
    found = 0
    for text in words(queries):
        best = np.argsort(-(corpus @ tower.encode_texts([text])[0]), kind="stable")[:10]
        quick = reader.answers(path, text, 10)
        assert quick is not None, "the quick reader left it to the whole program"
        keys = {hit.key for hit in quick[0].hits}
        found += sum(picture(int(row))["key"] in keys for row in best)
    return found / (10 * queries)


def agreement(path: Path, queries: int = 50) -> float:
    """The share of the ten best of the collection's own answer that the quick reader gives."""
    found = 0
    with mmsearch.open(path) as collection:
        for text in words(queries):
            for where in (None, FILTER[1]):
                quick = reader.answers(path, text, 10, where=where)
                assert quick is not None, "the quick reader left it to the whole program"
                keys = {hit.key for hit in quick[0].hits}
                own = collection.answer(text, k=10, where=where)
                found += sum(hit.key in keys for hit in own.hits)
    return found / (20 * queries)


def show(name: str, taken: dict[str, list[float]], share: float) -> dict[str, Any]:
    base = statistics.median(taken["python, numpy"])
    figures: dict[str, Any] = {"recall@10": share}
    print(f"\n{name}: recall@10 {share:.4f}")
    print(f"{'':22}{'median ms':>10}{'p95':>8}{'best':>8}{'/ python, numpy':>18}")
    for way, times in taken.items():
        ordered = sorted(times)
        median = statistics.median(ordered)
        p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        figures[way] = {"median_s": median, "p95_s": p95, "best_s": ordered[0]}
        figures[way]["ratio"] = median / base
        print(
            f"{way:22}{1000 * median:10.0f}{1000 * p95:8.0f}{1000 * ordered[0]:8.0f}"
            f"{median / base:18.2f}"
        )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--torch", type=int, default=2, metavar="RUNS")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--folder", type=Path, help="keep the collections there, or find them")
    options = parser.parse_args()
    with workplace(options.folder) as folder:
        report: dict[str, Any] = {
            "mmsearch": mmsearch.__version__, "python": platform.python_version(),
            "numpy": np.__version__, "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(), "items": options.items, "runs": options.runs,
        }  # fmt: skip
        for name in ("mini", "ViT-B-32", "shop"):
            path = folder / name / ".mmsearch"
            known = folder / f"{name}.json"
            if known.exists():
                info = EncoderInfo(**json.loads(known.read_text()))
            else:
                if name != "ViT-B-32":
                    info = EncoderInfo("mini", folder_fingerprint(BUNDLED_FOLDER), 384)
                else:
                    info = random_clip(folder / "clip")
                build(path, info, options.items, shop=name == "shop")
                known.write_text(json.dumps(vars(info)))
            share = agreement(path) if name == "shop" else recall(path, info)
            taken = measure(path, info, options.runs, options.torch, shop=name == "shop")
            report[name] = {"fingerprint": info.fingerprint, **show(name, taken, share)}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
