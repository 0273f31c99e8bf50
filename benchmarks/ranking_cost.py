"""What the steps between the indexes and the answer cost a query, in milliseconds.

    python benchmarks/ranking_cost.py

Synthetic unit vectors, CPU time of one thread (OMP_NUM_THREADS=1), medians of repeated runs. A
whole warm query over 100,000 items, filtered and hybrid, has 15 ms.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

import mmsearch
from mmsearch.ranking.calibrate import DEPTH, fit
from mmsearch.ranking.cursor import cursor_at, decode, page, query_digest
from mmsearch.ranking.diversity import mmr
from mmsearch.ranking.duplicates import duplicate_groups
from mmsearch.ranking.fuse import Source, reciprocal_rank, weighted
from mmsearch.ranking.group import best_groups
from mmsearch.ranking.late import combine, scale_of
from mmsearch.ranking.modifiers import Boost, Decay, Modifiers
from mmsearch.ranking.ranked import ranked


def steps(n: int, candidates: int, d: int) -> dict[str, Callable[[], Any]]:
    """What one query does, over `candidates` of `n` items."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(candidates, d)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = vectors[0] + random.normal(size=d).astype(np.float32) / np.sqrt(d)
    query /= np.linalg.norm(query)
    lists = [
        ranked(random.random(candidates), random.choice(n, candidates, replace=False))
        for _ in range(3)
    ]
    sources = [Source(str(number), one) for number, one in enumerate(lists)]
    ids = np.arange(candidates, dtype=np.int64)
    scores = vectors @ query
    first = ranked(scores, ids)
    colours = random.choice(["red", "green", "blue", "black"], candidates).tolist()
    prices = random.integers(1, 500, candidates).tolist()
    labels = random.integers(0, candidates // 4, candidates).tolist()
    modifiers = Modifiers((Boost("colour", ("red",), 2.0),), (Decay("price", 50.0, 20.0),))
    columns = {"colour": colours, "price": prices}
    relevance = random.random(candidates)
    background = fit(vectors[:200], vectors)
    digest = query_digest({"text": "red boots"})

    def turn() -> None:
        cursor = cursor_at(first, 20, digest, 1)
        assert cursor is not None
        page(first, 20, 1, decode(cursor.encode(), digest))

    return {
        "reciprocal rank fusion of 3 lists": lambda: reciprocal_rank(sources),
        "weighted fusion of 3 lists": lambda: weighted(sources),
        "scales of 500, late fusion": lambda: combine(
            scale_of(query, vectors[:500]).standard(scores),
            scale_of(query, vectors[500:1000]).standard(scores),
        ),
        "relevance of all candidates": lambda: background.relevance(
            query, first.scores, vectors[first.ids[:DEPTH]]
        ),
        "MMR of 10": lambda: list(islice(mmr(scores, vectors, ids), 10)),
        "MMR of 50": lambda: list(islice(mmr(scores, vectors, ids), 50)),
        "20 groups": lambda: best_groups(first.head, lambda one: [labels[i] for i in one.ids], 20),
        "boost and decay": lambda: modifiers.apply(relevance, columns),
        "cursor, there and back": turn,
    }


def median_ms(step: Callable[[], Any], budget_s: float = 0.5) -> float:
    taken: list[float] = []
    started = time.perf_counter()
    while len(taken) < 3 or (time.perf_counter() - started < budget_s and len(taken) < 200):
        before = time.process_time()
        step()
        taken.append(time.process_time() - before)
    return 1000 * float(np.median(taken))


def duplicates_s(n: int, d: int) -> float:
    """Seconds for near duplicates among n float16 rows, a tenth of them copies."""
    random = np.random.default_rng(1)
    rows = random.normal(size=(n, d)).astype(np.float32)
    rows[: n // 10] = rows[n // 2 : n // 2 + n // 10]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    half = rows.astype(np.float16)
    before = time.process_time()
    found = duplicate_groups(half, np.arange(n), 0.98)
    assert len(found) == n // 10, f"{len(found)} groups"
    return time.process_time() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--duplicates", type=int, default=10_000, help="rows to compare all of")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {
        name: round(median_ms(step), 3)
        for name, step in steps(options.items, options.candidates, options.dim).items()
    }
    seconds = duplicates_s(options.duplicates, options.dim)
    where = f"mmsearch {mmsearch.__version__}, numpy {np.__version__}, {platform.machine()}"
    if options.json:
        print(json.dumps({"machine": where, "ms": found, "duplicates_s": round(seconds, 2)}))
        return
    print(
        f"{options.candidates:,} candidates of {options.items:,} items, d = {options.dim}; {where}"
    )
    for name, milliseconds in found.items():
        print(f"{name:40s} {milliseconds:8.2f} ms")
    print(f"near duplicates among {options.duplicates:,} rows: {seconds:.1f} s")


if __name__ == "__main__":
    main()
