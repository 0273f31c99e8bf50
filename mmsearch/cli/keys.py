"""`mmsearch keys`: API keys of a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmsearch.cli import render
from mmsearch.cli.options import JsonOption, named_path

app = typer.Typer(
    name="keys",
    help="Make, list and remove API keys for `mmsearch serve --keys`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FileOption = Annotated[
    Path,
    typer.Option(
        "--keys",
        metavar="FILE",
        help="The file that `mmsearch serve` is given.",
        parser=named_path,
    ),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Who or what uses the key.")]
DEFAULT_FILE = Path("keys.json")


@app.command("add")
def add(
    name: NameArgument,
    scope: Annotated[
        Literal["read", "write"],
        typer.Option(help="read: search and look; write: items, concepts and jobs too."),
    ] = "read",
    keys: FileOption = DEFAULT_FILE,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it: only now, the file keeps a hash of it.

    A running server takes it at once.

    \b
    Example:
      mmsearch keys add website --scope read
      mmsearch keys add importer --scope write --keys /etc/mmsearch/keys.json
    """
    from mmsearch.server.security.keys import add as add_key

    made = add_key(keys, name, scope)
    typer.echo(render.to_json({"name": name, "scope": scope, "key": made}) if as_json else made)
    typer.echo(f"keep it now: {keys} holds only a hash of it", err=True)


@app.command("list")
def list_(keys: FileOption = DEFAULT_FILE, as_json: JsonOption = False) -> None:
    """Show the names and scopes of all keys.

    \b
    Example:
      mmsearch keys list
    """
    from mmsearch.server.security.keys import load

    found = load(keys)
    if as_json:
        for key in found:
            line = {"name": key.name, "scope": key.scope, "created_at": key.created_at}
            typer.echo(render.to_json(line))
    elif found:
        typer.echo(render.fields([(key.name, f"{key.scope}  {key.created_at}") for key in found]))
    else:
        typer.echo(f"{keys} holds no key: mmsearch keys add NAME", err=True)


@app.command("remove")
def remove(name: NameArgument, keys: FileOption = DEFAULT_FILE) -> None:
    """Let nobody in with a key any more, also at a server that runs.

    \b
    Example:
      mmsearch keys remove website
    """
    from mmsearch.server.security.keys import remove as remove_key

    remove_key(keys, name)
