"""`mmsearch duplicates`: groups of pictures, or texts, that are the same or nearly so."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mmsearch.cli import render
from mmsearch.cli.options import CollectionOption, JsonOption, open_collection
from mmsearch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmsearch.duplicates import Duplicates, Member


def duplicates(
    ctx: typer.Context,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="COSINE", help="How alike near duplicates are at least: 0.95."),
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Only those that are byte for byte.")] = (
        False
    ),
    texts: Annotated[bool, typer.Option("--texts", help="Compare texts, not pictures.")] = False,
    as_json: JsonOption = False,
    paths: Annotated[
        bool,
        typer.Option(
            "--paths", help="Print the files that could go: those like the first of their group."
        ),
    ] = False,
    nul: Annotated[
        bool, typer.Option("-0", help="Like --paths, each ended by a NUL byte, for xargs -0.")
    ] = False,
    collection: CollectionOption = None,
) -> None:
    """Find pictures that are there more than once, as they are or saved again.

    Groups of equal files come first, the oldest of each on top; then those of different files that
    show nearly the same, the one with most pixels on top. Nothing is deleted. One that is like
    others of its group, but not enough like the one on top, is marked "by chain": --paths and -0
    leave it out.

    How alike is a cosine of the stored vectors. With the bundled model, 0.95 finds all pictures
    that were saved again at quality 80 or made brighter and 9 of 10 with 5 % cut off, and no two
    different ones of 500 photographs. Packets of one brand are more alike: try 0.98.

    \b
    Example:
      mmsearch duplicates
      mmsearch duplicates --threshold 0.99 --json
      mmsearch duplicates --exact -0 | xargs -0 mv -t trash/
    """
    from mmsearch.duplicates import THRESHOLD, find_duplicates, to_drop

    if as_json and (paths or nul):
        raise UsageError("--json and --paths (or -0) are two ways to print: choose one")
    if exact and threshold is not None:
        raise UsageError("--exact asks for equal files: a --threshold has no part in that")
    with open_collection(ctx, collection) as opened:
        groups = find_duplicates(
            opened,
            "text" if texts else "image",
            threshold=THRESHOLD if threshold is None else threshold,
            exact_only=exact,
        )
    if paths or nul:
        _print_paths(to_drop(groups), b"\0" if nul else b"\n")
    elif as_json:
        for group in groups:
            typer.echo(_group_json(group))
    else:
        typer.echo(_text(groups, len(to_drop(groups))))


def _text(groups: Sequence[Duplicates], more: int) -> str:
    if not groups:
        return "no duplicates found"
    lines = []
    for group in groups:
        what = "equal" if group.kind == "exact" else "nearly the same"
        lines.append(f"{len(group.members)} {what}")
        lines += [_line(member) for member in group.members]
    counts = "1 group" if len(groups) == 1 else f"{len(groups)} groups"
    there = "1 item is" if more == 1 else f"{more} items are"
    return "\n".join([*lines, "", f"{counts}; {there} there once more"])


def _line(member: Member) -> str:
    parts = [f"  {member.similarity:.3f}", render.visible(_name(member))]
    if member.size is not None:
        parts.append(f"{member.size[0]}x{member.size[1]}")
    if member.file is not None:
        parts.append(render.size(member.size_bytes))
    if member.by_chain:
        parts.append("(by chain)")
    return "  ".join(parts)


def _name(member: Member) -> str:
    return member.key if member.file is None else render.near(member.file)


def _group_json(group: Duplicates) -> str:
    return render.to_json(
        {
            "kind": group.kind,
            "items": [
                {
                    "key": member.key,
                    "file": None if member.file is None else str(member.file),
                    "text": member.text,
                    "width": member.size[0] if member.size else None,
                    "height": member.size[1] if member.size else None,
                    "size_bytes": member.size_bytes,
                    "similarity": member.similarity,
                    "by_chain": member.by_chain,
                }
                for member in group.members
            ],
        }
    )


def _print_paths(members: Sequence[Member], end: bytes) -> None:
    """The files, byte for byte as they are named on disk."""
    files = [member.file for member in members if member.file is not None]
    sys.stdout.flush()
    sys.stdout.buffer.write(b"".join(os.fsencode(render.near(file)) + end for file in files))
    sys.stdout.buffer.flush()
    if len(files) < len(members):
        typer.echo(
            f"note: {len(members) - len(files)} more are rows of tables, or captions of pictures, "
            "without a file of their own",
            err=True,
        )
