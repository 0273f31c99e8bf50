"""What metadata costs in bulk: inserts, updates and removals, from ten thousand rows to a million.

    python benchmarks/bulk.py                     # three sizes; a few minutes
    python benchmarks/bulk.py --sizes 10000,100000 --json

A row has a key, a title and six attributes (price, stock, colour, brand, size, sale). Included are
reading the csv table, validation, items, words (FTS5), types of attributes, counts and commits that
survive a power cut. Left out are encoders and indexes of vectors: titles repeat (variants of
products), so all but the first --titles rows have their vectors already, and the encoder of those
is a stub. The ceiling is what Python's sqlite3 takes, by executemany into the same tables in the
same file format, for rows and words that were made beforehand.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import platform
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import mmsearch
from mmsearch.catalog.catalog import Catalog
from mmsearch.ingest.pipeline import KNOWN_PER_COMMIT
from mmsearch.ingest.run import Ingest
from mmsearch.layout import Layout
from mmsearch.lexical.words import searchable, searchable_attributes
from mmsearch.tables.changes import Change, read_changes

COLUMNS = ("key", "title", "price", "stock", "colour", "brand", "size", "sale")
COLOURS = ("red", "blue", "green", "black", "white", "grey", "pink", "brown")
WORDS = 5_000


class Stub:
    """An encoder that costs nothing and knows nothing."""

    name, fingerprint, dim, image_size, batch_size = "stub", "5tub", 8, 32, 64

    def preprocess(self, image: Any) -> npt.NDArray[np.uint8]:
        raise NotImplementedError

    def encode_images(self, pixels: Any) -> npt.NDArray[np.float32]:
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.eye(1, self.dim, dtype=np.float32).repeat(len(texts), axis=0)


@dataclass(frozen=True)
class Figure:
    """One way of changing rows: seconds by the clock and the processor, ours and the ceiling's."""

    rows: int
    what: str
    seconds: float
    processor_s: float
    ceiling_s: float
    ceiling_processor_s: float

    def __str__(self) -> str:
        return (
            f"{self.rows:>9,} {self.what:7} {self.seconds:8.2f} s"
            f" {self.rows / self.seconds:9,.0f}/s"
            f" {1e6 * self.processor_s / self.rows:8.1f} us"
            f" {1e6 * self.ceiling_processor_s / self.rows:8.1f} us"
            f" {self.ceiling_processor_s / self.processor_s:6.2f}"
        )


def write_tables(folder: Path, rows: int, titles: int) -> tuple[Path, Path]:
    """A table of products, and one of new prices and stocks for all of them."""
    dice = random.Random(7)
    syllables = [a + b for a in "bcdfgklmnprstv" for b in "aeiou"]
    words = ["".join(dice.choices(syllables, k=3)) for _ in range(WORDS)]
    often = list(itertools.accumulate(1 / (rank + 3) for rank in range(WORDS)))  # Zipf
    known = [" ".join(dice.choices(words, cum_weights=often, k=6)) for _ in range(titles)]
    table, changes = folder / "products.csv", folder / "changes.csv"
    with table.open("w", newline="") as first, changes.open("w", newline="") as second:
        products, prices = csv.writer(first), csv.writer(second)
        products.writerow(COLUMNS)
        prices.writerow(("key", "price", "stock"))
        for number in range(rows):
            key, price = f"sku-{number:07d}", round(dice.lognormvariate(3.5, 0.8), 2)
            stock, brand = dice.randrange(200), f"b{dice.randrange(400)}"
            sale = str(dice.random() < 0.2).lower()
            rest = dice.choice(COLOURS), brand, dice.choice("SML"), sale
            products.writerow((key, dice.choice(known), price, stock, *rest))
            prices.writerow((key, round(price * 1.1, 2) + 1, 199 - stock))
    return table, changes


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of processor time, that of a process that reads included."""
    started, processor = time.perf_counter(), sum(os.times()[:4])
    run()
    return time.perf_counter() - started, sum(os.times()[:4]) - processor


def ours(folder: Path, table: Path, changes: Path) -> Iterator[tuple[str, float, float]]:
    """How long mmsearch takes: to insert, update and remove (half of) the rows."""
    with mmsearch.open(folder / "ours.mmsearch", create=True, encoder=Stub()) as collection:
        layout = Layout(collection.path)
        catalog = Catalog(layout.catalog)
        yield "insert", *timed(lambda: Ingest(catalog, layout, Stub).run([table]))
        catalog.close()
        yield (
            "update",
            *timed(
                lambda: collection.update(
                    {
                        change.key: change.attributes
                        for _, change in read_changes(changes)
                        if isinstance(change, Change)
                    }
                )
            ),
        )
        with table.open(newline="") as file:
            keys = [row[0] for row in itertools.islice(csv.reader(file), 1, None, 2)]
        yield "remove", *timed(lambda: collection.remove(keys))


def ceiling(folder: Path, table: Path, changes: Path) -> Iterator[tuple[str, float, float]]:
    """How long sqlite3 alone takes for the same, without reading or making anything."""
    path = folder / "ceiling.sqlite3"
    Catalog(path, create=True).close()
    with table.open(newline="") as file:
        rows = [_made(number, row) for number, row in enumerate(csv.DictReader(file), 1)]
    with changes.open(newline="") as file:
        new = [(json.dumps(row), row.pop("key")) for row in csv.DictReader(file)]
    connection = sqlite3.connect(path)
    for pragma in ("synchronous=FULL", "cache_size=-65536"):
        connection.execute(f"PRAGMA {pragma}")

    def in_batches(every: Sequence[Any], run: Callable[[Sequence[Any]], object]) -> None:
        for first in range(0, len(every), KNOWN_PER_COMMIT):
            run(every[first : first + KNOWN_PER_COMMIT])
            connection.commit()

    def insert(part: Sequence[Any]) -> None:
        connection.executemany(
            'INSERT INTO items (id, "key", state, origin, text, attributes, text_digest,'
            " size_bytes, mtime_ns, seq, content_seq)"
            " VALUES (?, ?, 'live', ?, ?, ?, ?, 0, 0, 1, 1)",
            [item for item, _ in part],
        )
        connection.executemany(
            'INSERT INTO words (rowid, text, names, "key") VALUES (?, ?, ?, ?)',
            [words for _, words in part],
        )

    def update(part: Sequence[Any]) -> None:
        connection.executemany(
            'UPDATE items SET told = attributes, attributes = ?, content_seq = 2 WHERE "key" = ?',
            part,
        )

    def remove(part: Sequence[Any]) -> None:
        connection.executemany(
            "INSERT INTO words (words, rowid, text, names, \"key\") VALUES ('delete', ?, ?, ?, ?)",
            part,
        )
        connection.executemany(
            "UPDATE items SET state = 'removed', \"key\" = NULL, text = NULL, attributes = '{}',"
            " told = NULL, seq = 3, content_seq = 3 WHERE id = ?",
            [(number,) for number, *_ in part],
        )

    yield "insert", *timed(lambda: in_batches(rows, insert))
    yield "update", *timed(lambda: in_batches(new, update))
    half = [words for _, words in rows[::2]]
    yield "remove", *timed(lambda: in_batches(half, remove))
    connection.close()


def _made(number: int, row: dict[str, str]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The values of a row of `items`, and of `words`."""
    key, title = row.pop("key"), row.pop("title")
    attributes = json.dumps(
        {
            **row,
            "price": float(row["price"]),
            "stock": int(row["stock"]),
            "sale": row["sale"] == "true",
        }
    )
    item = number, key, "products.csv", title, attributes, title.encode()[:16]
    return item, (number, searchable(title), searchable_attributes(attributes), key)


def measure(rows: int, titles: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tables = write_tables(folder, rows, titles)
        both = zip(ours(folder, *tables), ceiling(folder, *tables), strict=True)
        for (what, seconds, processor), (_, bare, bare_processor) in both:
            changed = rows // 2 if what == "remove" else rows
            yield Figure(changed, what, seconds, processor, bare, bare_processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="10000,100000,1000000", help="comma between them")
    parser.add_argument("--titles", type=int, default=1_000, help="how many different ones")
    parser.add_argument("--json", action="store_true", help="one JSON object in the end")
    options = parser.parse_args()
    versions = {
        "mmsearch": mmsearch.__version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": platform.machine(),
        "titles": options.titles,
    }
    print(json.dumps(versions), file=sys.stderr)
    head = f"{'rows':>9} {'':7} {'time':>10} {'':>11} {'ours':>11} {'ceiling':>11} {'ratio':>6}"
    print(f"{head}   (processor time a row)", file=sys.stderr)
    figures = []
    for rows in map(int, options.sizes.split(",")):
        for figure in measure(rows, options.titles):
            print(figure, file=sys.stderr, flush=True)
            figures.append(figure)
    if options.json:
        print(json.dumps(versions | {"figures": [asdict(figure) for figure in figures]}))


if __name__ == "__main__":
    main()
