"""The shop that the browser sees: products of sample_data, and a few with hostile words."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent.parent.parent / "sample_data"
PRODUCTS = 54  # with the hostile ones more than a page of 40
HOSTILE_TITLE = '<img src=x onerror="window.hacked = 1"><script>window.hacked = 2</script>'
HOSTILE_KEY = "odd/../key \"quoted\" 'so' & 50% #1?é<b>"
HOSTILE_MAKER = 'O\'Brien "& Sons" \\ <i>'
ODD_NAME = 'made "in"'


def products() -> list[dict[str, Any]]:
    """The rows of the shop's table; `image` is relative to it."""
    with (SAMPLES / "products.csv").open(encoding="utf-8") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    step = len(rows) / PRODUCTS
    chosen = [rows[int(number * step)] for number in range(PRODUCTS)]
    if not any(row["key"] == "P001" for row in chosen):
        chosen[0] = rows[0]
    for number, row in enumerate(chosen):
        row["price"] = float(row["price"])
        row["stock"] = int(row["stock"])
        row["sale"] = number % 3 == 0
        row["tags"] = ["new", "gift"] if number % 4 == 0 else ["gift"]
        row[ODD_NAME] = "Ulm" if number % 2 else "Kyōto"
        row["maker"] = HOSTILE_MAKER if number % 5 == 0 else "Plain"
    for number, title in enumerate((HOSTILE_TITLE, f"another {HOSTILE_TITLE}")):
        image = rows[-1 - number]["image"]
        caption = f"zebra {title}"
        row = {"key": HOSTILE_KEY if number == 0 else f"hostile-{number}", "title": title}
        chosen.append({**row, "caption": caption, "image": image, "maker": HOSTILE_MAKER})
    return chosen


def make_collection(folder: Path) -> Path:
    """A collection of `products()` with the bundled model, indexed by the command line."""
    (folder / "photos").mkdir(parents=True)
    rows = products()
    for row in rows:
        shutil.copy(SAMPLES / row["image"], folder / row["image"])
    table = folder / "products.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    collection = folder / ".mmsearch"
    run("--collection", str(collection), "index", str(table))
    return collection


def run(*arguments: str) -> str:
    """What `mmsearch ARGUMENTS` writes to stdout."""
    command = [sys.executable, "-m", "mmsearch", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def serving(
    collection: Path, *options: str, port: int | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of `mmsearch serve`, ready to answer, and its process; stopped afterwards."""
    port = port or _free_port()
    command = [sys.executable, "-m", "mmsearch", "--collection", str(collection), "serve"]
    # A busy machine loads the image tower for the first picture in more than a request's time.
    options = ("--port", str(port), "--request-seconds", "120", *options)
    log = (collection.parent / f"serve-{port}.log").open("wb")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log, subprocess.Popen([*command, *options], stdout=log, stderr=log, env=environment) as it:
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_until_ready(address, it, Path(log.name))
            yield address, it
        finally:
            if it.poll() is None:
                it.send_signal(signal.SIGTERM)
                try:
                    it.wait(20)
                except subprocess.TimeoutExpired:
                    it.kill()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if process.poll() is not None:
                break
            time.sleep(0.1)
    raise AssertionError(f"no server at {address}: {log.read_text(errors='replace')}")
