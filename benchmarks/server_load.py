"""A server of 100,000 products under load: text queries of 64 clients over loopback.

    python benchmarks/server_load.py [--products 100000] [--clients 64] [--seconds 8] [--folder DIR]

Catalog and titles are those of shop_query.py, with vectors of the size and under the fingerprint
of the bundled model, which encodes the queries. Each of them is a text of four words: distinct
ones, or 2,000 of them as often as words are (Zipf, 1.1). The same server answers with its batches
and its caches of answers and encoded texts, and one query at a time without them; once more for
each while another client adds ten products and changes a hundred prices twice a second. Figures
are wall time of this machine, but for the processor time of the server, which other work disturbs
least.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import faiss
import shop_query
from shop_query import WordVectors, product

import mmsearch
from mmsearch.blas import keep_to_one_thread
from mmsearch.encoders.fingerprint import folder_fingerprint
from mmsearch.models.registry import BUNDLED, BUNDLED_FOLDER

WARM_S = 2.0
DISTINCT = 2_000  # texts of the Zipf-distributed queries
EXPONENT = 1.1
WRITES_A_SECOND = 2.0
TICKS = os.sysconf("SC_CLK_TCK")


class MiniSpace(WordVectors):
    """Vectors of words where those of the bundled model would stand: as many, as long, as cheap."""

    name = BUNDLED
    fingerprint = folder_fingerprint(BUNDLED_FOLDER)


@dataclass
class Measured:
    """Seconds of each answered query, in the order of their ends, and what went wrong."""

    times: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    server_s: float = 0.0  # processor time
    writes: int = 0

    @property
    def rate(self) -> float:
        return len(self.times) / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.times)
        return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    def count(self, what: str) -> None:
        self.errors[what] = self.errors.get(what, 0) + 1


# ---- the server


def serve(collection: Path, batched: bool) -> None:
    """`mmsearch serve` with the one thing changed that no option of it changes."""
    from mmsearch.cli import serve as command
    from mmsearch.server.settings import Settings

    settings = Settings(collection, port=0)
    if not batched:
        settings = replace(settings, max_queries_per_batch=1, answer_cache_bytes=0)
        mmsearch.open = partial(mmsearch.open, cached_texts=0)
    listener = command.listening(settings)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    command._run(settings, listener)


@contextmanager
def running(collection: Path, batched: bool, threads: int | None) -> Iterator[tuple[int, int]]:
    """Process id and port of a server that is ready."""
    way = "batched" if batched else "single"
    environment = dict(os.environ)
    if threads:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    else:  # as the command itself begins, before it imports NumPy
        keep_to_one_thread(environment)
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", way, "--folder", str(collection)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # its log
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        with mmsearch.Client(f"http://127.0.0.1:{port}", retries=9) as client:
            # Postings of words are read when a word is first asked for, which is no matter of load.
            words = [*shop_query.COLOURS, *shop_query.KINDS, *shop_query.WORDS]
            for first in range(0, len(words), 30):
                client.search(" ".join(words[first : first + 30]), k=1)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(60)


def processor_s(pid: int) -> float:
    """Seconds that all threads of a process have worked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


# ---- the clients

_NUMBERS = itertools.count()  # of all measurements: a text that was asked before is known encoded


def texts(products: int, zipf: bool) -> Callable[[], str]:
    """Four of the six words of some product's title, each time; never twice unless `zipf`."""
    draw = random.Random(5)

    def text(number: int) -> str:
        words = product(number, random.Random(number))["text"].split()
        return " ".join(draw.sample(words, k=4))

    if not zipf:
        return lambda: text(next(_NUMBERS))
    known = [text(number) for number in range(DISTINCT)]
    weights = list(itertools.accumulate(1 / (rank + 1) ** EXPONENT for rank in range(DISTINCT)))
    return lambda: draw.choices(known, cum_weights=weights)[0]


async def ask(
    port: int, next_text: Callable[[], str], out: Measured, begin: float, end: float
) -> None:
    """One client: a connection that is kept, a query as soon as the one before is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while (started := time.perf_counter()) < end:
            body = json.dumps({"text": next_text(), "k": 20}).encode()
            writer.write(
                b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            status, answer = await _response(reader)
            now = time.perf_counter()
            if begin <= started:
                if status != 200 or not answer.startswith(b'{"hits":[{'):
                    out.count(f"{status} {answer[:80]!r}")
                out.times.append(now - started)
    except (OSError, asyncio.IncompleteReadError) as error:
        out.count(repr(error))
    finally:
        writer.close()


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    at = head.index(b"content-length:") + len(b"content-length:")
    length = int(head[at : head.index(b"\r\n", at)])
    return int(head[9:12]), await reader.readexactly(length)


async def write(port: int, products: int, out: Measured, end: float) -> None:
    """Another client, which adds products and changes prices."""
    numbers = itertools.count(products)
    draw = random.Random(9)
    async with mmsearch.AsyncClient(f"http://127.0.0.1:{port}") as client:
        while time.perf_counter() < end:
            begun = time.perf_counter()
            rows = [product(next(numbers), draw) for _ in range(10)]
            try:
                written = await client.upsert(
                    {"key": r["key"], "title": r["text"], "attributes": r["attributes"]}
                    for r in rows
                )
                keys = draw.sample(range(products), k=100)
                changed = await client.update(
                    {f"P{key:06}": {"price": draw.randrange(1, 1000) / 10} for key in keys}
                )
            except mmsearch.MmsearchError as error:
                out.count(f"write: {error}")
            else:
                for failure in (*written.failures, *changed.failures):
                    out.count(f"write: {failure.reason}")
                out.writes += 1
            await asyncio.sleep(max(0.0, begun + 1 / WRITES_A_SECOND - time.perf_counter()))


async def load(
    pid: int, port: int, next_text: Callable[[], str], arguments: argparse.Namespace, writing: bool
) -> Measured:
    out = Measured()
    begin = time.perf_counter() + WARM_S
    end = begin + arguments.seconds

    async def processor() -> None:
        await asyncio.sleep(begin - time.perf_counter())
        before = processor_s(pid)
        await asyncio.sleep(end - time.perf_counter())
        out.server_s = processor_s(pid) - before

    async with asyncio.TaskGroup() as group:
        group.create_task(processor())
        for _ in range(arguments.clients):
            group.create_task(ask(port, next_text, out, begin, end))
        if writing:
            group.create_task(write(port, arguments.products, out, end))
    out.seconds = arguments.seconds
    return out


# ---- the report


def report(name: str, found: Measured) -> None:
    p50, p95, p99 = (found.percentile(share) for share in (0.5, 0.95, 0.99))
    errors = sum(found.errors.values())
    print(
        f"{name:34} {found.rate:7.0f} queries/s  p50 {p50:6.1f}  p95 {p95:6.1f}  p99 {p99:6.1f} ms "
        f"(p99/p50 {p99 / p50:4.1f})  processor {1000 * found.server_s / len(found.times):5.2f} "
        f"ms/query, {found.server_s / found.seconds:4.2f} cores  errors {errors}"
        + (f"  writes {found.writes}" if found.writes else ""),
        flush=True,
    )
    for what, count in sorted(found.errors.items()):
        print(f"    {count} x {what}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--threads", type=int, help="of its BLAS and FAISS, in place of its own")
    parser.add_argument("--folder", type=Path, help="keep the collection there and use it again")
    parser.add_argument("--only", default="", help="only measurements with this in their name")
    parser.add_argument("--serve", choices=["batched", "single"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.folder, arguments.serve == "batched")
        return
    print(
        f"mmsearch {mmsearch.__version__}, faiss {faiss.__version__}, {BUNDLED} "
        f"{MiniSpace.fingerprint}, {arguments.products:,} products, {arguments.clients} clients, "
        f"{os.cpu_count()} processors, threads: {arguments.threads or 'as served'}, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        path = (arguments.folder or Path(temporary)) / f"load-{arguments.products}"
        if not path.exists():
            started = time.perf_counter()
            shop_query.build(path, arguments.products, MiniSpace())
            with mmsearch.open(path) as collection:  # its snapshots, as `index` leaves them
                collection.check(repair=True)
            print(f"built in {time.perf_counter() - started:.1f} s")
        measure(path, arguments)


def measure(path: Path, arguments: argparse.Namespace) -> None:
    found: dict[tuple[str, bool], Measured] = {}
    for batched in (True, False):
        with running(path, batched, arguments.threads) as (pid, port):
            for load_name in ("distinct", "distinct, writer", "Zipf", "Zipf, writer"):
                name = f"{load_name}, {'batches, cache' if batched else 'one at a time'}"
                if arguments.only in name:
                    following = texts(arguments.products, load_name.startswith("Zipf"))
                    found[load_name, batched] = asyncio.run(
                        load(pid, port, following, arguments, writing="writer" in load_name)
                    )
                    report(name, found[load_name, batched])
    for load_name, batched in found:
        if batched and (load_name, False) in found:
            one, other = found[load_name, True], found[load_name, False]
            work = (other.server_s / len(other.times)) / (one.server_s / len(one.times))
            print(
                f"{load_name}: {one.rate / other.rate:.1f} times the queries, each for "
                f"1/{work:.1f} of the processor"
            )


if __name__ == "__main__":
    main()
