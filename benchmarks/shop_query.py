"""Warm queries of a shop of 100,000 synthetic products: milliseconds, by kind of query.

    python benchmarks/shop_query.py [--products 100000] [--queries 200] [--only NAME] [--folder DIR]

Each product has a title of six words, six attributes, a group, and two unit vectors of 384 numbers
(of a picture and of its title), written to the catalog as an `index` run writes them. The encoder
is a table of word vectors: the times are those of a query without its text tower.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from PIL import Image

import mmsearch
from mmsearch import Query, Term
from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo, NewVectors, Write
from mmsearch.layout import Layout
from mmsearch.types import Modality, Sort

DIM = 384
BATCH = 10_000
COLOURS = ["red", "blue", "green", "yellow", "black", "white", "orange", "pink", "grey", "brown"]
STEMS = ["shir", "troua", "dres", "jack", "coat", "sock", "shoe", "boot"]
KINDS = [f"{stem}{end}" for stem in STEMS for end in ("a", "ino", "et", "ex", "ol")]
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("lin", "mar", "tex", "ro")]
Vectors = npt.NDArray[np.float32]


class WordVectors:
    """A joint space of words: a text is the mean of its words, a picture that and some noise."""

    name = "words"
    fingerprint = "30dd5"
    dim = DIM
    image_size = 32
    batch_size = 256

    def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        raise NotImplementedError("the benchmark has no pictures")

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> Vectors:
        raise NotImplementedError("the benchmark has no pictures")

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        rows = np.stack([np.mean([_word(w) for w in text.split()], axis=0) for text in texts])
        return unit(rows)


_known: dict[str, Vectors] = {}


def _word(word: str) -> Vectors:
    if word not in _known:
        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
        _known[word] = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return _known[word]


def unit(rows: npt.NDArray[np.floating[Any]]) -> Vectors:
    normed: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return normed


def product(number: int, draw: random.Random) -> dict[str, Any]:
    """A row of the table `items`."""
    colour, kind = draw.choice(COLOURS), draw.choice(KINDS)
    title = " ".join([colour, *draw.choices(WORDS, k=4), kind])
    return {
        "id": None, "key": f"P{number:06}", "state": "live", "origin": None,
        "group": f"G{number // 4}", "path": f"pictures/{number}.jpg", "text": title,
        "attributes": {
            "brand": draw.choice(WORDS), "colour": colour, "kind": kind,
            "price": round(draw.lognormvariate(3, 1), 2), "stock": draw.randrange(100),
            "tags": draw.sample(["new", "sale", "eco", "kids"], k=2),
        },
        "image_digest": f"i{number}".encode(), "text_digest": f"t{number}".encode(),
        "size_bytes": 0, "mtime_ns": 0,
    }  # fmt: skip


def build(path: Path, products: int, encoder: WordVectors) -> None:
    """A collection of synthetic products."""
    path.mkdir(parents=True)
    layout = Layout(path)
    catalog = Catalog(layout.catalog, create=True)
    info = EncoderInfo(encoder.name, encoder.fingerprint, encoder.dim)
    catalog.spaces.begin(info)
    vectors = layout.vector_file(info)
    draw, noise = random.Random(1), np.random.default_rng(1)
    offset = noise.normal(size=DIM).astype(np.float32) / 20  # the gap between the modalities
    for first in range(0, products, BATCH):
        rows = [product(number, draw) for number in range(first, min(first + BATCH, products))]
        texts = encoder.encode_texts([row["text"] for row in rows])
        blur = noise.normal(size=texts.shape).astype(np.float32) / 25
        both = np.concatenate([unit(texts + blur + offset), texts])
        names: list[tuple[Modality, bytes]] = [("image", row["image_digest"]) for row in rows]
        names += [("text", row["text_digest"]) for row in rows]
        head = catalog.spaces.head(info.fingerprint)
        check = vectors.append(head, both)
        new = NewVectors(info.fingerprint, head, tuple(names), check)
        catalog.commit(Write(items=rows, vectors=new))
    catalog.close()


def questions() -> dict[str, dict[str, Any]]:
    tenth = "colour = 'red'"
    return {
        "vector, pictures": {"mode": "vector", "to": "image"},
        "lexical": {"mode": "lexical"},
        "hybrid": {"mode": "hybrid"},
        "hybrid, filter 10 %": {"mode": "hybrid", "where": tenth},
        "hybrid, filter 0.5 %": {"mode": "hybrid", "where": f"{tenth} and price > 140"},
        "hybrid, filter 60 %": {"mode": "hybrid", "where": "price < 25"},
        "hybrid, filter 10 %, groups": {"mode": "hybrid", "where": tenth, "group": True},
        "hybrid, filter 10 %, 3 facets": {
            "mode": "hybrid", "where": tenth, "facets": ("brand", "kind", "tags")},
        "hybrid, filter 10 %, diverse": {"mode": "hybrid", "where": tenth, "diversity": 0.3},
        "hybrid, filter 10 %, sorted": {
            "mode": "hybrid", "where": tenth, "sort": (Sort("price"),), "min_relevance": 0.0},
    }  # fmt: skip


def texts(count: int) -> list[str]:
    """Each is four of the six words of one product's title."""
    draw = random.Random(1)
    titles = [product(number, draw)["text"].split() for number in range(count)]
    return [" ".join([*title[:3], title[-1]]) for title in titles]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--only", default="", help="only kinds of query with this in their name")
    parser.add_argument("--folder", type=Path, help="keep the collection there and use it again")
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        path = (arguments.folder or Path(temporary)) / f"shop-{arguments.products}"
        encoder = WordVectors()
        if not path.exists():
            started = time.perf_counter()
            build(path, arguments.products, encoder)
            print(f"built in {time.perf_counter() - started:.1f} s")
        measure(path, encoder, arguments.queries, arguments.only)


def measure(path: Path, encoder: WordVectors, queries: int, only: str) -> None:
    asked = texts(queries)
    encoder.encode_texts(asked)
    with mmsearch.open(path, encoder=encoder) as collection:
        for text in asked:  # a word's first query reads where it stands, which the next ones know
            collection.search(Query((Term(text=text),), k=20, mode="lexical"))
        for way in ("search", "answer"):
            chosen = {name: it for name, it in questions().items() if only in name}
            for name, options in chosen.items():
                times, cpu = [], []
                for text in [asked[0], asked[1], *asked]:
                    query = Query((Term(text=text),), k=20, **options)
                    started, worked = time.perf_counter(), time.process_time()
                    hits = getattr(collection, way)(query)
                    times.append(1000 * (time.perf_counter() - started))
                    cpu.append(1000 * (time.process_time() - worked))
                    assert hits
                warm, work = sorted(times[2:]), statistics.median(cpu[2:])
                print(
                    f"{way:7} {name:32} p50 {statistics.median(warm):6.1f} ms  "
                    f"p95 {warm[int(0.95 * len(warm))]:6.1f} ms  "
                    f"processor {work:5.1f} ms  first {times[0]:7.1f} ms",
                    flush=True,
                )


if __name__ == "__main__":
    main()
