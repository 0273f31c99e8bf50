"""`mmsearch query` and its ways to print."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Cli, Program
from tests.conftest import draw_disc


def test_table_has_rank_score_and_path_or_text(
    cli: Cli, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(indexed)
    lines = cli("query", "a red ball").stdout.splitlines()
    assert lines[0] == "rank  score  image"
    assert len(lines) == 4
    for rank, line in enumerate(lines[1:], 1):
        assert re.fullmatch(rf" {{3}}{rank}  -?\d\.\d{{3}}  (red|green|blue)\.png.*", line)
    assert any(line.endswith("red.png  |  a red ball on a grey table") for line in lines)


def test_texts_come_first_when_they_are_asked_for(cli: Cli, indexed: Path) -> None:
    result = cli("query", "a dog on the beach", "--to", "text", "-k", "1", "--collection", indexed)
    header, line = result.stdout.splitlines()
    assert header == "rank  score  text"
    assert re.fullmatch(r" {3}1  \d\.\d{3}  a dog runs on the beach  \|  .*/note\.txt", line)


def test_picture_as_a_query_finds_itself_and_answers_both_kinds(cli: Cli, indexed: Path) -> None:
    result = cli("query", "--image", indexed / "blue.png", "--collection", indexed)
    images, texts = result.stdout.split("\n\n")
    assert images.splitlines()[0] == "rank  score  image"
    assert "blue.png" in images.splitlines()[1]
    assert texts.splitlines()[0] == "rank  score  text"
    assert len(texts.splitlines()) == 5


def test_picture_from_stdin_is_the_same_query(cli: Cli, indexed: Path) -> None:
    named = cli("query", "--image", indexed / "blue.png", "--collection", indexed)
    piped = cli(
        "query",
        "--image",
        "-",
        "--collection",
        indexed,
        stdin=(indexed / "blue.png").read_bytes(),
    )
    assert piped.exit_code == 0, piped.output
    assert piped.stdout == named.stdout


def test_like_takes_a_key_or_a_path_from_here(
    cli: Cli, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_key = cli("query", "--like", "green.png", "--collection", indexed, "--json")
    monkeypatch.chdir(indexed.parent)
    by_path = cli("query", "--like", "corpus/green.png", "--collection", indexed, "--json")
    assert by_key.exit_code == by_path.exit_code == 0, by_path.output
    assert by_key.stdout == by_path.stdout


def test_json_is_one_object_per_line(cli: Cli, indexed: Path) -> None:
    result = cli("query", "a taxi", "--to", "text", "--json", "--collection", indexed)
    hits = [json.loads(line) for line in result.stdout.splitlines()]
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4]
    assert list(hits[0]) == [
        "rank",
        "score",
        "key",
        "modality",
        "path",
        "text",
        "group",
        "attributes",
    ]
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    (taxi,) = [hit for hit in hits if "taxi" in hit["text"]]
    assert str(taxi["attributes"]["price"]) == "12"


def test_paths_lead_to_the_files_from_here(
    cli: Cli, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(indexed.parent)
    result = cli("query", "red", "--paths", "--collection", indexed)
    paths = result.stdout.splitlines()
    assert sorted(paths) == ["corpus/blue.png", "corpus/green.png", "corpus/red.png"]
    result = cli("query", "a dog", "--paths", "--to", "text", "--collection", indexed)
    assert sorted(result.stdout.splitlines()) == ["corpus/note.txt", "corpus/red.png"]
    assert result.stderr == (
        "note: 2 answers are rows of tables, without a file, or texts whose files are gone\n"
    )


def test_text_whose_file_is_gone_is_counted_where_only_paths_are_wanted(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("a dog runs on the beach\n", encoding="utf-8")
    assert cli("index", ".").exit_code == 0
    (tmp_path / "note.txt").unlink()
    result = cli("query", "a dog", "--to", "text", "--paths")
    assert (result.stdout, result.stderr) == (
        "",
        "note: 1 answer is a row of a table, without a file, or a text whose file is gone\n",
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"two\nlines.png", "two\\nlines.png"),
        (b"esc\x1b[31m.png", "esc\\x1b[31m.png"),
        (b"latin-\xe9.png", "latin-\\xe9.png"),
        ("größe 'quoted' \"twice\".png".encode(), "größe 'quoted' \"twice\".png"),
    ],
)
def test_odd_names_are_shown_safely_and_written_exactly(
    program: Program, tmp_path: Path, name: bytes, shown: str
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    draw_disc(tmp_path / "red.png", "red")
    os.rename(os.fsencode(tmp_path / "red.png"), os.path.join(os.fsencode(folder), name))
    indexed = program("index", "odd", cwd=tmp_path)
    assert indexed.returncode == 0, indexed.stderr
    table = program("query", "red", cwd=tmp_path).stdout.decode("utf-8")
    assert table.splitlines()[1].endswith("odd/" + shown)
    assert program("query", "red", "-0", cwd=tmp_path).stdout == b"odd/" + name + b"\0"
    assert program("query", "red", "--paths", cwd=tmp_path).stdout == b"odd/" + name + b"\n"
    printed = program("query", "red", "--json", cwd=tmp_path).stdout
    key = json.loads(printed)["key"]
    assert printed.count(b"\n") == 1
    again = program("query", "--like", key, "--to", "image", "-0", cwd=tmp_path)
    assert again.stdout == b"odd/" + name + b"\0"
    by_path = program("query", "--like", b"odd/" + name, "--to", "image", "-0", cwd=tmp_path)
    assert by_path.stdout == again.stdout


def test_reader_that_leaves_early_causes_no_traceback(indexed: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "mmsearch.cli", "query", "red", "--collection", indexed],
            stdout=pipe,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.stderr == b""
    assert done.returncode == 141


def test_open_starts_the_desktops_program_with_the_best_answer(
    program: Program, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opener = tmp_path / ("open" if sys.platform == "darwin" else "xdg-open")
    opener.write_text(
        f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/part && mv {tmp_path}/part {tmp_path}/opened\n'
    )
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    blue = program("query", "--like", "blue.png", "--open", "--to", "image", cwd=indexed)
    assert blue.returncode == 0, blue.stderr
    for _ in range(100):
        if (tmp_path / "opened").exists():
            break
        subprocess.run(["sleep", "0.05"], check=True)
    assert (tmp_path / "opened").read_text() == str(indexed / "blue.png")


def test_opener_that_fails_is_an_error_that_says_what_to_do(
    cli: Cli, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "open" if sys.platform == "darwin" else "xdg-open"
    (tmp_path / name).write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(indexed)
    result = cli("query", "--like", "blue.png", "--open", "--to", "image")
    assert result.exit_code == 1
    assert "blue.png" in result.stdout  # the answer itself is there
    assert f"{name} could not open blue.png (exit code 3)" in result.stderr
    assert "--paths" in result.stderr


def test_opener_that_is_missing_is_an_error_that_says_what_to_install(
    cli: Cli, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = cli("query", "--like", "blue.png", "--open", "--to", "image", "--collection", indexed)
    assert result.exit_code == 1
    assert "install xdg-utils" in result.stderr


def test_opener_that_stays_is_not_waited_for(
    program: Program, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opener = tmp_path / ("open" if sys.platform == "darwin" else "xdg-open")
    go_on = tmp_path / "go on"
    os.mkfifo(go_on)
    opener.write_text(f"#!/bin/sh\nread _ < '{go_on}'\nexit 3\n")
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    shown = program("query", "--like", "blue.png", "--open", "--to", "image", cwd=indexed)
    assert shown.returncode == 0, shown.stderr
    go_on.write_text("\n")  # the opener is still there to read it, and ends


def test_environment_names_the_collection(
    cli: Cli, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSEARCH_COLLECTION", str(indexed / ".mmsearch"))
    assert "red.png" in cli("query", "red").stdout


def test_text_query_loads_no_torch(indexed: Path) -> None:
    script = f"""
import sys
from mmsearch.cli.app import app
try:
    app(["query", "red", "--collection", {str(indexed)!r}])
except SystemExit as done:
    assert not done.code, done.code
print("torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_upside_down_jpeg_on_stdin_is_decoded(cli: Cli, indexed: Path) -> None:
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(indexed / "red.png").rotate(180).save(content, "JPEG", exif=exif)
    result = cli(
        "query",
        "--image",
        "-",
        "--to",
        "image",
        "-k",
        "1",
        "--collection",
        indexed,
        stdin=content.getvalue(),
    )
    assert "red.png" in result.stdout
