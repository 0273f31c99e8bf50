"""`mmsearch status`, `remove`, `check` and `models`: look after a collection."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmsearch.cli import render
from mmsearch.cli.options import CollectionOption, JsonOption, key_of_path, open_collection
from mmsearch.errors import ItemNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmsearch.collection import Collection, Status


LAST_RUN_COUNTS = ("added", "changed", "moved", "returned", "missing", "unchanged")


def status(
    ctx: typer.Context, as_json: JsonOption = False, collection: CollectionOption = None
) -> None:
    """Say what a collection holds, how it is encoded and what it takes on disk.

    \b
    Example:
      mmsearch status
      mmsearch status --json | jq .items
    """
    with open_collection(ctx, collection) as opened:
        found = opened.status()
    typer.echo(render.to_json(asdict(found)) if as_json else _status_lines(found))


def _status_lines(found: Status) -> str:
    counts = f"{found.items} ({found.images} with a picture, {found.texts} with a text)"
    encoder = (
        "none yet"
        if found.model is None
        else f"{found.model}, {found.dim} dimensions, {found.fingerprint}"
    )
    parts = [("catalog", found.catalog_bytes), ("vectors", found.vectors_bytes)]
    parts += [("index", found.index_bytes)]
    parts += [("pictures", found.pictures_bytes)] if found.pictures_bytes else []
    sizes = f"{render.size(sum(size for _, size in parts))}: "
    sizes += ", ".join(f"{name} {render.size(size)}" for name, size in parts)
    return render.fields(
        [
            ("collection", str(found.path)),
            ("items", counts),
            ("missing", str(found.missing)),
            ("failed", str(found.failures)),
            ("encoder", encoder),
            *_other_spaces(found),
            ("index", str(found.index_kind)),
            ("on disk", sizes),
            ("last run", _last_run(found.last_run)),
        ]
    )


def _other_spaces(found: Status) -> list[tuple[str, str]]:
    """What a reindex left or has not finished, and what can be done with it."""
    lines = []
    for space in found.spaces:
        name = space.encoder.name
        held = f"{name}, {space.encoder.dim} dimensions, {space.encoder.fingerprint}"
        if space.state == "left":
            lines.append(("kept", f"{held}: {space.vectors} vectors (reindex --rollback)"))
        elif space.state == "unfinished":
            done = f"{space.vectors} vectors so far (reindex --model {name} goes on)"
            lines.append(("unfinished", f"{held}: {done}"))
    return lines


def _last_run(run: Mapping[str, Any] | None) -> str:
    if not run:
        return "never"
    counts = [f"{name} {run[name]}" for name in LAST_RUN_COUNTS if run.get(name)]
    failed = len(run.get("failures") or ())
    parts = [str(run.get("finished_at", "unknown")), *counts]
    parts += [f"failed {failed}"] if failed else []
    parts += [f"{run['seconds']:.1f} s"] if "seconds" in run else []
    parts += ["interrupted"] if run.get("interrupted") else []
    return ", ".join(parts)


def remove(
    ctx: typer.Context,
    keys: Annotated[
        list[str],
        typer.Argument(metavar="KEY...", help="Keys or paths, as `mmsearch query` prints."),
    ],
    as_json: JsonOption = False,
    collection: CollectionOption = None,
) -> None:
    """Take items out of the collection; their files stay as they are.

    An `index` or `watch` that sees the file again takes it in again: move it away to be rid of it.

    \b
    Example:
      mmsearch remove photos/blurred.jpg
    """
    with open_collection(ctx, collection) as opened:
        count = _remove(opened, keys)
    if as_json:
        typer.echo(render.to_json({"removed": count}))
    else:
        typer.echo(f"removed {count} {'item' if count == 1 else 'items'}")


def _remove(collection: Collection, keys: list[str]) -> int:
    """Remove all of `keys`, or nothing; a KEY unknown as it stands is tried as a path from here."""
    try:
        return collection.remove(keys)
    except ItemNotFoundError as unknown:
        try:
            return collection.remove([key_of_path(collection, key) for key in keys])
        except ItemNotFoundError:
            raise unknown from None


def check(
    ctx: typer.Context,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,
    as_json: JsonOption = False,
    collection: CollectionOption = None,
) -> None:
    """Check that catalog, vectors and index agree; exit code 1 if they do not, or still do not.

    \b
    Example:
      mmsearch check
      mmsearch check --repair
    """
    with open_collection(ctx, collection) as opened:
        report = opened.check(repair=repair)
    if as_json:
        typer.echo(render.to_json(asdict(report)))
    else:
        for problem in report.problems:
            typer.echo(f"problem: {render.visible(problem)}")
        for mended in report.repaired:
            typer.echo(f"repaired: {render.visible(mended)}")
        if repair:
            for problem in report.remaining:
                typer.echo(f"remaining: {render.visible(problem)}")
        if not report.problems:
            typer.echo("no problems found")
    if report.remaining:
        if not repair:
            typer.echo("run `mmsearch check --repair` to mend what can be mended", err=True)
        raise typer.Exit(1)


def models(as_json: JsonOption = False) -> None:
    """List the models: the bundled one, the aliases, and all that open_clip can load.

    \b
    Example:
      mmsearch models
      mmsearch models | grep 'on disk'
    """
    from mmsearch.models.registry import list_models

    known = list_models(everything=True)
    if as_json:
        for model in known:
            typer.echo(render.to_json(asdict(model)))
        return
    chosen = [model for model in known if model.why]
    others = [model for model in known if not model.why]
    typer.echo("\n".join(render.models_table(chosen)))
    typer.echo("\nEverything that open_clip knows (also: hf-hub:OWNER/NAME, or a local folder):")
    typer.echo("\n".join(render.models_table(others)))
