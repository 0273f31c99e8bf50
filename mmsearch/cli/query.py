"""`mmsearch query`: ask a collection by words, by a picture or by one of its own items."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmsearch.cli import render
from mmsearch.cli.options import CollectionOption, JsonOption, open_collection
from mmsearch.errors import ImageError, ItemNotFoundError, MmsearchError, UsageError
from mmsearch.types import MODALITIES, Hit, Modality, Query, Term

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mmsearch.collection import Collection

STDIN = "-"


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
    with open_collection(ctx, collection) as opened, _picture(image) as picture:
        term = Term(text=text) if text is not None else Term(image=picture, item=like)
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
    if term.text is not None:
        return ("image",)
    status = collection.status()
    counts = {"image": status.images, "text": status.texts}
    return [modality for modality in MODALITIES if counts[modality]] or ("image",)


def _search(collection: Collection, query: Query) -> list[Hit]:
    """Search; a key that names no item is tried once more as a path from the working directory."""
    try:
        return collection.search(query)
    except ItemNotFoundError:
        (term,) = query.terms
        if term.item is None or os.path.isabs(term.item):
            raise
        absolute = Term(item=os.path.abspath(term.item))
        try:
            return collection.search(Query((absolute,), query.to, query.k))
        except ItemNotFoundError:
            pass
        raise


@contextmanager
def _picture(name: str | None) -> Iterator[Path | None]:
    """The query picture as a file; what comes on stdin is kept in one until the query is done."""
    if name != STDIN:
        yield None if name is None else Path(name)
        return
    content = sys.stdin.buffer.read()
    if not content:
        raise ImageError("stdin is empty: pipe a picture into `mmsearch query --image -`")
    with tempfile.TemporaryDirectory(prefix="mmsearch-") as folder:
        path = Path(folder, "stdin")
        path.write_bytes(content)
        yield path


def _print_hits(
    collection: Collection,
    hits: list[Hit],
    modality: Modality,
    output: Output,
    *,
    after_another: bool,
) -> None:
    if output.as_paths:
        end = b"\0" if output.nul else b"\n"
        sys.stdout.flush()
        sys.stdout.buffer.write(b"".join(os.fsencode(hit.path or hit.key) + end for hit in hits))
        sys.stdout.buffer.flush()
        return
    if output.as_json:
        for hit in hits:
            typer.echo(render.hit_json(hit))
        return
    if after_another:
        typer.echo()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if output.preview:
        from mmsearch.cli import preview

        preview.show(collection, hits, title=modality, width=width)
    else:
        typer.echo(render.hits_table(hits, title=modality, width=width))


def _open(collection: Collection, hit: Hit | None) -> None:
    """Show `hit` in the desktop's usual program, without waiting for it."""
    if hit is None:
        raise MmsearchError("nothing found, so there is nothing to open")
    path = collection.image_file(hit.key) if hit.path else Path(hit.key)
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if opener is None:
        raise MmsearchError(
            f"found no program to open {render.visible(str(path))} with: install xdg-utils"
        )
    subprocess.Popen(
        [opener, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
