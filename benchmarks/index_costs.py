"""What our kinds of index cost to make, open, change and keep, for index_choice.py."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from index_peers import Search

from mmsearch.catalog.vectors import VectorFile
from mmsearch.index.build import Sample, build
from mmsearch.index.engine import EngineIndex
from mmsearch.index.goals import Goals
from mmsearch.index.planner import Choice, lists_for
from mmsearch.index.snapshots import Snapshots

K = 10
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
def opened():
    started = time.perf_counter()
    index = Snapshots(folder, stem, VectorFile(folder / "vectors.f16", dim)).load(9)
    return index, (time.perf_counter() - started) * 1000
before = anonymous()
index, first = opened()
for query in queries:
    index.search(query[None], 10)
own = anonymous() - before  # of one index: what allocators keep of others that went is not its own
print(json.dumps({"open_ms": min(first, opened()[1], opened()[1]), "own_memory_mb": own}))
"""


# Asks one query after the other until stdin is closed; writes when each began and what it took.
ASKER = """
import json, sys, threading, time
from pathlib import Path
import numpy as np
from mmsearch.catalog.vectors import VectorFile
from mmsearch.index.snapshots import Snapshots
folder, stem, dim = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
queries = np.load(folder / "queries.npy")
index = Snapshots(folder, stem, VectorFile(folder / "vectors.f16", dim)).load(9)
closed = threading.Thread(target=sys.stdin.read)
print("ready", flush=True)
closed.start()
asked = []
while closed.is_alive():
    started = time.monotonic()
    index.search(queries[len(asked) % len(queries)][None], 10)
    asked.append((started, time.monotonic() - started))
print(json.dumps(asked))
"""
SNAPSHOTS = 5


def during_snapshots(snapshots: Snapshots, index: EngineIndex, dim: int) -> dict[str, float]:
    """What queries of another process take while this one writes snapshots, and while it rests."""
    child = subprocess.Popen(
        [sys.executable, "-c", ASKER, str(snapshots.directory), snapshots.name, str(dim)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    written = []
    for _ in range(SNAPSHOTS):
        time.sleep(0.5)
        started = time.monotonic()
        index.seq += 1
        snapshots.save(index)
        written.append((started, time.monotonic()))
    asked = np.array(json.loads(child.communicate()[0]))  # (n, 2)
    starts, ends = asked[:, 0], asked.sum(axis=1)
    meets = np.zeros(len(asked), np.bool_)
    for first, last in written:
        meets |= (starts <= last) & (ends >= first)
    found = {"snapshot_s": float(np.mean([last - first for first, last in written]))}
    for name, some in (
        ("during_snapshot", asked[meets, 1]),
        ("between_snapshots", asked[~meets, 1]),
    ):
        p50, p95 = np.percentile(some * 1000, [50, 95])
        found |= {f"{name}_p50_ms": float(p50), f"{name}_p95_ms": float(p95)}
    return found


def curve(
    sizes: list[int], store: VectorFile, sample: Sample, goals: Goals, folder: Path
) -> Iterator[tuple[int, dict[str, float]]]:
    """What an item costs of an IVF index of each size."""
    for size in sizes:
        _, more, _, changes = ours("ivf", store, size, sample, goals, folder)
        more |= changes()
        yield (
            size,
            {
                "build_us_per_item": more["build_s"] / size * 1e6,
                "build_cpu_us_per_item": more["build_cpu_s"] / size * 1e6,
                "update_us_per_item": more["update_1000_s"] * 1e3,
                "remove_us_per_item": more["remove_1000_s"] * 1e3,
                "disk_bytes_per_item": more["disk_bytes_per_vector"],
                "open_ms": more["open_ms"],
            },
        )


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
    snapshots.save(index)
    more["index_bytes_per_vector"] = snapshots.size_bytes() / size
    more["disk_bytes_per_vector"] = more["index_bytes_per_vector"] + 2 * store.dim
    child = [sys.executable, "-c", CHILD, str(folder), kind, str(store.dim)]
    more |= json.loads(subprocess.run(child, capture_output=True, text=True, check=True).stdout)

    def changes() -> dict[str, float]:
        """What changing 1,000 items takes, and queries with a filter. It wears the index."""
        rng = np.random.default_rng(3)
        some = rng.choice(size, 2_000, replace=False)
        found: dict[str, float] = {}
        index.search(sample.queries[:1], K)
        started = time.perf_counter()
        index.add_rows(some[:1000], some[1000:])
        index.search(sample.queries[:1], K)
        found["update_1000_s"] = time.perf_counter() - started
        started = time.perf_counter()
        index.remove(some[1000:])
        index.search(sample.queries[:1], K)
        found["remove_1000_s"] = time.perf_counter() - started
        for share in (2, 10, 100):
            allowed = np.arange(0, size, share)
            taken = []
            for query in sample.queries[:20]:
                started = time.perf_counter()
                index.search(query[None], K, allowed)
                taken.append((time.perf_counter() - started) * 1000)
            found[f"filter_1_in_{share}_p50_ms"] = float(np.median(taken))
        return found

    more |= during_snapshots(snapshots, index, store.dim)
    effort = getattr(index, "effort", None)
    setting = "" if effort is None else f"{effort.probes}/{choice.lists}, {effort.candidates}"
    return lambda q, k: index.search(q, k)[1], more, setting, changes
