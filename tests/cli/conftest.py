"""A collection of the tiny corpus, indexed once, and ways to call the program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mmsearch.cli.app import app
from tests.conftest import write_corpus

Cli = Callable[..., Result]
Program = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Call the program in this process, in an empty working directory, with a wide terminal."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(part) for part in arguments], input=stdin)

    return call


@pytest.fixture
def program() -> Program:
    """Call the program as a process of its own."""

    def call(
        *arguments: str | Path | bytes, cwd: Path, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "mmsearch.cli", *(os.fsencode(part) for part in arguments)],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            timeout=120,
            check=False,
        )

    return call


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an indexed tiny corpus, for reading only; its collection is `.mmsearch`."""
    folder = write_corpus(tmp_path_factory.mktemp("indexed") / "corpus")
    done = CliRunner().invoke(
        app, ["--collection", str(folder / ".mmsearch"), "index", str(folder)]
    )
    assert done.exit_code == 0, done.output
    return folder
