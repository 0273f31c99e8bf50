"""Index many small pictures, then again unchanged: time, memory, bytes on disk.

    python benchmarks/indexing.py --count 10000

Prints one JSON object. The pictures are drawn here, 160 px JPEGs of random blocks, so that
nothing is read that another machine does not have.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

RUN = """
import json, resource, sys, time
import mmsearch
started = time.perf_counter()
with mmsearch.open(sys.argv[2], create=True) as collection:
    report = collection.index([sys.argv[1]], model=sys.argv[3])
    status = collection.status()
print(json.dumps({
    "seconds": round(time.perf_counter() - started, 2),
    "added": report.added,
    "unchanged": report.unchanged,
    "decoded": report.decoded,
    "bottleneck": report.bottleneck,
    "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "fingerprint": status.fingerprint,
    "bytes_per_item": (status.catalog_bytes + status.vectors_bytes + status.index_bytes)
    // max(status.items, 1),
}))
"""


def draw(folder: Path, count: int) -> None:
    random = np.random.default_rng(1)
    for number in range(count):
        blocks = random.integers(0, 255, (5, 5, 3), dtype=np.uint8)
        part = folder / f"{number // 1000:03}"
        part.mkdir(exist_ok=True)
        picture = Image.fromarray(blocks).resize((160, 160), Image.Resampling.BICUBIC)
        picture.save(part / f"{number:06}.jpg", quality=80)


def run(folder: Path, collection: Path, model: str) -> dict[str, object]:
    command = [sys.executable, "-c", RUN, str(folder), str(collection), model]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, object] = json.loads(out)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--model", default="mini")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pictures"
        folder.mkdir()
        started = time.perf_counter()
        draw(folder, options.count)
        print(f"drew {options.count} in {time.perf_counter() - started:.0f} s", file=sys.stderr)
        collection = Path(scratch) / "collection"
        result = {
            "count": options.count,
            "machine": platform.machine(),
            "first": run(folder, collection, options.model),
            "unchanged": run(folder, collection, options.model),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
