"""The program `mmsearch`: its commands, its exit codes and what it does when it is cut short.

This module and its commands import nothing heavy at the top: `mmsearch --help` has to come at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mmsearch import __version__
from mmsearch.cli import (
    concepts,
    duplicates,
    evaluate,
    index,
    manage,
    query,
    reindex,
    serve,
    shop,
    tag,
    train,
    watch,
)
from mmsearch.cli.options import EXIT_INTERRUPTED
from mmsearch.errors import MmsearchError, exit_code

EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE


class Program(TyperGroup):
    """Turns what a command raises into one line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except MmsearchError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(exit_code(error)) from error
        except BrokenPipeError as error:
            # The reader has gone (`| head -1`). Python flushes stdout again at exit: to nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(EXIT_BROKEN_PIPE) from error
        except KeyboardInterrupt as error:
            kept = ""
            if ctx.invoked_subcommand in ("index", "reindex"):
                kept = ": what was committed is kept; run the same command again to go on"
            elif ctx.invoked_subcommand == "evaluate":
                kept = ": embeddings made so far are kept; run the same command again to go on"
            typer.echo(f"interrupted{kept}", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from error


app = typer.Typer(
    name="mmsearch",
    cls=Program,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich's help costs 80 ms of import (2026-11)
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mmsearch {__version__}")
        raise typer.Exit


@app.callback()
def program(
    ctx: typer.Context,
    collection: Annotated[
        Path | None,
        typer.Option(
            "--collection",
            metavar="DIR",
            envvar="MMSEARCH_COLLECTION",
            help="The collection's directory; otherwise .mmsearch, here or in a folder above.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print it and exit."
        ),
    ] = False,
) -> None:
    """Find pictures and texts by words, by a picture, or by something already found.

    \b
    Example:
      mmsearch index ~/Pictures
      mmsearch query "red car"
    """
    ctx.obj = collection


app.command("index")(index.index)
app.command("reindex")(reindex.reindex)
app.command("query")(query.query)
app.command("concepts")(concepts.concepts)
app.command("evaluate")(evaluate.evaluate)
app.command("train")(train.train)
app.command("watch")(watch.watch)
app.command("serve")(serve.serve)
app.command("tag")(tag.tag)
app.command("duplicates")(duplicates.duplicates)
app.command("status")(manage.status)
app.command("suggest")(shop.suggest)
app.command("update")(shop.update)
app.command("remove")(manage.remove)
app.command("check")(manage.check)
app.command("models")(manage.models)


def main() -> None:
    """Run the program on `sys.argv`; never returns."""
    app()
