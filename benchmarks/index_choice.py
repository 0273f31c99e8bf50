"""What each kind of index finds, how fast and in how much memory, beside its peers and the ceiling.

    python benchmarks/index_choice.py --quick                    # 100,000 made vectors, all peers
    python benchmarks/index_choice.py --size 1000000 --peers flat
    python benchmarks/index_choice.py --quick --collection ~/Pictures   # its vectors, multiplied

Made vectors lie in 2,000 clusters (d = 512, mean cosine 0.5). A collection's pictures are
multiplied with jitter, its texts are the queries. All contenders answer the same queries one at a
time, in one process, after the truth was found by IndexFlatIP: compare times within a run. Peers,
where they are installed (pip install usearch hnswlib): IndexHNSWFlat, usearch float16, hnswlib.
Writes JSON, and a picture of recall against time, to --out.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import faiss
import numpy as np

import mmsearch
from mmsearch.catalog.vectors import VectorFile
from mmsearch.index.build import Sample, build, spaced
from mmsearch.index.goals import Goals
from mmsearch.index.kinds import threads
from mmsearch.index.planner import Choice, lists_for
from mmsearch.index.snapshots import Snapshots

K = 10
BATCH = 50_000
PEERS = ("flat", "hnsw", "usearch", "hnswlib")
Search = Callable[[np.ndarray, int], np.ndarray]  # (n, d), k -> ids (n, k)


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


def peers(
    names: list[str], store: VectorFile, size: int
) -> Iterator[tuple[str, str, Search, float]]:
    rows = np.arange(size)
    if "hnsw" in names:
        started = time.perf_counter()
        graph = faiss.IndexHNSWFlat(store.dim, 32, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = 64
        graph.add(store.read(rows))
        built = time.perf_counter() - started
        for ef in (64, 256, 1024):
            parameters = faiss.SearchParametersHNSW(efSearch=ef)
            yield (
                "faiss IndexHNSWFlat",
                f"M=32 ef={ef}",
                lambda q, k, p=parameters: graph.search(q, k, params=p)[1],
                built,
            )
        del graph
    if "usearch" in names:
        from usearch.index import Index

        started = time.perf_counter()
        tree = Index(ndim=store.dim, metric="ip", dtype="f16", expansion_add=64)
        tree.add(rows, store.read(rows), threads=threads())
        built = time.perf_counter() - started
        for ef in (64, 256, 1024):

            def ask(q: np.ndarray, k: int, ef: int = ef) -> np.ndarray:
                tree.expansion_search = ef
                return np.asarray(tree.search(q[0], k).keys, np.int64)[None]

            yield "usearch f16", f"ef={ef}", ask, built
        del tree
    if "hnswlib" in names:
        import hnswlib

        started = time.perf_counter()
        lib = hnswlib.Index(space="ip", dim=store.dim)
        lib.init_index(size, M=32, ef_construction=64)
        lib.add_items(store.read(rows), rows, num_threads=threads())
        built = time.perf_counter() - started
        for ef in (64, 256, 1024):

            def look(q: np.ndarray, k: int, ef: int = ef) -> np.ndarray:
                lib.set_ef(ef)
                return np.asarray(lib.knn_query(q, k, num_threads=1)[0], np.int64)

            yield "hnswlib", f"M=32 ef={ef}", look, built


CHILD = """
import json, sys, time
from pathlib import Path
import numpy as np
from mmsearch.catalog.vectors import VectorFile
from mmsearch.index.snapshots import Snapshots
def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return [int(line.split()[1]) / 1e3 for line in lines if line.startswith("RssAnon")][0]
folder, stem, dim = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
queries = np.load(folder / "queries.npy")
before = anonymous()
times = []
for _ in range(3):
    started = time.perf_counter()
    index = Snapshots(folder, stem, VectorFile(folder / "vectors.f16", dim)).load(9)
    times.append((time.perf_counter() - started) * 1000)
for query in queries:
    index.search(query[None], 10)
print(json.dumps({"open_ms": min(times), "own_memory_mb": anonymous() - before}))
"""


def ours(
    kind: str, store: VectorFile, size: int, sample: Sample, goals: Goals, folder: Path
) -> tuple[Search, dict[str, float], str, Callable[[], dict[str, float]]]:
    """One of our kinds: its search, what making it cost, its setting, and what changes cost."""
    rows = np.arange(size)
    started, cpu = time.perf_counter(), time.process_time()
    choice = Choice(kind, lists_for(kind, size), kind)  # type: ignore[arg-type]
    index = build(choice, rows, rows, store, goals, sample)
    more = {"build_s": time.perf_counter() - started, "build_cpu_s": time.process_time() - cpu}
    more["build_us_per_item"] = more["build_s"] / size * 1e6
    index.seq = 1
    snapshots = Snapshots(folder, kind, store)
    started = time.perf_counter()
    snapshots.save(index)
    more["snapshot_s"] = time.perf_counter() - started
    more["index_bytes_per_vector"] = snapshots.size_bytes() / size
    more["disk_bytes_per_vector"] = more["index_bytes_per_vector"] + 2 * store.dim
    child = [sys.executable, "-c", CHILD, str(folder), kind, str(store.dim)]
    more |= json.loads(subprocess.run(child, capture_output=True, text=True, check=True).stdout)

    def changes() -> dict[str, float]:
        rng = np.random.default_rng(3)
        some = rng.choice(size, 2_000, replace=False)
        found: dict[str, float] = {}
        started = time.perf_counter()
        index.add_rows(some[:1000], some[1000:])
        index.search(queries_of(sample)[:1], K)
        found["update_1000_s"] = time.perf_counter() - started
        started = time.perf_counter()
        index.remove(some[1000:])
        index.search(queries_of(sample)[:1], K)
        found["remove_1000_s"] = time.perf_counter() - started
        for share in (2, 10, 100):
            allowed = np.arange(0, size, share)
            taken = []
            for query in queries_of(sample)[:20]:
                started = time.perf_counter()
                index.search(query[None], K, allowed)
                taken.append((time.perf_counter() - started) * 1000)
            found[f"filter_1_in_{share}_p50_ms"] = float(np.median(taken))
        return found

    effort = getattr(index, "effort", None)
    setting = "" if effort is None else f"{effort.probes}/{choice.lists}, {effort.candidates}"
    return lambda q, k: index.search(q, k)[1], more, setting, changes


def queries_of(sample: Sample) -> np.ndarray:
    return sample.queries


# ---- the run


def main() -> None:
    arguments = parse()
    size, folder = arguments.size, Path(tempfile.mkdtemp(prefix="index_choice_"))
    make: Callable[[int, int], np.ndarray] = made
    asked, source = made(600, 10**9), "made: 2,000 clusters"
    if arguments.collection:
        with mmsearch.open(arguments.collection) as opened:
            pictures, texts = opened.vectors("image")[1], opened.vectors("text")[1]
        source = f"{len(pictures)} pictures of a collection, multiplied"
        asked = multiplied(pictures, 600, 10**9)
        if len(texts):
            source += ", asked by its texts"
            asked = texts[np.random.default_rng(1).integers(0, len(texts), 600)]

        def make(count: int, seed: int) -> np.ndarray:
            return multiplied(pictures, count, seed)

    store = VectorFile(folder / "vectors.f16", asked.shape[1])
    fill(store, size, make)
    sample = Sample((asked[:64], store.read(spaced(np.arange(size), 64))))
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
    about = {
        "source": source,
        "size": size,
        "dim": store.dim,
        "queries": len(queries),
        "threads": threads(),
        "versions": {"mmsearch": mmsearch.__version__, "faiss": faiss.__version__},
        "machine": platform.processor() or platform.machine(),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = arguments.out / f"index_choice_{size}_{store.dim}"
    plain = {**about, "results": [asdict(result) for result in results]}
    stem.with_suffix(".json").write_text(json.dumps(plain, indent=1), encoding="utf-8")
    stem.with_suffix(".svg").write_text(picture(results, about), encoding="utf-8")
    print(f"written: {stem}.json and .svg", file=sys.stderr)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def picture(results: list[Result], about: dict[str, Any]) -> str:
    """Recall against p50 on a logarithmic axis, a colour a contender, as SVG."""
    width, height, left, top = 720, 420, 60, 40
    low = min(result.p50_ms for result in results) / 1.5
    high = max(result.p50_ms for result in results) * 1.5
    floor = min(0.9, min(result.recall for result in results) - 0.01)
    names = list(dict.fromkeys(result.name for result in results))
    colours = ["#444", "#1b6", "#06c", "#c30", "#b80", "#80c", "#088"]

    def x(value: float) -> float:
        return left + (width - left - 190) * float(np.log(value / low) / np.log(high / low))

    def y(value: float) -> float:
        return top + (height - top - 50) * (1 - (value - floor) / (1 - floor))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{left}" y="20">{about["size"]:,} x {about["dim"]}, {about["source"]}, '
        f"{about['threads']} thread(s)</text>",
    ]
    parts += [
        f'<path d="M{left} {y(tick):.1f}H{width - 190}" stroke="#ddd"/>'
        f'<text x="8" y="{y(tick) + 4:.1f}">{tick:.3f}</text>'
        for tick in np.linspace(floor, 1, 6)
    ]
    parts += [
        f'<path d="M{x(tick):.1f} {top}V{height - 50}" stroke="#ddd"/>'
        f'<text x="{x(tick) - 8:.1f}" y="{height - 34}">{tick:g} ms</text>'
        for tick in (10.0**power for power in range(-2, 4))
        if low < tick < high
    ]
    for number, name in enumerate(names):
        colour = colours[number % len(colours)]
        own = sorted((r for r in results if r.name == name), key=lambda r: r.p50_ms)
        line = " ".join(f"{x(r.p50_ms):.1f},{y(r.recall):.1f}" for r in own)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        parts += [
            f'<circle cx="{x(r.p50_ms):.1f}" cy="{y(r.recall):.1f}" r="4" fill="{colour}"/>'
            for r in own
        ]
        row = top + 18 * number
        parts.append(
            f'<circle cx="{width - 175}" cy="{row}" r="4" fill="{colour}"/>'
            f'<text x="{width - 165}" y="{row + 4}">{name}</text>'
        )
    parts.append(
        f'<text x="{left}" y="{height - 10}">p50 of one query; up and left is better</text>'
    )
    return "\n".join([*parts, "</svg>\n"])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100,000 vectors: under 2 minutes")
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--recall", type=float, default=0.995, help="the goal of our kinds")
    parser.add_argument("--kinds", nargs="*", default=["exact", "rabitq", "ivf"])
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--collection", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/index_choice"))
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.size, arguments.queries = 100_000, min(arguments.queries, 100)
    for peer in ("usearch", "hnswlib"):
        if peer in arguments.peers and find_spec(peer) is None:
            print(f"{peer} is not installed: left out", file=sys.stderr)
            arguments.peers.remove(peer)
    return arguments


if __name__ == "__main__":
    main()
