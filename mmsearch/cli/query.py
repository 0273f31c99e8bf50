"""`mmsearch query`: ask a collection by words, by a picture or by one of its own items."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmsearch.cli import render
from mmsearch.cli.options import (
    CollectionOption,
    JsonOption,
    file_of,
    key_of_path,
    open_collection,
)
from mmsearch.errors import ItemNotFoundError, MmsearchError, UsageError
from mmsearch.types import MODALITIES, Hit, Modality, Query, Term

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from mmsearch.collection import Collection

STDIN = "-"
# A JPEG on stdin is decoded with both sides at least twice this: above any encoder's input size.
STDIN_TARGET = 512


@dataclass(frozen=True)
class Output:
    """How the answers are printed."""

    as_json: bool
    as_paths: bool
    nul: bool
    preview: bool


def query(
    ctx: typer.Context,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="What to look for, in words.")
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            "--image", metavar="FILE", help="Look for what is like this picture; - reads stdin."
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            "--like", metavar="KEY", help="Look for what is like this item of the collection."
        ),
    ] = None,
    to: Annotated[
        Literal["image", "text"] | None,
        typer.Option(
            "--to", help="Kind of answers: images for a text by default, otherwise both kinds."
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many answers (of each kind).")] = 10,
    as_json: JsonOption = False,
    paths: Annotated[
        bool, typer.Option("--paths", help="Print the files' paths alone, one per line.")
    ] = False,
    nul: Annotated[
        bool, typer.Option("-0", help="Like --paths, each ended by a NUL byte, for xargs -0.")
    ] = False,
    open_first: Annotated[
        bool, typer.Option("--open", help="Open the best answer in its usual program.")
    ] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show the pictures in the terminal.")
    ] = False,
    collection: CollectionOption = None,
) -> None:
    """Find the pictures and texts nearest to some words, a picture or an item.

    \b
    Example:
      mmsearch query "red car"
      mmsearch query --image photo.jpg --to text
      mmsearch query --like shop/car-03.jpg -k 5 --preview
      mmsearch query "cat on a sofa" -0 | xargs -0 cp -t cats/
    """
    if sum(part is not None for part in (text, image, like)) != 1:
        raise UsageError(
            'say what to look for, in one way: mmsearch query "red car", --image FILE or --like KEY'
        )
    if as_json and (paths or nul):
        raise UsageError("--json and --paths (or -0) are two ways to print: choose one")
    output = Output(as_json=as_json, as_paths=paths or nul, nul=nul, preview=preview)
    term = Term(text=text, image=_picture(image), item=like)
    with open_collection(ctx, collection) as opened:
        first: Hit | None = None
        for number, modality in enumerate(_kinds(opened, term, to)):
            hits = _search(opened, Query((term,), modality, k))
            _print_hits(opened, hits, modality, output, after_another=number > 0)
            first = first or next(iter(hits), None)
        if open_first:
            _open(opened, first)


def _kinds(collection: Collection, term: Term, to: Modality | None) -> Sequence[Modality]:
    """The kinds of answers asked for, each a search of its own: their scores do not compare."""
    if to is not None:
        return (to,)
    status = collection.status()
    counts = {"image": status.images, "text": status.texts}
    kinds = [modality for modality in MODALITIES if counts[modality]] or [MODALITIES[0]]
    return kinds[:1] if term.text is not None else kinds


def _search(collection: Collection, query: Query) -> list[Hit]:
    """Search; a KEY that names no item is tried once more as a path from here."""
    (term,) = query.terms
    try:
        return collection.search(query)
    except ItemNotFoundError as unknown:
        if term.item is None:
            raise
        try:
            return collection.search(
                replace(query, terms=(Term(item=key_of_path(collection, term.item)),))
            )
        except ItemNotFoundError:
            raise unknown from None


def _picture(name: str | None) -> Image.Image | Path | None:
    """The query picture: a path, or what comes on stdin. Raises ImageError."""
    if name is None or name != STDIN:
        return None if name is None else Path(name)
    from mmsearch.images import decode

    return decode(sys.stdin.buffer, STDIN_TARGET).image


def _print_hits(
    collection: Collection,
    hits: list[Hit],
    modality: Modality,
    output: Output,
    *,
    after_another: bool,
) -> None:
    if output.as_paths:
        _print_paths(collection, hits, b"\0" if output.nul else b"\n")
        return
    if output.as_json:
        for hit in hits:
            typer.echo(render.hit_json(hit))
        return
    if after_another:
        typer.echo()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    table = render.hits_table(
        hits, [file_of(collection, hit) for hit in hits], title=modality, width=width
    )
    if output.preview:
        from mmsearch.cli import preview

        preview.show(collection, hits, table)
    else:
        typer.echo(table)


def _print_paths(collection: Collection, hits: list[Hit], end: bytes) -> None:
    """The answers' files, byte for byte as they are named on disk."""
    files = [file for hit in hits if (file := file_of(collection, hit)) is not None]
    sys.stdout.flush()
    sys.stdout.buffer.write(b"".join(os.fsencode(render.near(file)) + end for file in files))
    sys.stdout.buffer.flush()
    if len(files) < len(hits):
        typer.echo(
            f"note: {len(hits) - len(files)} of the answers are rows of tables, without a file",
            err=True,
        )


def _open(collection: Collection, hit: Hit | None) -> None:
    """Show `hit` in the desktop's usual program, without waiting for it."""
    if hit is None:
        raise MmsearchError("nothing found, so there is nothing to open")
    file = file_of(collection, hit)
    if file is None:
        raise MmsearchError(
            f"{render.visible(hit.key)} is a row of a table: it has no file to open"
        )
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if opener is None:
        raise MmsearchError(
            f"found no program to open {render.visible(render.near(file))} with: install xdg-utils"
        )
    subprocess.Popen(
        [opener, str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
