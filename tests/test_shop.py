"""The shop's chapter, docs/shop.md: each example runs, on the sample data and the bundled model."""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmsearch.cli.app import app

ROOT = Path(__file__).parent.parent
CHAPTER = (ROOT / "docs" / "shop.md").read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", CHAPTER, re.DOTALL | re.MULTILINE)


def examples() -> list[tuple[str, str]]:
    """Commands with what they print, in the order of the chapter."""
    found = []
    for block in fenced("console"):
        for part in block.split("$ ")[1:]:
            command, _, printed = part.partition("\n")
            found.append((command, printed))
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample data; the first example makes its collection."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copytree(ROOT / "sample_data", folder / "sample_data")
    return folder


def run(command: str) -> tuple[int, str, str]:
    program, *arguments = shlex.split(command)
    assert program == "mmsearch"
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.stdout, done.stderr


def test_chapter_shows_every_option_of_query() -> None:
    from typer.main import get_command

    from mmsearch.cli.app import app

    options = {
        name
        for parameter in get_command(app).commands["query"].params  # type: ignore[attr-defined]
        for name in parameter.opts
        if name.startswith("--")
    }
    about_printing = {"--paths", "--open", "--preview", "--collection", "--socket", "--help"}
    assert len(options) > 30
    assert [name for name in sorted(options - about_printing) if name not in CHAPTER] == []


def test_examples_print_what_the_chapter_says(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)
    check = doctest.OutputChecker()
    wrong = []
    assert len(examples()) >= 20
    for command, expected in examples():
        code, printed, notes = run(command)
        if code != 0:
            wrong.append(f"$ {command}\nexit code {code}: {notes}")
        elif not check.check_output(expected.rstrip() + "...\n", printed, doctest.ELLIPSIS):
            wrong.append(f"$ {command}\n--- expected\n{expected}--- got\n{printed}{notes}")
    assert not wrong, "\n\n".join(wrong)
    # In the same collection, for indexing it twice would take twice as long.
    (script,) = fenced("python")
    exec(compile(script, "docs/shop.md", "exec"), {})
