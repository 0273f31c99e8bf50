"""`mmsearch concepts`: the saved concepts of a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmsearch.cli import render
from mmsearch.cli.options import CollectionOption, JsonOption, open_collection

if TYPE_CHECKING:
    from mmsearch.types import Term


def concepts(
    ctx: typer.Context,
    remove: Annotated[
        str | None, typer.Option("--remove", metavar="NAME", help="Forget this concept.")
    ] = None,
    as_json: JsonOption = False,
    collection: CollectionOption = None,
) -> None:
    """List the concepts that `mmsearch query --save-concept` kept.

    \b
    Example:
      mmsearch concepts
      mmsearch concepts --remove "summer shoes"
    """
    with open_collection(ctx, collection) as opened:
        if remove is not None:
            opened.remove_concept(remove)
            return
        saved = opened.concepts().values()
        if as_json:
            for concept in saved:
                typer.echo(render.to_json(concept.to_json()))
            return
        if not saved:
            typer.echo("no concept is saved: mmsearch query TEXT --save-concept NAME", err=True)
            return
        rows = []
        for concept in saved:
            parts = [_words(term) for term in concept.terms]
            parts += [f"up {key}" for key in concept.liked]
            parts += [f"down {key}" for key in concept.disliked]
            rows.append((render.visible(concept.name), ", ".join(parts)))
        typer.echo(render.fields(rows))


def _words(term: Term) -> str:
    what = repr(term.text) if term.text is not None else str(term.item)
    return what if term.weight == 1 else f"{what}^{term.weight:g}"
