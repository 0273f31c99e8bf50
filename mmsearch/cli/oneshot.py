"""The quick way of `mmsearch query "words"` and `mmsearch query --image FILE`: without typer, and
without the collection.

Only command lines of the plainest shape are read here, and what the quick reader is not sure of is
left alone: `run` then gives None, and the whole program answers the same.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from mmsearch.cli.place import root_of, terminal_width

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mmsearch.quick.reader import QuickAnswer, QuickHit
    from mmsearch.types import Modality

MOST_HITS = 1000  # more is no hurry
_WITH_A_VALUE = {"-k": "k", "--to": "to", "--where": "where", "--image": "image"}


class Request(NamedTuple):
    """What a plain command line asks for: `text` has the words, or the path where `by_picture`."""

    text: str
    k: int = 10
    to: Modality | None = None
    where: str | None = None
    collection: str | None = None
    form: str = "table"  # or json, paths, nul
    by_picture: bool = False


def run(arguments: list[str]) -> Callable[[], None] | None:
    """Answer on stdout, and give what is left to do when the reader has the answer; None: nothing
    was done, or stdout takes no more, which the program meets again and says."""
    request = parse(arguments) if sys.stdout.encoding.lower() == "utf-8" else None
    root = None if request is None else root_of(request.collection)
    if request is None or root is None:
        return None
    from pathlib import Path

    from mmsearch.quick.reader import answers

    folder = Path(root)
    query = Path(request.text) if request.by_picture else request.text
    found = answers(folder, query, request.k, request.to, request.where)
    if found is None:
        return None
    try:
        shown = [_shown(answer, request, folder.parent) for answer in found]
        between = "\n" if request.form == "table" else ""
        _write(between.encode().join(out for out, _ in shown))
    except (OSError, UnicodeEncodeError):
        return None
    with suppress(OSError):  # the answer is out
        sys.stderr.write("".join(note for _, note in shown))
    return found[0].remember


def parse(arguments: list[str]) -> Request | None:
    """The request of `[--collection DIR] query [OPTION]... (TEXT | --image FILE)`; None for any
    other line, right or wrong."""
    if any(name.endswith("_COMPLETE") for name in os.environ):
        return None  # a shell asks for completions
    given = dict[str, str]()
    at = _collection(arguments, 0, given)
    if arguments[at : at + 1] != ["query"]:
        return None
    if "collection" not in given and "MMSEARCH_COLLECTION" in os.environ:
        given["before"] = os.environ["MMSEARCH_COLLECTION"]
    elif "collection" in given:
        given["before"] = given.pop("collection")
    at += 1
    while at < len(arguments):
        after = _collection(arguments, at, given) if "collection" not in given else at
        if after == at:
            after = _option(arguments, at, given)
        if after == at:
            return None
        at = after
    return _request(given)


def _collection(arguments: list[str], at: int, given: dict[str, str]) -> int:
    """The place after a `--collection` that stands at `at`."""
    name, equals, value = (arguments[at] if at < len(arguments) else "").partition("=")
    if name != "--collection" or (not equals and at + 1 == len(arguments)):
        return at
    given["collection"] = value if equals else arguments[at + 1]
    return at + (1 if equals else 2)


def _option(arguments: list[str], at: int, given: dict[str, str]) -> int:
    """The place after one option or the text; the same place for what is not read here."""
    one = arguments[at]
    forms = {"--json": "json", "--paths": "paths", "-0": "nul"}
    name = "form" if one in forms else _WITH_A_VALUE.get(one, "text")
    if name in given or (name == "text" and (one.startswith("-") or not one.strip())):
        return at
    if one in _WITH_A_VALUE:
        if at + 1 == len(arguments):
            return at
        given[name] = arguments[at + 1]
        return at + 2
    given[name] = forms.get(one, one)
    return at + 1


def _request(given: dict[str, str]) -> Request | None:
    k, to = given.get("k", "10"), given.get("to")
    by_picture = "image" in given
    if by_picture == ("text" in given) or to not in (None, "image", "text"):
        return None
    query = given["image" if by_picture else "text"]
    if by_picture and query == "-":  # stdin
        return None
    if not (k.isascii() and k.isdigit() and len(k) < 5 and 1 <= int(k) <= MOST_HITS):
        return None
    collection = given.get("collection", given.get("before"))
    if collection == "":
        return None
    try:
        f"{query}{given.get('where')}".encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return None
    modality: Modality | None = None if to is None else "image" if to == "image" else "text"
    form = given.get("form", "table")
    return Request(query, int(k), modality, given.get("where"), collection, form, by_picture)


def _shown(answer: QuickAnswer, request: Request, base: Path) -> tuple[bytes, str]:
    """What of an answer goes to stdout, and to stderr."""
    from mmsearch.cli import render

    note = "" if answer.no_match is None else f"{answer.no_match}\n"
    if request.form == "json":
        return _encoded("".join(f"{render.hit_json(hit)}\n" for hit in answer.hits)), note
    files = [_file_of(hit, base) for hit in answer.hits]
    if request.form == "table":
        kinds = {hit.modality for hit in answer.hits}
        title = kinds.pop() if len(kinds) == 1 else "item"
        table = render.hits_table(answer.hits, files, title=title, width=terminal_width())
        return _encoded(f"{table}\n"), note
    end = b"\0" if request.form == "nul" else b"\n"
    return render.paths(files, end), render.note_without_a_file(files) + note


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", sys.stdout.errors or "strict")


def _write(data: bytes) -> None:
    """All of it on stdout, past its buffer: what could not be written must not wait in there, for
    the program tells what is wrong, and answers again. Raises OSError."""
    sys.stdout.flush()
    stream = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    left = memoryview(data)
    while left:
        written = stream.write(left)
        if written is None:
            raise BlockingIOError
        left = left[written:]


def _file_of(hit: QuickHit, base: Path) -> Path | None:
    """As `options.file_of`, which this must not import, has it."""
    from mmsearch.keys import path_of

    if hit.path is not None:
        return path_of(hit.path, base)
    file = path_of(hit.key, base)
    return file if file.is_file() else None
