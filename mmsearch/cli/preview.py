"""Thumbnails in the terminal: kitty, sixel, iTerm2, or coloured half blocks.

textual-image speaks kitty's protocol and sixel, and asks the terminal which of them it knows. To
import it is to ask, so where nobody can be asked, half blocks are drawn here. iTerm2's own protocol
is one escape sequence (iterm2.com, "Images"), so it stands here, too.
"""

from __future__ import annotations

import base64
import io
import logging
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
    from rich.text import Text
    from textual_image.renderable import SixelImage, TGPImage

    from mmsearch.collection import Collection
    from mmsearch.types import Hit

Way = Literal["iterm2", "ask", "half"]
ROWS = 10
MAX_PIXELS = (
    480  # longest side that is sent to the terminal: ten rows are rarely taller than 400 pixels
)


def choose_way(environ: Mapping[str, str], *, on_terminal: bool) -> Way:
    """How to draw: iTerm2's sequence, whatever textual-image finds out by asking, or half blocks.

    A terminal can only be asked if both its ends are ours and it has a size (`on_terminal`).
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
    draw = _drawer(choose_way(os.environ, on_terminal=_on_terminal()))
    for number, line in enumerate(lines):
        typer.echo(line)
        if number < len(hits) and hits[number].path is not None:
            _show_one(collection, hits[number].key, draw)
    sys.stdout.flush()


def _on_terminal() -> bool:
    """Whether there is someone to ask. A terminal without columns, as some programs make them to
    read what others print, gives textual-image cells of no size."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return min(os.get_terminal_size(sys.stdout.fileno())) > 0


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
    protocol = _protocol() if way == "ask" else None

    def draw(image: Image.Image) -> None:
        if protocol is None:
            console.print(half_blocks(image, console.width))
        else:
            console.print(protocol(image, height=ROWS, width="auto"))

    return draw


def _protocol() -> type[SixelImage | TGPImage] | None:
    """What the terminal says that it knows; None where it knows neither, or does not answer."""
    import termios

    # An answer that does not come within 0.1 s is logged with a traceback.
    logging.getLogger("textual_image").addHandler(logging.NullHandler())
    try:
        from textual_image import renderable
    except (OSError, ValueError, termios.error):  # no answer, keys pressed, half a sequence
        return None
    found = renderable.Image
    return found if issubclass(found, renderable.SixelImage | renderable.TGPImage) else None


def half_blocks(image: Image.Image, columns: int) -> Text:
    """`image` in cells that show two pixels each, ten rows tall or as wide as there are columns."""
    from rich.style import Style
    from rich.text import Text

    scale = min(2 * ROWS / image.height, columns / image.width)
    width, rows = max(1, round(image.width * scale)), max(1, round(image.height * scale / 2))
    small = image.resize((width, 2 * rows))
    cells = Text(end="", no_wrap=True)
    for row in range(rows):
        for column in range(width):
            upper, lower = (
                "#{:02x}{:02x}{:02x}".format(*small.getpixel((column, 2 * row + below)))  # type: ignore[misc]  # RGB
                for below in (0, 1)
            )
            cells.append("▀", Style(color=upper, bgcolor=lower))
        cells.append("\n")
    return cells
