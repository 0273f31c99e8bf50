"""`mmsearch suggest` and `mmsearch update`: what a shop asks besides queries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmsearch.cli import render
from mmsearch.cli.options import (
    EXIT_SKIPPED,
    CollectionOption,
    JsonOption,
    named_path,
    open_collection,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# An update of so many items is one transaction.
BATCH = 10_000


def suggest(
    ctx: typer.Context,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="What was typed so far.")],
    k: Annotated[int, typer.Option("-k", help="At most so many.")] = 10,
    as_json: JsonOption = False,
    collection: CollectionOption = None,
) -> None:
    """Offer titles, tags and other texts that start as what was typed, the most frequent first.

    \b
    Example:
      mmsearch suggest "red sh"
    """
    with open_collection(ctx, collection) as opened:
        found = opened.suggest(prefix, k=k)
    for text, items in found:
        line = {"text": text, "items": items}
        typer.echo(render.to_json(line) if as_json else render.visible(text))


def update(
    ctx: typer.Context,
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            help="A .csv, .jsonl or .parquet file: a key column, and attributes.",
            parser=named_path,
        ),
    ],
    as_json: JsonOption = False,
    collection: CollectionOption = None,
) -> None:
    """Set attributes of items by key. Nothing is encoded, and what is not named stays.

    An empty csv cell and a null remove the attribute. Text, picture and group are changed by
    `mmsearch index` instead.

    \b
    Example:
      mmsearch update prices.csv     # key,price,stock
    """
    updated = unchanged = 0
    failures: list[tuple[str, str]] = []
    notes: list[str] = []
    with open_collection(ctx, collection) as opened:
        for changes, problems in _batches(table):
            report = opened.update(changes)
            updated, unchanged = updated + report.updated, unchanged + report.unchanged
            failures += [*problems, *((one.key, one.reason) for one in report.failures)]
            notes += report.notes
    if as_json:
        named = [{"key": key, "reason": reason} for key, reason in failures]
        typer.echo(render.to_json({"updated": updated, "unchanged": unchanged, "failures": named}))
    else:
        typer.echo(f"updated {updated}, unchanged {unchanged}, failed {len(failures)}")
    for note in notes:
        typer.echo(f"note: {render.visible(note)}", err=True)
    for key, reason in failures:
        typer.echo(f"skipped {render.visible(key)}: {reason}", err=True)
    if failures:
        raise typer.Exit(EXIT_SKIPPED)


def _batches(
    table: Path,
) -> Iterator[tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]]:
    """Changes by key, and rows that name none."""
    from mmsearch.tables.changes import Change, read_changes

    changes: dict[str, dict[str, Any]] = {}
    problems: list[tuple[str, str]] = []
    for number, row in read_changes(table):
        if isinstance(row, Change):
            changes.setdefault(row.key, {}).update(row.attributes)
        else:
            problems.append((f"{table}#{number}", row.reason))
        if len(changes) >= BATCH:
            yield changes, problems
            changes, problems = {}, []
    if changes or problems:
        yield changes, problems
