"""`mmsearch serve` as a process: it answers, ends quietly, and keeps all that it acknowledged."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

import mmsearch
from mmsearch.cli.serve import listening as listening_at
from mmsearch.server.settings import Settings
from tests.server.worlds import NDJSON, encoded, picture, process
from tests.support import ColourEncoder

COLOURS = str(Path(__file__).with_name("colours.py"))


def serve(*arguments: str) -> list[str]:
    return ["-m", "mmsearch.cli", "serve", "--port", "0", *arguments]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.com"])
def test_open_address_needs_keys(folder: Path, host: str) -> None:
    command = [sys.executable, *serve("--host", host)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "--keys" in done.stderr


@pytest.mark.parametrize("options", [("--keys", "nope.json"), ("--allow-origin", "foo")])
def test_what_cannot_start_is_not_announced(folder: Path, options: tuple[str, str]) -> None:
    command = [sys.executable, *serve(*options)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert options[1] in done.stderr


def test_a_root_is_a_folder(folder: Path) -> None:
    for name in ("nope", "red-1.png"):
        command = [sys.executable, *serve("--root", str(folder), "--root", name)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"--root {name} is no folder" in done.stderr


def test_taken_port_is_said(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, *serve("--port", port)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr


def test_answers_are_not_held_back_for_more_to_send(folder: Path) -> None:
    with (
        listening_at(Settings(folder, port=0)) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_missing_collection_is_said(tmp_path: Path) -> None:
    command = [sys.executable, *serve()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "mmsearch index" in done.stderr


@pytest.mark.slow
def test_bundled_model_answers_and_the_process_ends_on_sigterm(tmp_path: Path) -> None:
    with process(serve("--create", "--collection", str(tmp_path / "c")), tmp_path) as (
        running,
        address,
    ):
        items = [
            {"key": "car", "text": "a red car in the street"},
            {"key": "dog", "text": "a dog runs on the beach"},
        ]
        written = httpx2.post(f"{address}/v1/items", json={"items": items}, timeout=120).json()
        assert written["added"] == 2, written
        body = {"text": "an automobile", "to": "text", "mode": "vector", "k": 1}
        (hit,) = httpx2.post(f"{address}/v1/search", json=body, timeout=120).json()["hits"]
        assert hit["key"] == "car"
        image = {"image": picture("red")}
        answer = httpx2.post(
            f"{address}/v1/search/image", files=image, data={"query": '{"to": "text"}'}, timeout=120
        )
        assert len(answer.json()["hits"]) == 2
        running.send_signal(signal.SIGTERM)
        output, log = running.communicate(timeout=120)
        assert (running.returncode, output) == (0, "")
        levels = {json.loads(line)["level"] for line in log.splitlines()}
        assert levels == {"info"}


def test_request_under_way_is_answered_before_the_end(folder: Path) -> None:
    with process([COLOURS, str(folder / ".mmsearch")], folder) as (running, address):
        with socket.create_connection(_place(address), timeout=30) as wire:
            body = json.dumps({"text": "red", "k": 1}).encode()
            head = f"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
            wire.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body[:5])
            time.sleep(0.3)  # it was accepted
            running.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            with pytest.raises(httpx2.TransportError):  # no more are
                httpx2.get(f"{address}/healthz")
            wire.sendall(body[5:])
            response = wire.makefile("rb").read()
        assert b"200 OK" in response
        assert b'"hits":[{' in response
        assert running.wait(timeout=30) in (0, -signal.SIGTERM)


def test_everything_acknowledged_survives_being_killed(folder: Path) -> None:
    acknowledged: list[str] = []
    with process([COLOURS, str(folder / ".mmsearch")], folder) as (running, address):

        def lines() -> Iterator[bytes]:
            for number in range(100_000):
                item = {"key": f"k{number}", "text": f"text {number}"}
                if number % 3 == 0:
                    item["image_base64"] = encoded(picture("red", (20, 20 + number % 50)))
                yield json.dumps(item).encode() + b"\n"

        def kill() -> None:
            while len(acknowledged) < 60:
                time.sleep(0.005)
            os.kill(running.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        wire = socket.create_connection(_place(address), timeout=60)
        sender = threading.Thread(target=_send, args=(wire, lines()))
        sender.start()
        reader = wire.makefile("rb")
        try:
            for line in reader:
                if line.startswith(b"{") and line.endswith(b"\n"):
                    result = json.loads(line)
                    assert result["status"] == "done"
                    acknowledged.append(result["key"])
        except OSError:
            pass
        killer.join()
        sender.join()
        wire.close()
    assert len(acknowledged) >= 60
    with mmsearch.open(folder, encoder=ColourEncoder()) as collection:
        assert [key for key in acknowledged if not collection.has_item(key)] == []
        assert collection.check().problems == ()
    with process([COLOURS, str(folder / ".mmsearch")], folder) as (_, address):
        item = httpx2.get(f"{address}/v1/items/{acknowledged[-1]}")
        assert item.status_code == 200
        # And it takes up where it was cut off.
        more = json.dumps({"key": "more", "text": "more"}).encode()
        response = httpx2.post(f"{address}/v1/items", content=more, headers=NDJSON)
        assert response.json()["status"] == "done"


def _place(address: str) -> tuple[str, int]:
    host, port = address.removeprefix("http://").split(":")
    return host, int(port)


def _send(wire: socket.socket, lines: Iterator[bytes]) -> None:
    try:
        wire.sendall(
            b"POST /v1/items HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for line in lines:
            wire.sendall(b"%x\r\n%s\r\n" % (len(line), line))
    except OSError:
        pass  # it was killed, as it was meant to be


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", b""), (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"HTTP/1.1 408 ")],
    ids=["nothing", "a part of it"],
)
def test_head_that_does_not_come_ends_its_connection(
    tmp_path: Path, sent: bytes, status: bytes
) -> None:
    arguments = serve("--create", "--collection", str(tmp_path / "c"), "--request-seconds", "1")
    with process(arguments, tmp_path) as (_, address):
        with socket.create_connection(_place(address), timeout=60) as wire:
            wire.sendall(sent)
            began = time.monotonic()
            answer = wire.makefile("rb").read()
            assert answer.startswith(status)
            assert bool(answer) is bool(status)
            assert time.monotonic() - began > 0.8
        # Others are served as ever.
        assert httpx2.get(f"{address}/healthz", timeout=60).status_code == 200
