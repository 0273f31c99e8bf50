"""Patterns of `like`: one reading for every evaluator."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator
from typing import Literal

Part = tuple[Literal["any", "one", "literal"], str]

FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def parts(pattern: str) -> Iterator[Part]:
    """The pattern's wildcards and literal characters. Raises ValueError for a stray backslash."""
    characters = iter(pattern)
    for character in characters:
        if character == "%":
            yield "any", character
        elif character == "_":
            yield "one", character
        elif character != "\\":
            yield "literal", character
        else:
            escaped = next(characters, "")
            if escaped not in ("%", "_", "\\"):
                place = f"before {escaped!r}" if escaped else "at the end"
                raise ValueError(rf"\ {place} of a pattern: only \%, \_ and \\ have a meaning")
            yield "literal", escaped


def like(text: str, pattern: str, *, fold: bool) -> bool:
    """Whether all of `text` fits `pattern`; for many texts, make one `matcher`."""
    return matcher(pattern, fold=fold)(text)


def matcher(pattern: str, *, fold: bool) -> Callable[[str], bool]:
    """What tells whether all of a text fits `pattern`, in time O(len(text) * len(pattern)).

    The runs between two % are searched from left to right, each at its first place: if any
    placement fits, this one does. (One regular expression with several .* would backtrack.)
    Raises ValueError for a stray backslash.
    """
    runs: list[list[str]] = [[]]  # one atom of a regular expression per character of the text
    for kind, character in parts(pattern):
        if kind == "any":
            runs.append([])
        else:
            runs[-1].append("." if kind == "one" else re.escape(character))
    # ASCII: without case, a-z are A-Z (as FOLD has it) and no other letters are equal.
    flags = re.DOTALL | (re.ASCII | re.IGNORECASE if fold else re.NOFLAG)
    # Compiled once: to ask re's cache takes longer than to search most texts.
    *head, tail = (re.compile("".join(run), flags) for run in runs)
    tail_length = len(runs[-1])

    def fits(text: str) -> bool:
        position = 0
        for number, run in enumerate(head):
            found = run.search(text, position) if number else run.match(text)
            if found is None:
                return False
            position = found.end()
        start = len(text) - tail_length if head else 0
        return start >= position and tail.fullmatch(text, start) is not None

    return fits
