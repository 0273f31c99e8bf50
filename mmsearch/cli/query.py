"""`mmsearch query`: ask a collection by words, by a picture or by one of its own items."""

from __future__ import annotations

import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmsearch.cli import over_socket, query_options, render
from mmsearch.cli.options import (
    EXIT_SKIPPED,
    CollectionOption,
    JsonOption,
    caller_of,
    named,
    open_collection,
)
from mmsearch.cli.printing import Output, Printer
from mmsearch.errors import MmsearchError, ServerError, UsageError
from mmsearch.types import MODALITIES, Hit, Query, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from mmsearch.collection import Collection

STDIN = "-"
# A JPEG on stdin is decoded with both sides at least twice this: above any encoder's input size.
STDIN_TARGET = 512


def query(
    ctx: typer.Context,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT", help="What to look for, in words; - reads queries from stdin."
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            "--image",
            metavar="FILE",
            help="Look for what is like this picture; - reads stdin.",
            parser=named,
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            "--like", metavar="KEY", help="Look for what is like this item of the collection."
        ),
    ] = None,
    more_like: Annotated[
        str | None,
        typer.Option("--more-like", metavar="KEY", help="Like --like, without the item itself."),
    ] = None,
    plus: Annotated[
        list[str] | None,
        typer.Option("--plus", metavar="TEXT^WEIGHT", help="One more thing to look for."),
    ] = None,
    minus: Annotated[
        list[str] | None,
        typer.Option("--minus", metavar="TEXT^WEIGHT", help="What it should not be like."),
    ] = None,
    concept: Annotated[
        list[str] | None,
        typer.Option("--concept", metavar="NAME^WEIGHT", help="Look for a saved concept."),
    ] = None,
    up: Annotated[
        list[str] | None,
        typer.Option("--up", metavar="KEY", help="A good answer: move the query towards it."),
    ] = None,
    down: Annotated[
        list[str] | None,
        typer.Option("--down", metavar="KEY", help="A bad answer: move the query away from it."),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            "--template",
            metavar="TEXT",
            help='Word texts so: "a photo of {}"; "ensemble": in those that suit the model.',
        ),
    ] = None,
    to: Annotated[
        Literal["image", "text", "both"] | None,
        typer.Option("--to", help="What is compared and answered; the collection's own default."),
    ] = None,
    mode: Annotated[
        Literal["vector", "lexical", "hybrid"] | None,
        typer.Option("--mode", help="Search by meaning, by words, or by both."),
    ] = None,
    fusion: Annotated[
        Literal["rank", "relevance"] | None,
        typer.Option("--fusion", help="Join words and vectors by reciprocal rank or relevance."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="image=N,text=N,lexical=N", help="Of what is joined."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="FILTER", help="Only items for which this is true."),
    ] = None,
    within: Annotated[
        list[str] | None,
        typer.Option("--within", metavar="CONCEPT", help="Only items that belong to a concept."),
    ] = None,
    outside: Annotated[
        list[str] | None,
        typer.Option("--outside", metavar="CONCEPT", help="Only items that do not belong to it."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="KEY", help="Never this item.")
    ] = None,
    min_relevance: Annotated[
        str | None,
        typer.Option("--min-relevance", metavar="0..1|auto", help="Leave the less relevant out."),
    ] = None,
    sort: Annotated[
        list[str] | None,
        typer.Option(
            "--sort", metavar="[-]NAME", help="Order the relevant ones; - for descending."
        ),
    ] = None,
    boost: Annotated[
        list[str] | None,
        typer.Option("--boost", metavar="NAME=VALUE^FACTOR", help="Multiply an item's odds."),
    ] = None,
    modifiers: Annotated[
        str | None,
        typer.Option("--modifiers", metavar="JSON", help="Boosts, decays, pinned and buried keys."),
    ] = None,
    pin: Annotated[
        list[str] | None, typer.Option("--pin", metavar="KEY@PLACE", help="Put an item there.")
    ] = None,
    bury: Annotated[
        list[str] | None, typer.Option("--bury", metavar="KEY", help="Put an item last.")
    ] = None,
    diversity: Annotated[
        float | None,
        typer.Option("--diversity", metavar="0..1", help="How much answers should differ."),
    ] = None,
    group: Annotated[
        bool, typer.Option("--group", help="One answer for each group of variants.")
    ] = False,
    facet: Annotated[
        list[str] | None,
        typer.Option("--facet", metavar="NAME", help="Count the values of an attribute."),
    ] = None,
    cursor: Annotated[
        str | None,
        typer.Option("--cursor", metavar="CURSOR", help="Go on after the page that gave it."),
    ] = None,
    pages: Annotated[
        bool, typer.Option("--pages", help="Give the cursor of the next page.")
    ] = False,
    k: Annotated[int, typer.Option("-k", help="How many answers (of each kind).")] = 10,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what was done, and where each answer stood.")
    ] = False,
    save: Annotated[
        str | None,
        typer.Option("--save-concept", metavar="NAME", help="Keep this query as a concept."),
    ] = None,
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
    socket: Annotated[
        bool,
        typer.Option("--socket", help="Ask a running `mmsearch serve --socket`."),
    ] = False,
    collection: CollectionOption = None,
) -> None:
    """Find the pictures and texts nearest to some words, a picture or an item.

    Several of TEXT, --image, --like, --plus, --minus and --concept are one query of all of them;
    those that take a weight take it after a ^, as in --plus "red^0.5". With - as TEXT each line
    of stdin is a query of its own, answered as it comes.

    \b
    Example:
      mmsearch query "red car"
      mmsearch query --image photo.jpg --to text
      mmsearch query --like shop/car-03.jpg --plus red --minus people -k 5 --preview
      mmsearch query "shoes" --where "price < 50 and stock > 0" --group --facet colour
      mmsearch query "cat on a sofa" -0 | xargs -0 cp -t cats/
      mmsearch query - --json < queries.txt
      mmsearch query --socket "red car"
    """
    caller = caller_of(ctx)
    if as_json and (paths or nul):
        raise UsageError("--json and --paths (or -0) are two ways to print: choose one")
    if (image or []).count(STDIN) > 1:
        raise UsageError("stdin is one picture: give --image - once")
    if text == STDIN:
        _require_for_many(image or [], save, cursor, open_first=open_first)
    if socket:
        _require_for_socket(text, image, save, open_first=open_first, preview=preview)
    output = Output(
        as_json=as_json,
        as_paths=paths or nul,
        nul=nul,
        preview=preview,
        pages=pages or cursor is not None,
        judged=min_relevance is not None,
    )
    asked = Query(
        terms=query_options.terms(
            text,
            images=[_picture(name) for name in image or ()],
            items=[*(like or ()), *([more_like] if more_like is not None else [])],
            plus=plus or (),
            minus=minus or (),
            concepts=concept or (),
        ),
        to=to,
        k=k,
        mode=mode,
        fusion=fusion,
        weights=query_options.weights(weights),
        templates=tuple(template) if template else None,
        liked=tuple(up or ()),
        disliked=tuple(down or ()),
        where=query_options.where(where),
        within=query_options.memberships(within or (), outside or ()),
        exclude=(*(exclude or ()), *([more_like] if more_like is not None else [])),
        min_relevance=query_options.relevance(min_relevance),
        sort=query_options.sort(sort or ()),
        modifiers=query_options.modifiers(modifiers, boost or (), pin or (), bury or ()),
        diversity=diversity,
        group=group,
        facets=tuple(facet or ()),
        cursor=cursor,
        explain=explain,
    )
    if not asked.terms and not asked.liked and asked.where is None:
        raise UsageError(
            'say what to look for: mmsearch query "red car", --image FILE, --like KEY, or list '
            "items with --where FILTER"
        )
    lent = caller.collection
    with open_collection(ctx, collection) if lent is None else nullcontext(lent) as opened:
        root = caller.root or opened.path
        if socket and lent is None:
            raise _not_served(root)
        printer = Printer(caller, output, opened, root.parent)
        asked = query_options.with_keys(opened, asked, caller.folder, root.parent)
        if save is not None:
            opened.save_concept(save, asked)
        if text == STDIN:
            _answer_lines(printer, asked)
            return
        first: Hit | None = None
        for number, kind in enumerate(_kinds(opened, asked)):
            answer = opened.answer(replace(asked, to=kind))
            printer.answer(answer, kind, after_another=number > 0)
            first = first or next(iter(answer.hits), None)
        if open_first:
            _open(printer, first)
        if image and lent is None:
            sys.stdout.flush()  # the answer is there; the rest is for the next one
            with suppress(KeyboardInterrupt):
                opened.keep_image_tower(lambda text: typer.echo(f"note: {text}", err=True))


def _require_for_many(
    images: Sequence[str], save: str | None, cursor: str | None, *, open_first: bool
) -> None:
    """Raises UsageError for what belongs to one query alone."""
    for given, option in (
        (STDIN in images, "--image -"),
        (save is not None, "--save-concept"),
        (cursor is not None, "--cursor"),
        (open_first, "--open"),
    ):
        if given:
            raise UsageError(f"{option} is for one query: it does not go with queries from stdin")


def _require_for_socket(
    text: str | None,
    images: Sequence[str] | None,
    save: str | None,
    *,
    open_first: bool,
    preview: bool,
) -> None:
    """Raises UsageError for what needs the files, the terminal or the desktop of who asks."""
    for given, option in (
        (text == STDIN, "- (queries from stdin)"),
        (bool(images), "--image"),
        (save is not None, "--save-concept"),
        (open_first, "--open"),
        (preview, "--preview"),
    ):
        if given:
            raise UsageError(f"{option} does not go over the socket: leave --socket out")


def _not_served(root: Path) -> ServerError:
    """The answer would be printed already if there were a server. Raises StorageError."""
    over_socket.require_address(str(root))
    return ServerError(
        f"no server answers at {root / over_socket.NAME}: start `mmsearch serve --socket` there "
        "(anew, if it is of another version), or leave --socket out"
    )


def _answer_lines(printer: Printer, asked: Query) -> None:
    """Answer each line of stdin as it comes; the first term of `asked` is where its text goes.

    A line that cannot be answered is said on stderr. Raises typer.Exit(3) at the end if there was
    one.
    """
    failed = answered = 0
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            text = line.decode("utf-8").strip()
            if not text:
                continue
            answer = printer.collection.answer(
                replace(asked, terms=(replace(asked.terms[0], text=text), *asked.terms[1:]))
            )
        except (UsageError, UnicodeDecodeError) as error:
            printer.lines(f"error: line {number}: {error}", err=True)
            failed += 1
            continue
        if printer.output.as_json:
            printer.lines(render.one_of_many_json(text, answer, pages=printer.output.pages))
        else:
            if not printer.output.as_paths:
                printer.lines(("\n" if answered else "") + render.visible(text))
            printer.answer(answer, asked.to, after_another=False)
        answered += 1
    if failed:
        raise typer.Exit(EXIT_SKIPPED)


def _kinds(collection: Collection, asked: Query) -> Sequence[Target | None]:
    """The kinds of answers asked for. Where a folder of photos also holds texts, a picture is
    compared with both, each a search of its own: their scores do not compare."""
    defaults = collection.defaults()
    plain = asked.to is None and asked.mode in (None, "vector") and asked.cursor is None
    by_text = any(term.text is not None or term.concept is not None for term in asked.terms)
    if not plain or not asked.terms or by_text or defaults is None or defaults.to == "both":
        return (asked.to,)
    status = collection.status()
    counts = {"image": status.images, "text": status.texts}
    return [modality for modality in MODALITIES if counts[modality]]


def _picture(name: str) -> Image.Image | Path:
    """The query picture: a path, or what comes on stdin. Raises ImageError."""
    if name != STDIN:
        return Path(name)
    from mmsearch.images import decode

    return decode(sys.stdin.buffer, STDIN_TARGET).image


def _open(printer: Printer, hit: Hit | None) -> None:
    """Show `hit` in the desktop's usual program. Raises MmsearchError where it has none."""
    if hit is None:
        raise MmsearchError("nothing found, so there is nothing to open")
    file = printer.file_of(hit)
    if file is None:
        raise MmsearchError(
            f"{render.visible(hit.key)} is a row of a table: it has no file to open"
        )
    from mmsearch.cli.desktop import open_file

    open_file(file)
