"""API keys are shown once, kept as hashes, and taken only whole."""

from __future__ import annotations

import hmac
import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmsearch.cli.app import app
from mmsearch.errors import InputError, UsageError
from mmsearch.server.security import keys


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_found_and_none_like_it(file: Path) -> None:
    made = keys.add(file, "web", "read")
    held = keys.load(file)
    found = keys.find(held, made)
    assert found is not None
    assert (found.name, found.scope) == ("web", "read")
    for other in ("", made[:-1], made + "x", made.swapcase(), found.sha256, "web", "\udcff"):
        assert keys.find(held, other) is None


def test_keys_have_32_random_bytes(file: Path) -> None:
    made = {keys.add(file, f"k{number}", "read") for number in range(20)}
    assert len(made) == 20
    assert {len(key.removeprefix(keys.PREFIX)) for key in made} == {43}  # 256 bits, 6 a character


def test_the_file_holds_no_key_and_is_its_owners_alone(file: Path) -> None:
    made = keys.add(file, "web", "read")
    assert made not in file.read_text()
    assert made.removeprefix(keys.PREFIX) not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    keys.add(file, "other", "write")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == ["keys.json", "keys.json.lock"]


def test_all_hashes_are_compared_in_constant_time(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [keys.add(file, name, "read") for name in ("a", "b", "c")]
    held = keys.load(file)
    compared: list[object] = []
    real = hmac.compare_digest

    def counting(a: str, b: str) -> bool:
        compared.append(a)
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    for key in (made[0], made[2], "wrong"):
        compared.clear()
        keys.find(held, key)
        assert compared == [key.sha256 for key in held]


@pytest.mark.parametrize("name", ["", "a b", "a\r\nX-Evil: 1", "a\n", "ä", "-a", "x" * 65, "../a"])
def test_a_name_that_could_break_a_log_is_refused(file: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no name for a key"):
        keys.add(file, name, "read")
    assert not file.exists()


def test_names_are_unique_and_removal_names_what_there_is(file: Path) -> None:
    keys.add(file, "web", "read")
    with pytest.raises(UsageError, match="already"):
        keys.add(file, "web", "write")
    with pytest.raises(UsageError, match="there are: web"):
        keys.remove(file, "wen")
    keys.remove(file, "web")
    assert keys.load(file) == ()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(file: Path, mode: int) -> None:
    keys.add(file, "web", "read")
    file.chmod(mode)
    with pytest.raises(InputError, match="chmod 600"):
        keys.load(file)
    file.chmod(0o440)  # what systemd and Docker give a service to read
    assert len(keys.load(file)) == 1


GOOD = {"name": "web", "scope": "read", "sha256": "0" * 64, "created_at": "2026-01-01"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"version": 2, "keys": []}',
        '{"version": 1}',
        "[" * 100_000,
        json.dumps({"version": 1, "keys": [GOOD, GOOD]}),
        json.dumps({"version": 1, "keys": [{**GOOD, "scope": "admin"}]}),
        json.dumps({"version": 1, "keys": [{**GOOD, "sha256": "0"}]}),
        json.dumps({"version": 1, "keys": [{**GOOD, "sha256": None}]}),
        json.dumps({"version": 1, "keys": [{**GOOD, "name": "a\nb"}]}),
        json.dumps({"version": 1, "keys": [{"name": "web"}]}),
    ],
    ids=lambda content: content[:50],
)
def test_a_damaged_file_is_an_error_that_names_it(file: Path, content: str) -> None:
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(InputError, match="no file of keys"):
        keys.load(file)


def test_the_command_prints_the_key_once_and_never_again(file: Path) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, ["keys", *arguments, "--keys", str(file)])
        return done.exit_code, done.stdout, done.stderr

    code, made, note = run("add", "web", "--scope", "write")
    assert code == 0
    assert "only a hash" in note
    found = keys.find(keys.load(file), made.strip())
    assert found is not None
    assert found.scope == "write"
    code, listed, _ = run("list", "--json")
    assert json.loads(listed).keys() == {"name", "scope", "created_at"}
    assert made.strip() not in listed + run("list")[1]
    code, _, error = run("add", "web")
    assert (code, "already" in error) == (2, True)
    assert json.loads(run("add", "page", "--json")[1])["scope"] == "read"
    assert run("remove", "web")[0] == 0
    assert [key.name for key in keys.load(file)] == ["page"]


def test_listing_no_file_says_how_to_make_one(file: Path) -> None:
    done = CliRunner().invoke(app, ["keys", "list", "--keys", str(file)])
    assert done.exit_code == 1
    assert "keys add" in done.stderr
