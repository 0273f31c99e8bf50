"""Output where the locale, or PYTHONIOENCODING, is not UTF-8."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import draw_disc

LATIN_1 = {"PYTHONIOENCODING": "latin-1"}
ASCII_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NAME = "größe 赤😀.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An indexed folder of one picture, with a name and a caption that ASCII has no letters for."""
    made = tmp_path_factory.mktemp("encodings")
    draw_disc(made / NAME, "red")
    (made / NAME).with_suffix(".txt").write_text("grün und 赤", encoding="utf-8")
    index = [sys.executable, "-m", "mmsearch", "index", "."]
    subprocess.run(index, cwd=made, capture_output=True, check=True)
    return made


def printed(folder: Path, environ: dict[str, str], *arguments: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "mmsearch", *arguments],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def test_what_an_encoding_lacks_is_escaped_for_people(folder: Path) -> None:
    table = printed(folder, LATIN_1, "query", "red")
    assert "größe \\u8d64\\U0001f600.png  |  grün und \\u8d64" in table.decode("latin-1")


@pytest.mark.parametrize("environ", [LATIN_1, ASCII_LOCALE])
def test_json_is_utf_8_whatever_the_encoding(folder: Path, environ: dict[str, str]) -> None:
    answer = json.loads(printed(folder, environ, "query", "red", "--json"))
    assert (answer["key"], answer["text"]) == (NAME, "grün und 赤")


@pytest.mark.parametrize("environ", [LATIN_1, ASCII_LOCALE, {**ASCII_LOCALE, **LATIN_1}])
@pytest.mark.parametrize(("form", "end"), [("--paths", b"\n"), ("-0", b"\0")])
def test_paths_are_the_bytes_of_the_name(
    folder: Path, environ: dict[str, str], form: str, end: bytes
) -> None:
    assert printed(folder, environ, "query", "red", form) == NAME.encode() + end
