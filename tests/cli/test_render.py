"""Text for people and JSON for programs, whatever the names hold."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmsearch.cli import preview, render
from mmsearch.types import Failure, Hit, IndexReport


def hit(key: str, text: str | None = None, rank: int = 1) -> Hit:
    return Hit(rank, 0.25, key, "image", key, text, None, {})


@given(st.binary(max_size=40))
def test_any_name_is_shown_on_one_line_without_controls(name: bytes) -> None:
    shown = render.visible(os.fsdecode(name))
    assert all(character.isprintable() for character in shown)
    shown.encode("utf-8")


@given(st.text(st.characters()))
def test_json_keeps_every_string(text: str) -> None:
    line = render.to_json({"key": text})
    assert "\n" not in line
    assert json.loads(line.encode("utf-8")) == {"key": text}


def test_emoji_and_other_alphabets_stay_as_they_are() -> None:
    assert render.visible("größe 犬 👩\u200d🚀") == "größe 犬 👩\u200d🚀"


def test_text_direction_overrides_are_escaped() -> None:
    assert render.visible("a\u202egpj.exe") == "a\\u202egpj.exe"


def test_long_lines_are_cut_to_the_terminal() -> None:
    table = render.hits_table([hit("x" * 100)], [None], title="image", width=30)
    assert table.splitlines()[1] == "   1  0.250  " + "x" * 16 + "…"


def test_empty_answer_says_so() -> None:
    assert render.hits_table([], [], title="text").splitlines() == [
        "rank  score  text",
        "nothing found",
    ]


def test_long_list_of_failures_is_cut_short() -> None:
    failures = tuple(Failure(f"{number}.jpg", "cut off") for number in range(25))
    lines = render.index_report(IndexReport(failures=failures)).splitlines()
    assert lines[1] == "  failed 0.jpg: cut off"
    assert lines[21] == "  … and 5 more: --json lists all"


def test_sizes_are_readable() -> None:
    assert [render.size(n) for n in (0, 999, 1500, 20_000_000)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "20.0 MB",
    ]


@pytest.mark.parametrize(
    ("environ", "on_terminal", "way"),
    [
        ({"TERM_PROGRAM": "iTerm.app"}, True, "iterm2"),
        ({"LC_TERMINAL": "iTerm2"}, True, "iterm2"),
        ({"TERM": "xterm-kitty"}, True, "ask"),
        ({"TERM_PROGRAM": "iTerm.app"}, False, "half"),
    ],
)
def test_preview_suits_the_terminal(environ: dict[str, str], on_terminal: bool, way: str) -> None:
    assert preview.choose_way(environ, on_terminal=on_terminal) == way


def test_iterm2_gets_a_png_inline() -> None:
    sequence = preview.iterm2_sequence(Image.new("RGB", (4, 4), "red"))
    head, payload = sequence.removesuffix("\a").split(":")
    assert head.startswith("\x1b]1337;File=inline=1;height=10;")
    assert base64.b64decode(payload).startswith(b"\x89PNG")


def test_half_blocks_show_two_pixels_in_each_cell() -> None:
    image = Image.new("RGB", (40, 20), "red")
    image.paste("blue", (0, 10, 40, 20))
    lines = preview.half_blocks(image, columns=80).split()
    assert [line.plain for line in lines] == ["▀" * 40] * preview.ROWS
    assert {str(span.style) for span in lines[0].spans} == {"#ff0000 on #ff0000"}
    assert {str(span.style) for span in lines[-1].spans} == {"#0000ff on #0000ff"}
    narrow = preview.half_blocks(image, columns=10).split()
    assert [line.plain for line in narrow] == ["▀" * 10] * 2


def test_thumbnail_is_upright_and_small(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (2000, 1000), "red").save(tmp_path / "a.jpg", exif=exif)
    assert preview.load_thumbnail(tmp_path / "a.jpg").size == (240, 480)
