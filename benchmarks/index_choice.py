"""What each kind of index finds, how fast and in how much memory, beside its peers and the ceiling.

    python benchmarks/index_choice.py --quick                     # 100,000 made vectors
    python benchmarks/index_choice.py --kinds ivf --peers         # a million, in under 10 minutes
    python benchmarks/index_choice.py --kinds ivf --json million.json  # graphs take many minutes
    python benchmarks/index_choice.py --quick --collection ~/Pictures  # its vectors, multiplied

Made vectors lie in 2,000 clusters (d = 512, mean cosine 0.5). A collection's pictures are
multiplied with jitter, its texts are the queries; our kinds are measured with other texts and
with everyday words, as those of a collection are. All contenders answer the same queries one at a
time, in one process, after the truth was found by IndexFlatIP: compare times within a run. The goal
of our kinds is reached on a sample; the recall shown is that of other queries. Peers, where they
are installed (pip install usearch hnswlib): IndexHNSWFlat, usearch float16, hnswlib. Then what an
item costs in an index of 10,000, of 100,000 and of all. Writes JSON, and beside it a picture of
recall against time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from index_costs import curve, ours
from index_peers import PEERS, Search, missing, peers
from index_picture import picture

import mmsearch
from mmsearch.catalog.vectors import VectorFile
from mmsearch.encoders.text_tower import open_text_tower
from mmsearch.index.build import Sample, spaced
from mmsearch.index.goals import Goals
from mmsearch.index.kinds import threads
from mmsearch.search.bank import TYPICAL_QUERIES
from mmsearch.search.sample import SAMPLE

K = 10
BATCH = 50_000
CURVE = (10_000, 100_000)  # and all


@dataclass
class Result:
    """One setting of one contender."""

    name: str
    setting: str
    recall: float
    p50_ms: float
    p95_ms: float
    more: dict[str, float] = field(default_factory=dict)


# ---- vectors


def made(size: int, seed: int) -> np.ndarray:
    """(size, 512) float32 unit rows in 2,000 clusters with a direction in common."""
    fixed = np.random.default_rng(0)
    mean = fixed.standard_normal(512).astype(np.float32)
    centres = fixed.standard_normal((2000, 512)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((size, 512), dtype=np.float32) / np.sqrt(np.float32(512))
    rows = mean / np.linalg.norm(mean) + 0.7 * (centres[rng.integers(0, 2000, size)] + noise)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def multiplied(rows: np.ndarray, size: int, seed: int) -> np.ndarray:
    """(size, d) unit rows, each near one of `rows`: about as far as its neighbours are."""
    rng = np.random.default_rng(seed)
    copies = rows[rng.integers(0, len(rows), size)]
    jitter = rng.standard_normal(copies.shape, dtype=np.float32)
    jitter *= 0.35 / np.linalg.norm(jitter, axis=1, keepdims=True)
    return (copies + jitter) / np.linalg.norm(copies + jitter, axis=1, keepdims=True)


def fill(store: VectorFile, size: int, make: Callable[[int, int], np.ndarray]) -> None:
    for start in range(0, size, BATCH):
        store.append(start, make(min(BATCH, size - start), start + 1))


# ---- contenders


def timed(search: Search, queries: np.ndarray, least: np.ndarray, store: VectorFile) -> list[float]:
    """recall@10, p50 and p95 in ms. An answer that ties with the tenth nearest counts as found."""
    found, taken = [], []
    for number, query in enumerate(queries):
        started = time.perf_counter()
        ids = search(query[None], K)[0]
        taken.append((time.perf_counter() - started) * 1000)
        right = store.read(ids[ids >= 0]) @ query >= least[number] - 1e-6
        found.append(right.sum() / K)
    p50, p95 = np.percentile(taken[5:], [50, 95])
    return [float(np.mean(found)), float(p50), float(p95)]


def flat_search(store: VectorFile, size: int) -> Any:
    index = faiss.IndexFlatIP(store.dim)
    for start in range(0, size, BATCH):
        index.add(store.read(np.arange(start, min(size, start + BATCH))))
    return index


# ---- the run


def main() -> None:
    arguments = parse()
    load = os.getloadavg()[0]
    size, folder = arguments.size, Path(tempfile.mkdtemp(prefix="index_choice_"))
    make: Callable[[int, int], np.ndarray] = made
    asked, source = made(600, 10**9), "made: 2,000 clusters"
    words: list[np.ndarray] = []
    if arguments.collection:
        with mmsearch.open(arguments.collection) as opened:
            pictures, texts = opened.vectors("image")[1], opened.vectors("text")[1]
            tower = open_text_tower(opened.status().fingerprint, opened.status().model)
            assert tower is not None
            words = [tower.encode_texts(TYPICAL_QUERIES)]
        source = f"{len(pictures)} pictures of a collection, multiplied"
        asked = multiplied(pictures, 600, 10**9)
        if len(texts):
            source += ", asked by its texts"
            asked = texts[np.random.default_rng(1).integers(0, len(texts), 600)]

        def make(count: int, seed: int) -> np.ndarray:
            return multiplied(pictures, count, seed)

    store = VectorFile(folder / "vectors.f16", asked.shape[1])
    fill(store, size, make)
    sample = Sample((asked[:SAMPLE], store.read(spaced(np.arange(size), SAMPLE)), *words))
    queries = np.ascontiguousarray(asked[200 : 200 + arguments.queries])
    np.save(folder / "queries.npy", queries[:50])
    flat = flat_search(store, size)
    # float32 rows of the float16 file: the truth is that of the stored vectors.
    least = flat.search(queries, K)[0][:, -1]
    results: list[Result] = []

    def note(result: Result) -> None:
        results.append(result)
        print(
            f"{result.name:<22} {result.setting:<18} recall@10 {result.recall:.4f}  "
            f"p50 {result.p50_ms:8.2f}  p95 {result.p95_ms:8.2f} ms  "
            + "  ".join(f"{name} {value:.3g}" for name, value in result.more.items()),
            flush=True,
        )

    measured = timed(lambda q, k, flat=flat: flat.search(q, k)[1], queries[:60], least, store)
    note(Result("faiss IndexFlatIP", "", *measured))
    del flat
    goals = Goals(recall=arguments.recall)
    for kind in arguments.kinds:
        search, more, setting, changes = ours(kind, store, size, sample, goals, folder)
        measured = timed(search, queries, least, store)
        note(Result(f"mmsearch {kind}", setting, *measured, {**more, **changes()}))
        del search, changes
    for name, setting, search, built in peers(arguments.peers, store, size):
        note(Result(name, setting, *timed(search, queries, least, store), {"build_s": built}))
    costs = {}
    for count, cost in curve(arguments.curve, store, sample, goals, folder):
        costs[count] = cost
        shown = "  ".join(f"{name} {value:.3g}" for name, value in cost.items())
        print(f"ivf of {count:<10,} {shown}", flush=True)
    about = {
        "source": source,
        "size": size,
        "dim": store.dim,
        "queries": len(queries),
        "threads": threads(),
        "versions": {"mmsearch": mmsearch.__version__, "faiss": faiss.__version__},
        "machine": machine(),
        "load": [load, os.getloadavg()[0]],  # before and after: 0 and some 1 to 2 if undisturbed
    }
    plain = {**about, "results": [asdict(result) for result in results], "curve": costs}
    out = arguments.json or Path(f"build/index_choice/{size}_{store.dim}.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(plain, indent=1), encoding="utf-8")
    out.with_suffix(".svg").write_text(picture(results, about), encoding="utf-8")
    print(f"{about['machine']}, {threads()} threads, load {about['load']}")
    print(f"written: {out} and {out.with_suffix('.svg').name}", file=sys.stderr)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def machine() -> str:
    """The processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100,000 vectors: minutes")
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--recall", type=float, default=0.995, help="the goal of our kinds")
    parser.add_argument("--kinds", nargs="*", default=["exact", "codes", "ivf"])
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--collection", type=Path)
    parser.add_argument("--curve", nargs="*", type=int, help="sizes; default 10,000, 100,000, all")
    parser.add_argument("--json", type=Path, help="default: build/index_choice/SIZE_DIM.json")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.size, arguments.queries = 100_000, min(arguments.queries, 100)
    if arguments.curve is None:
        arguments.curve = sorted({*(one for one in CURVE if one < arguments.size), arguments.size})
    for peer in missing(arguments.peers):
        print(f"{peer} is not installed: skipped", file=sys.stderr)
        arguments.peers.remove(peer)
    return arguments


if __name__ == "__main__":
    main()
