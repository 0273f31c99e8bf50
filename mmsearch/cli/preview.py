"""Thumbnails in the terminal: kitty, sixel, iTerm2, or coloured half blocks.

textual-image speaks kitty's protocol and sixel, and asks the terminal which of them it knows.
iTerm2's own protocol is one escape sequence (iterm2.com, "Images"), so it stands here.
"""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import typer

from mmsearch.cli import render
from mmsearch.errors import MmsearchError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image
    from rich.console import RenderableType

    from mmsearch.collection import Collection
    from mmsearch.types import Hit

Way = Literal["iterm2", "ask", "half"]
ROWS = 10
MAX_PIXELS = (
    480  # longest side that is sent to the terminal: ten rows are rarely taller than 400 pixels
)


def choose_way(environ: Mapping[str, str], *, on_terminal: bool) -> Way:
    """How to draw: iTerm2's sequence, whatever textual-image finds out by asking, or half blocks.

    A terminal can only be asked if both its ends are ours (`on_terminal`).
    """
    if not on_terminal:
        return "half"
    if environ.get("TERM_PROGRAM") == "iTerm.app" or environ.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return "ask"


def show(collection: Collection, hits: list[Hit], table: str) -> None:
    """Print `table`, a header and a line per hit, with each picture under its line."""
    header, *lines = table.split("\n")
    typer.echo(header)
    draw = _drawer(choose_way(os.environ, on_terminal=sys.stdin.isatty() and sys.stdout.isatty()))
    for number, line in enumerate(lines):
        typer.echo(line)
        if number < len(hits) and hits[number].path is not None:
            _show_one(collection, hits[number].key, draw)
    sys.stdout.flush()


def _show_one(collection: Collection, key: str, draw: Callable[[Image.Image], None]) -> None:
    try:
        thumbnail = load_thumbnail(collection.image_file(key))
    except MmsearchError as error:
        typer.echo(f"      (no preview: {render.visible(str(error))})")
        return
    sys.stdout.flush()
    draw(thumbnail)


def load_thumbnail(path: Path) -> Image.Image:
    """The picture at `path`, upright RGB, at most 480 pixels on its longer side."""
    from mmsearch.images import decode

    image = decode(path, MAX_PIXELS // 2).image
    image.thumbnail((MAX_PIXELS, MAX_PIXELS))
    return image


def iterm2_sequence(image: Image.Image) -> str:
    """The escape sequence that makes iTerm2 draw `image` ten rows tall."""
    content = io.BytesIO()
    image.save(content, "PNG")
    payload = base64.b64encode(content.getvalue()).decode("ascii")
    fields = f"inline=1;height={ROWS};preserveAspectRatio=1;size={content.tell()}"
    return f"\x1b]1337;File={fields}:{payload}\a"


def _drawer(way: Way) -> Callable[[Image.Image], None]:
    if way == "iterm2":
        return lambda image: typer.echo(iterm2_sequence(image), color=True)
    from rich.console import Console

    console = Console(force_terminal=True, color_system="truecolor", highlight=False)

    def draw(image: Image.Image) -> None:
        console.print(_renderable(image, ask=way == "ask"))

    return draw


def _renderable(image: Image.Image, *, ask: bool) -> RenderableType:
    from textual_image import renderable  # importing it asks the terminal what it knows

    kind = renderable.Image if ask else renderable.HalfcellImage
    return kind(image, height=ROWS, width="auto")
