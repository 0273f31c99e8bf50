"""What words, filters, columns and candidates cost over 100,000 synthetic products.

    python benchmarks/shop_catalog.py [--items 100000]

Writes a catalog in a temporary directory; about a minute. Figures are processor time of one
thread, the median of several different queries, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from mmsearch import __version__
from mmsearch.catalog.catalog import Catalog, Write
from mmsearch.columns.columns import Columns
from mmsearch.filters import parse
from mmsearch.index.faiss_index import FaissIndex

DIM = 384
BATCH = 1_000
WORDS = 5_000
EMPTY = ("origin", "path", "image_digest", "text_digest", "size_bytes", "mtime_ns")
COLOURS = ["red", "blue", "green", "black", "white", "grey", "pink", "brown"]
TAGS = ["new", "sale", "summer", "winter", "organic", "vegan", "limited", "bestseller"]
FILTERS = [
    "price < 50",
    "price < 50 and colour in ('red', 'blue') and stock > 0",
    "brand = 'b7' or (tags contains 'sale' and not price between 10 and 20)",
    "title like '%ba%'",
]


class Products:
    """Titles of six words as frequent as words are (Zipf), and six attributes."""

    def __init__(self) -> None:
        self.dice = random.Random(7)
        parts = [a + b for a in "bcdfgklmnprstv" for b in "aeiou"]
        self.words = ["".join(self.dice.choices(parts, k=3)) for _ in range(WORDS)]
        self._weights = [1 / (rank + 3) for rank in range(WORDS)]

    def some_words(self, count: int) -> str:
        return " ".join(self.dice.choices(self.words, self._weights, k=count))

    def row(self, number: int) -> dict[str, Any]:
        dice = self.dice
        return {
            "id": None,
            "key": f"sku-{number:06d}",
            "state": "live",
            "group": f"g{number // 3}",
            "text": self.some_words(6),
            "attributes": {
                "price": round(dice.lognormvariate(3.5, 0.8), 2),
                "stock": dice.randrange(200),
                "colour": dice.choice(COLOURS),
                "brand": f"b{dice.randrange(400)}",
                "tags": dice.sample(TAGS, dice.randrange(4)),
                "sale": dice.random() < 0.2,
            },
            **dict.fromkeys(EMPTY),
        }


def median_ms(run: Callable[[Any], object], arguments: Sequence[Any]) -> float:
    times = []
    for argument in arguments:
        started = time.process_time()
        run(argument)
        times.append((time.process_time() - started) * 1e3)
    return sorted(times)[len(times) // 2]


def report(name: str, value: float, unit: str) -> None:
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit}), flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--items", type=int, default=100_000)
    count = options.parse_args().items
    faiss.omp_set_num_threads(1)
    print(f"mmsearch {__version__}, faiss {faiss.__version__}, {count} items", file=sys.stderr)
    products = Products()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.sqlite3"
        catalog = Catalog(path, create=True)
        started = 0.0
        for first in range(0, count, BATCH):
            rows = [products.row(number) for number in range(first, min(first + BATCH, count))]
            before = time.process_time()
            catalog.commit(Write(items=rows))
            started += time.process_time() - before
        report("commit of items with their words", count / started, "items/s")
        report("catalog on disk", path.stat().st_size / count, "bytes/item")
        measure_words(catalog, products, count)
        measure_columns(catalog, count)
        catalog.close()
    measure_candidates(count)


def measure_words(catalog: Catalog, products: Products, count: int) -> None:
    queries = [products.some_words(3) for _ in range(30)]
    chosen = np.arange(1, count + 1, 10)
    report("words, cold", median_ms(lambda q: catalog.lexical_search(q, 100), queries[:1]), "ms")
    for name, allowed in (("words", None), ("words among 10 %", chosen)):
        search = partial(catalog.lexical_search, k=100, allowed=allowed)
        report(name, median_ms(search, queries), "ms")
        report(f"{name}, asked again", median_ms(search, queries), "ms")
    misspelt = [f"{query}q" for query in queries]
    report(
        "words, one misspelt", median_ms(lambda q: catalog.lexical_search(q, 100), misspelt), "ms"
    )


def measure_columns(catalog: Catalog, count: int) -> None:
    for text in FILTERS:
        filter = parse(text)
        report(f"SQL: {text}", median_ms(catalog.candidates, [filter] * 3), "ms")
    tracemalloc.start()
    columns = Columns(catalog)
    columns.refresh()
    report("columns in memory", tracemalloc.get_traced_memory()[0] / 1e6, "MB")
    tracemalloc.stop()
    columns = Columns(catalog)
    report("columns, loaded", median_ms(lambda _: columns.refresh(), [0]), "ms")
    for text in FILTERS:
        filter = parse(text, columns.schema())
        columns.candidates(filter)
        report(f"columns: {text}", median_ms(columns.candidates, [filter] * 9), "ms")
    some = columns.candidates(parse("colour = 'red'"))
    for name in ("colour", "brand", "tags", "price"):
        time_ms = median_ms(partial(columns.facet, name), [some] * 9)
        report(f"facet {name} of {len(some)}", time_ms, "ms")
    report("order by price", median_ms(lambda ids: columns.order("price", ids), [some] * 9), "ms")
    report("groups", median_ms(columns.groups, [some] * 9), "ms")
    report("suggest, first", median_ms(columns.suggest, ["ba"]), "ms")
    report("suggest", median_ms(columns.suggest, ["ba", "ta", "b", "sa", "kite"]), "ms")

    def change(number: int) -> None:
        catalog.set_attributes({number: {"price": number}})

    for number in range(1, 6):
        change(number)
        report("columns, one change", median_ms(lambda _: columns.refresh(), [0]), "ms")
        report("suggest after it", median_ms(columns.suggest, ["ba"]), "ms")


def measure_candidates(count: int) -> None:
    dice = np.random.default_rng(7)
    index = FaissIndex(DIM)
    for first in range(0, count, 20_000):
        ids = np.arange(first + 1, min(first + 20_000, count) + 1)
        rows = dice.standard_normal((len(ids), DIM), dtype=np.float32)
        index.add(ids, rows / np.linalg.norm(rows, axis=1, keepdims=True))
    query = dice.standard_normal((1, DIM), dtype=np.float32)
    for share in (0.001, 0.01, 0.02, 0.05, 0.1, 0.3, 0.9):
        allowed = np.sort(dice.choice(np.arange(1, count + 1), int(count * share), replace=False))
        time_ms = median_ms(lambda ids: index.search(query, 100, ids), [allowed] * 9)
        report(f"vectors among {share:.1%} ({index.plan(allowed).way})", time_ms, "ms")
    report("vectors among all", median_ms(lambda _: index.search(query, 100), [0] * 9), "ms")


if __name__ == "__main__":
    main()
