"""docs/server.md: each curl of the chapter works, and no route is left out."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

import mmsearch
from mmsearch.server.app import create_app
from mmsearch.server.settings import Settings
from tests.server.test_contract import OPERATIONS
from tests.server.worlds import listening, serving
from tests.support import ColourEncoder

CHAPTERS = Path(__file__).parents[2] / "docs"
CHAPTER = (CHAPTERS / "server.md").read_text(encoding="utf-8")
SAMPLES = CHAPTERS.parent / "sample_data"


@pytest.fixture
def folder(tmp_path: Path, encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the reader of the chapter stands: `mmsearch index sample_data/products.csv` is done."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SAMPLES, "sample_data")
    with mmsearch.open(tmp_path, create=True, encoder=encoder) as collection:
        collection.index(["sample_data/products.csv"])
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", CHAPTER, re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def asked(command: list[str], files: Path) -> tuple[str, str, dict[str, Any]]:
    """Method, address and what to send, as curl would. Only what the chapter uses."""
    program, *rest = command
    assert program == "curl"
    method, address, in_link = None, "", False
    data: list[str] = []
    parts: list[tuple[str, Any]] = []
    more: dict[str, Any] = {"headers": {}}
    while rest:
        option = rest.pop(0)
        if option == "-G":
            in_link = True
        elif not option.startswith("-"):
            address = option.removeprefix("localhost:8765")
        else:
            value = rest.pop(0)
            if option == "-X":
                method = value
            elif option == "-H":
                name, _, said = value.partition(": ")
                more["headers"][name] = said
            elif option == "-d":
                data.append(value)
            elif option == "--data-urlencode":
                name, _, said = value.partition("=")
                data.append(urlencode({name: said}))
            elif option == "-F":
                name, _, said = value.partition("=")
                file = said.removeprefix("@")
                content = (files / file).read_bytes() if said.startswith("@") else said
                parts.append((name, (file, content) if said.startswith("@") else (None, content)))
            elif option == "-T":
                more["content"] = (files / value).read_bytes()
            else:
                assert option == "-o", option
    if in_link:
        return "GET", f"{address}?{'&'.join(data)}", more
    if parts:
        more["files"] = parts
    elif data:
        more["content"] = "&".join(data).encode()
    return method or ("POST" if data or parts else "GET"), address, more


def test_each_example_works_and_together_they_show_every_route(
    folder: Path, encoder: ColourEncoder
) -> None:
    seen: set[str] = set()
    with serving(folder, encoder, roots=(Path("sample_data"),)) as client:
        id = ""
        for command in commands():
            if command[0] == "printf":
                _, _, *lines, _, file = command
                (folder / file).write_text("".join(f"{line}\n" for line in lines))
                continue
            filled = [word.replace("/ID", f"/{id}") for word in command]
            method, address, more = asked(filled, folder)
            response = client.request(method, address, **more)
            assert response.status_code < 300, (command, response.text)
            if not address.endswith("/delete"):  # one of its keys is not there
                assert '"status":"failed"' not in response.text, (command, response.text)
            seen.add(operation(client, method, address))
            if address == "/v1/jobs" and method == "POST":
                id = response.json()["id"]
    assert set(OPERATIONS.values()) - seen == set()


def test_python_example_runs(folder: Path, encoder: ColourEncoder) -> None:
    app = create_app(Settings(folder / ".mmsearch"), encoder=encoder)
    (example,) = blocks("python")
    with listening(app) as address:
        names: dict[str, Any] = {}
        exec(example.replace("http://127.0.0.1:8765", address), names)
    assert names["found"].queries == 3
    assert names["found"].unknown_keys == ()


def operation(client: TestClient, method: str, address: str) -> str:
    """The name of what answers there."""
    path = address.partition("?")[0]
    for template, methods in client.get("/openapi.json").json()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", ".+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in methods:
            return str(methods[method.lower()]["operationId"])
    return ""
