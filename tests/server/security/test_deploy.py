"""What deploy/ says is true of the program, and as narrow as it claims."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from mmsearch.cli.app import app
from mmsearch.server.security.access import route_of

DEPLOY = Path(__file__).parents[3] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICE: dict[str, Any] = COMPOSE["services"]["mmsearch"]


def dockerfile() -> list[str]:
    """Its instructions, one a line."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def instruction(name: str) -> str:
    """The last one of that name."""
    return [line for line in dockerfile() if line.startswith(name + " ")][-1][len(name) + 1 :]


def unit() -> dict[str, list[str]]:
    """The settings of the unit; one may stand several times."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "mmsearch.service").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


IN_IMAGE = [*json.loads(instruction("ENTRYPOINT")), *json.loads(instruction("CMD"))]
COMMANDS = {
    "Dockerfile": IN_IMAGE,
    "compose.yaml": [*json.loads(instruction("ENTRYPOINT")), *SERVICE["command"]],
    "mmsearch.service": shlex.split(unit()["ExecStart"][0]),
}


@pytest.mark.parametrize("file", COMMANDS)
def test_the_command_line_is_one_that_serve_takes(file: str) -> None:
    program, *arguments = COMMANDS[file]
    assert program.rpartition("/")[2] == "mmsearch"
    option, _, name, *rest = arguments
    group: Any = get_command(app)
    assert option in {one for param in group.params for one in param.opts}
    assert name == "serve"
    inner = group.commands[name].make_context(name, rest)
    # Open to other machines, and then with keys.
    assert inner.params["host"] == "0.0.0.0"
    assert inner.params["keys"] is not None
    assert inner.params["port"] == 8765


def test_the_commands_of_the_comments_exist() -> None:
    group: Any = get_command(app)
    for name in ("compose.yaml", "mmsearch.service"):
        text = (DEPLOY / name).read_text()
        (line,) = re.findall(r"keys add website --keys (\S+)", text)
        assert line.endswith("/keys.json")
    add = group.commands["keys"].commands["add"]
    assert {"--keys", "--scope"} <= {option for one in add.params for option in one.opts}


def test_the_image_runs_as_nobody_in_particular_and_knows_whether_it_is_well() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instruction("USER"))
    stages = [line for line in dockerfile() if line.startswith("FROM ")]
    assert len(stages) == 2
    assert set(re.findall(r"python:\S+", "".join(stages))) == {"python:3.12-slim"}
    path = re.findall(r"http://127\.0\.0\.1:8765(/\w+)", instruction("HEALTHCHECK"))
    assert [route_of("GET", one).scope for one in path] == ["open"]
    kept = json.loads(instruction("VOLUME"))
    assert "/collection" in kept
    words = [line.split()[0] for line in dockerfile()]
    assert words[::-1].index("USER") < words[::-1].index("FROM")  # of the last stage


def test_the_image_is_made_of_the_package_alone() -> None:
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert rules[0] == "*"
    copied = {
        source
        for line in dockerfile()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert copied == {rule[1:] for rule in rules if rule.startswith("!")}
    assert all((DEPLOY.parent / source).exists() for source in copied)


def test_the_container_can_write_nowhere_but_its_volumes() -> None:
    assert SERVICE["read_only"] is True
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICE["ports"])
    places = {volume.rsplit(":", 2)[-1]: volume for volume in SERVICE["volumes"]}
    named = {volume.partition(":")[0] for volume in SERVICE["volumes"]} & set(COMPOSE["volumes"])
    assert named == set(COMPOSE["volumes"])
    assert places["ro"].endswith("/photos:ro")
    inside = {volume.removesuffix(":ro").rpartition(":")[2] for volume in SERVICE["volumes"]}
    command = SERVICE["command"]
    assert command[command.index("--root") + 1] in inside
    assert str(Path(command[command.index("--keys") + 1]).parent) in inside
    assert "privileged" not in SERVICE


def test_the_unit_is_hardened() -> None:
    found = unit()
    for name, value in {
        "DynamicUser": "yes",
        "ProtectSystem": "strict",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "PrivateTmp": "yes",
        "SystemCallArchitectures": "native",
        "UMask": "0077",
    }.items():
        assert found[name] == [value]
    assert "keys.json:/etc/mmsearch/keys.json" in found["LoadCredential"]


SYSTEMD = shutil.which("systemd-analyze")


@pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed here")
def test_systemd_reads_the_unit_and_finds_it_little_exposed(tmp_path: Path) -> None:
    assert SYSTEMD is not None
    text = (DEPLOY / "mmsearch.service").read_text()
    copy = tmp_path / "mmsearch.service"
    copy.write_text(text.replace("/opt/mmsearch/bin/mmsearch", "/bin/true"))  # it looks for it
    done = subprocess.run(
        [SYSTEMD, "verify", "--man=no", "--recursive-errors=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Of ten, in systemd's own judgement; 9.6 without a line of it.
    done = subprocess.run(
        [SYSTEMD, "security", "--offline=true", "--threshold=25", "--no-pager", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed here")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        ["hadolint", str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
