"""The program `mmsearch`: its commands, its exit codes and what it does when it is cut short.

This module and its commands import nothing heavy at the top: `mmsearch --help` has to come at once.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from mmsearch import __version__
from mmsearch.cli.misread import reword
from mmsearch.cli.options import EXIT_INTERRUPTED, named_path
from mmsearch.errors import MmsearchError, exit_code

# Of click, which typer brings along under a name of its own, or does not.
_USAGE_ERROR: Any = next(k for k in typer.BadParameter.__mro__ if k.__name__ == "UsageError")
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE
# Why stdout takes no more: a full disk, quota or file, a broken device, opened only to read.
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
# Name -> where it is, in the order of the help. All of them take 0.1 s to import and to build, one
# takes 0.02 s (2026-11).
COMMANDS = {
    "index": "index:index",
    "reindex": "reindex:reindex",
    "query": "query:query",
    "concepts": "concepts:concepts",
    "evaluate": "evaluate:evaluate",
    "train": "train:train",
    "watch": "watch:watch",
    "serve": "serve:serve",
    "keys": "keys:app",
    "tag": "tag:tag",
    "duplicates": "duplicates:duplicates",
    "tune": "tune:tune",
    "status": "manage:status",
    "suggest": "shop:suggest",
    "update": "shop:update",
    "remove": "manage:remove",
    "check": "manage:check",
    "models": "manage:models",
}


class Program(TyperGroup):
    """Turns what a command raises into one line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except _USAGE_ERROR as error:
            reword(error)
            raise
        except MmsearchError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(exit_code(error)) from error
        except BrokenPipeError as error:
            # The reader has gone (`| head -1`).
            _stdout_to_nowhere()
            raise typer.Exit(EXIT_BROKEN_PIPE) from error
        except KeyboardInterrupt as error:
            kept = ""
            if ctx.invoked_subcommand in ("index", "reindex"):
                kept = ": what was committed is kept; run the same command again to go on"
            elif ctx.invoked_subcommand == "evaluate":
                kept = ": embeddings made so far are kept; run the same command again to go on"
            typer.echo(f"interrupted{kept}", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from error


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mmsearch {__version__}")
        raise typer.Exit


def program(
    ctx: typer.Context,
    collection: Annotated[
        Path | None,
        typer.Option(
            "--collection",
            metavar="DIR",
            envvar="MMSEARCH_COLLECTION",
            help="The collection's directory; otherwise .mmsearch, here or in a folder above.",
            parser=named_path,
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


def build(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The program with these commands."""
    made = typer.Typer(
        name="mmsearch",
        cls=Program,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # rich's help costs 80 ms of import (2026-11)
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(program)
    for name in names:
        module, _, function = COMMANDS[name].partition(":")
        found = getattr(import_module(f"mmsearch.cli.{module}"), function)
        if isinstance(found, typer.Typer):
            made.add_typer(found)
        else:
            made.command(name)(found)
    return made


def asked(arguments: Sequence[str]) -> Iterable[str]:
    """The one command that a command line asks for; all of them for help, or a misspelt one."""
    rest = list(arguments)
    while rest and rest[0].startswith("--collection"):
        rest = rest[1:] if "=" in rest[0] else rest[2:]
    return rest[:1] if rest and rest[0] in COMMANDS else COMMANDS


def main() -> None:
    """Run the program on `sys.argv`; never returns."""
    _escape_what_cannot_be_written()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_interrupt)
    try:
        build(asked(sys.argv[1:]))()
    except OSError as error:
        # What is wrong with a file names it; the library's own are StorageErrors.
        if error.filename is not None or error.errno not in _CANNOT_WRITE:
            raise
        _stdout_to_nowhere()
        with suppress(OSError):  # stderr may go to the same disk
            typer.echo(f"error: cannot write: {error.strerror}", err=True)
        sys.exit(1)


def _on_interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """The first Ctrl-C ends a command in its own way, which may take a batch; the second one ends
    the process, as if it were killed: what was committed is kept. To unwind once more would leave
    threads behind that abort it."""
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(EXIT_INTERRUPTED))
    signal.default_int_handler(number, frame)


def _escape_what_cannot_be_written() -> None:
    """An encoding that is not UTF-8 (`PYTHONIOENCODING`, old locales) lacks most characters; stderr
    escapes them by itself, and `render.to_json` has none that any encoding lacks."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _stdout_to_nowhere() -> None:
    """Python flushes it again at exit, which must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def __getattr__(name: str) -> Any:
    # `app`, the program with all commands: who only runs it asks `main` for one of them.
    if name == "app":
        globals()["app"] = build()
        return globals()["app"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
