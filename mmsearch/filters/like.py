"""Patterns of `like`: one reading for every evaluator."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
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
    """Whether all of `text` fits `pattern`, in time O(len(text) * len(pattern)).

    The runs between two % are searched from left to right, each at its first place: if any
    placement fits, this one does. (One regular expression with several .* would backtrack.)
    """
    if fold:
        text, pattern = text.translate(FOLD), pattern.translate(FOLD)
    runs: list[list[str]] = [[]]  # one atom of a regular expression per character of the text
    for kind, character in parts(pattern):
        if kind == "any":
            runs.append([])
        else:
            runs[-1].append("." if kind == "one" else re.escape(character))
    *head, tail = runs
    position = 0
    for number, run in enumerate(head):
        expression = re.compile("".join(run), re.DOTALL)
        found = expression.search(text, position) if number else expression.match(text)
        if found is None:
            return False
        position = found.end()
    start = len(text) - len(tail) if head else 0
    fits = re.compile("".join(tail), re.DOTALL).fullmatch(text, start) if start >= 0 else None
    return fits is not None and start >= position
