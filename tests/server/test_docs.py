"""docs/server.md: each curl of the chapter works, and no route is left out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.testclient import TestClient

from tests.server.test_contract import OPERATIONS
from tests.server.worlds import serving
from tests.support import ColourEncoder, paint

CHAPTER = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
LINES = b'{"key": "L1", "text": "one"}\n{"key": "L2", "text": "two"}\n'


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", CHAPTER, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
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
                more["content"], method = LINES, "POST"
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
    folder: Path, tmp_path: Path, encoder: ColourEncoder
) -> None:
    album = tmp_path / "album"
    paint(album / "pink.png", (250, 120, 160))
    seen: set[str] = set()
    with serving(folder, encoder, roots=(album,)) as client:
        id = ""
        for command in commands():
            filled = [word.replace("ROOT", str(album)).replace("/ID", f"/{id}") for word in command]
            method, address, more = asked(filled, folder)
            response = client.request(method, address, **more)
            assert response.status_code < 300, (command, response.text)
            seen.add(operation(client, method, address))
            if address == "/v1/jobs" and method == "POST":
                id = response.json()["id"]
    assert set(OPERATIONS.values()) - seen == set()


def operation(client: TestClient, method: str, address: str) -> str:
    """The name of what answers there."""
    path = address.partition("?")[0]
    for template, methods in client.get("/openapi.json").json()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", ".+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in methods:
            return str(methods[method.lower()]["operationId"])
    return ""
