"""What quick.py measures: ours, a peer or floor that does as much, and how both are made ready.

All that computes is imported where it is used: threads are counted when NumPy is imported, and each
measurement has a process of its own.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pairs import Measurement, Sides, grown_mb, per_call, status_mb
from processes import seconds

if TYPE_CHECKING:
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder
    from mmsearch.types import Vectors

DIM = 384
VECTORS = 50_000

# ---- new processes

# The program ends by os._exit where it is quick, and by SystemExit else.
PEAK = """
import os, sys
from mmsearch.__main__ import main
leave = os._exit
def say(code):
    sys.stderr.write(open("/proc/self/status").read())
    sys.stderr.flush()
    leave(code)
os._exit = say
main()
"""


def mini_collection(folder: Path) -> Path:
    """10,000 pictures in the space of `mini`, made once."""
    from cold_query import build
    from socket_query import ENCODER

    path = folder / "mini" / ".mmsearch"
    if not path.exists():
        build(path, ENCODER, 10_000)
    return path


@contextmanager
def cold_query(folder: Path) -> Iterator[Sides]:
    from cold_query import recall, words
    from socket_query import ENCODER

    path = mini_collection(folder)
    asked = iter(words(4000)[2000:])  # each but once: answers are remembered
    query = ("query", "--collection", str(path))
    facts = {"recall": recall(path, ENCODER, 20)}
    if Path("/proc/self/status").exists():
        command = [sys.executable, "-c", PEAK, *query, next(asked)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        facts["memory_mb"] = status_mb(done.stderr, "VmHWM")
    yield Sides(
        lambda: seconds([sys.executable, "-m", "mmsearch", *query, next(asked)]),
        lambda: seconds([sys.executable, "-c", "import numpy"]),
        facts,
    )


@contextmanager
def socket_query(folder: Path) -> Iterator[Sides]:
    from socket_query import served

    path = mini_collection(folder)
    command = [sys.executable, "-m", "mmsearch", "query", "--socket", "red car"]
    with served(path, settle_s=3.0):
        yield Sides(
            lambda: seconds([*command, "--collection", str(path)]),
            lambda: seconds([sys.executable, "-c", "pass"]),
        )


# ---- encoders


@contextmanager
def texts(folder: Path, count: int) -> Iterator[Sides]:
    import numpy as np
    from socket_query import ENCODER
    from tokenizers import Tokenizer

    from mmsearch.encoders.text_tower import open_text_tower
    from mmsearch.models.registry import BUNDLED_FOLDER
    from mmsearch.search.bank import TYPICAL_QUERIES

    tower = open_text_tower(ENCODER.fingerprint, ENCODER.name)
    assert tower is not None
    asked = list(itertools.islice(itertools.cycle(TYPICAL_QUERIES), count))
    tokenizer = Tokenizer.from_file(str(BUNDLED_FOLDER / "tokenizer.json"))
    tokenizer.no_padding()
    tokens = sum(len(tokenizer.encode(text).ids) for text in asked)
    config = json.loads((BUNDLED_FOLDER / "config.json").read_text(encoding="utf-8"))
    wide, inner = config["hidden_size"], config["intermediate_size"]
    shapes = [(wide, wide)] * 4 + [(wide, inner), (inner, wide)]  # query, key, value, out, MLP
    draw = np.random.default_rng(1)
    products = [
        (draw.random((tokens, a), np.float32), draw.random((a, b), np.float32))
        for a, b in shapes * config["num_hidden_layers"]
    ]

    def multiply() -> None:
        for rows, weights in products:
            rows @ weights

    yield Sides(per_call(lambda: tower.encode_texts(asked)), per_call(multiply))


def load_mini() -> OpenClipEncoder:
    from mmsearch.encoders.open_clip_encoder import load_open_clip

    return load_open_clip("mini", device="cpu")


@contextmanager
def decoding(folder: Path) -> Iterator[Sides]:
    import numpy as np
    from photos import SIZES, paint
    from PIL import Image

    from mmsearch.encoders.preprocess import Preprocess
    from mmsearch.images import decode

    preprocess, side = Preprocess(resize_mode="squash"), 224  # as the bundled model has it
    paths = paint(folder / "decoding", SIZES["2"], 8)

    def ours() -> None:
        for path in paths:
            preprocess(decode(path, side).image)

    def peer() -> None:
        for path in paths:
            with Image.open(path) as image:
                image.draft("RGB", (2 * side, 2 * side))
                np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))

    yield Sides(per_call(ours), per_call(peer))


@contextmanager
def encoding(folder: Path) -> Iterator[Sides]:
    import numpy as np
    import torch
    from indexing_speed import encode_all

    encoder = load_mini()
    shape = (16, encoder.image_size, encoder.image_size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def peer() -> None:
        with torch.inference_mode():
            encoder.model.encode_image(encoder.normalised(pixels), normalize=True)

    yield Sides(per_call(lambda: encode_all(encoder, pixels)), per_call(peer))


@contextmanager
def index_run(folder: Path) -> Iterator[Sides]:
    import numpy as np
    from indexing_speed import decode_all, encode_all, index
    from photos import SIZES, paint

    encoder = load_mini()
    paths = paint(folder / "pictures", SIZES["0.2"], 64)
    yield Sides(
        per_call(lambda: index(encoder, paths[0].parent, folder / "run"), time.perf_counter),
        per_call(
            lambda: encode_all(encoder, np.stack(list(decode_all(encoder, paths)))),
            time.perf_counter,
        ),
    )


# ---- indexes


def clustered(count: int, seed: int) -> Vectors:
    """(count, DIM) float32 unit rows around 500 centres that are the same for every seed."""
    import numpy as np
    from shop_query import unit

    centres = np.random.default_rng(0).standard_normal((500, DIM), np.float32)
    draw = np.random.default_rng(seed)
    noise = draw.standard_normal((count, DIM), np.float32)
    return unit(centres[draw.integers(0, len(centres), count)] + noise)


def recall_at_10(found: Any, right: Any) -> float:
    """Both (n, 10) ids."""
    pairs = zip(found.tolist(), right.tolist(), strict=True)
    return statistics.fmean(len({*a} & {*b}) / 10 for a, b in pairs)


@contextmanager
def index(folder: Path, kind: Literal["exact", "codes"], at_once: int) -> Iterator[Sides]:
    import faiss
    import numpy as np

    from mmsearch.catalog.vectors import VectorFile
    from mmsearch.index.build import Sample, build
    from mmsearch.index.goals import Goals
    from mmsearch.index.planner import Choice

    store = VectorFile(folder / f"{kind}-{at_once}.f16", DIM)
    store.append(0, clustered(VECTORS, 1))
    ids = np.arange(VECTORS)
    sample = Sample((clustered(64, 2),))
    made = []
    memory = grown_mb(
        lambda: made.append(build(Choice(kind, 1, kind), ids, ids, store, Goals(), sample))
    )
    [ours] = made
    assert ours.kind == kind, ours.why
    flat = faiss.IndexFlatIP(DIM)
    flat.add(store.read(ids))
    queries = clustered(128, 3)
    batches = itertools.cycle(np.split(queries, len(queries) // at_once))
    same = itertools.cycle(np.split(queries, len(queries) // at_once))
    rows = flat.reconstruct_n(0, VECTORS)

    def peer() -> object:
        if at_once == 1:
            return flat.search(next(same), 10)
        return np.argpartition(next(same) @ rows.T, -10)  # steadier than FAISS, and nearer

    recall = recall_at_10(ours.search(queries, 10)[1], flat.search(queries, 10)[1])
    yield Sides(
        per_call(lambda: ours.search(next(batches), 10)),
        per_call(peer),
        {"recall": recall, **memory},
    )


# ---- collections


@contextmanager
def shop(folder: Path) -> Iterator[Sides]:
    import numpy as np
    import shop_query

    import mmsearch
    from mmsearch import Query, Term

    products = 20_000
    encoder = shop_query.WordVectors()
    shop_query.build(folder / "shop", products, encoder)
    texts = shop_query.texts(40)
    asked = itertools.cycle(texts)
    rows = np.random.default_rng(1).standard_normal((2 * products, DIM), np.float32)

    with mmsearch.open(folder / "shop", encoder=encoder) as collection:

        def ask() -> object:
            term = Term(text=next(asked))
            return collection.search(Query((term,), k=20, mode="hybrid", where="colour = 'red'"))

        memory = grown_mb(lambda: [ask() for _ in texts])  # reads the postings of all words
        yield Sides(per_call(ask), per_call(lambda: rows @ rows[0]), memory)


@contextmanager
def metadata(folder: Path) -> Iterator[Sides]:
    import bulk

    (folder / "bulk").mkdir()
    tables = bulk.write_tables(folder / "bulk", 3_000, 200)

    def processor_s(way: Callable[..., Iterator[tuple[str, float, float]]]) -> float:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            return sum(processor for _, _, processor in way(Path(scratch), *tables))

    yield Sides(lambda: processor_s(bulk.ours), lambda: processor_s(bulk.ceiling))


@contextmanager
def evaluation(folder: Path) -> Iterator[Sides]:
    import numpy as np
    from evaluation_speed import draw, tasks

    from mmsearch.evaluation.evaluate import evaluate_embeddings
    from mmsearch.evaluation.task import Subject

    pictures = 500
    images, captions = draw(pictures)
    task = tasks(pictures)["text to image"]

    def ours() -> None:
        evaluate_embeddings(task, captions, images, Subject("drawn", "none"))

    memory = grown_mb(ours)
    yield Sides(
        per_call(ours),
        per_call(lambda: np.argsort(-(captions @ images.T), axis=1)),
        memory,
    )


TABLE = {
    one.name: one
    for one in (
        Measurement(
            "cold-query", "mmsearch query, 10,000 pictures", "python -c 'import numpy'", "wall",
            cold_query,
        ),
        Measurement(
            "socket-query", "mmsearch query --socket", "python -c pass", "wall", socket_query
        ),
        Measurement(
            "text", "mini encodes a text", "its matrix products alone", "processor",
            partial(texts, count=1),
        ),
        Measurement(
            "texts", "mini encodes 64 texts", "their matrix products alone", "processor",
            partial(texts, count=64),
        ),
        Measurement(
            "decode", "8 JPEGs of 2 MP decoded", "Pillow: draft, resize", "processor", decoding
        ),
        Measurement(
            "encode", "mini encodes 16 pictures", "open_clip's own forward", "processor", encoding
        ),
        Measurement(
            "index-run", "64 JPEGs indexed", "decoded, then encoded", "wall", index_run
        ),
        Measurement(
            "exact", "exact index, 50,000 x 384", "IndexFlatIP", "processor",
            partial(index, kind="exact", at_once=1),
        ),
        Measurement(
            "exact-64", "the same, 64 queries at once", "NumPy: product, argpartition", "processor",
            partial(index, kind="exact", at_once=64),
        ),
        Measurement(
            "coded", "short codes, 50,000 x 384", "IndexFlatIP", "processor",
            partial(index, kind="codes", at_once=1),
        ),
        Measurement(
            "shop-query", "filtered hybrid query, 20,000 products", "NumPy, 40,000 dot products",
            "processor", shop,
        ),
        Measurement(
            "metadata", "3,000 rows put in, changed, half removed", "sqlite3 executemany",
            "processor", metadata,
        ),
        Measurement(
            "evaluation", "2,500 captions among 500 pictures", "NumPy: product, argsort",
            "processor", evaluation,
        ),
    )
}  # fmt: skip
