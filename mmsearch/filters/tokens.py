"""A filter's text, cut into tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mmsearch.errors import FilterError
from mmsearch.filters import build
from mmsearch.filters.nodes import Value
from mmsearch.filters.place import error_at

Kind = Literal["word", "quoted", "keyword", "string", "number", "symbol", "end"]

KEYWORDS = {
    *("and", "or", "not", "is", "null", "true", "false"),
    *("in", "between", "like", "ilike", "contains", "exists"),
}
# A name that needs no double quotes, unless it is a keyword.
NAME = re.compile(r"[^\W\d]\w*")

_BLANK = re.compile(r"\s*")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SYMBOL = re.compile(r"<>|!=|<=|>=|[=<>(),]")
_STRING = re.compile(r"'((?:[^']++|'')*+)'")
_QUOTED = re.compile(r'"((?:[^"]++|"")*+)"')
_MAX_DIGITS = 400  # more than the largest float has; int() itself refuses 4,300

_HINTS = {
    "==": "equality is written =",
    "&&": "write and",
    "||": "write or",
    "!": "write not, or != for unequal",
    ";": "a filter is one condition, not a statement",
    "--": "a filter has no comments",
    "/*": "a filter has no comments",
}
_CURLY = "‘’‚‛“”„‟´`"


def typed(name: str) -> str:
    """An attribute's name as it is written in a filter."""
    return name if NAME.fullmatch(name) and name.lower() not in KEYWORDS else quoted(name)


def quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


@dataclass(frozen=True)
class Token:
    """`text[start:end]` and what it stands for: a name, a keyword, a symbol or a value."""

    kind: Kind
    value: Value
    start: int
    end: int


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text`, then one of kind end. Raises FilterError."""
    position = _skip_blank(text, 0)
    while position < len(text):
        token = _token(text, position)
        yield token
        position = _skip_blank(text, token.end)
    yield Token("end", "", len(text), len(text))


def _skip_blank(text: str, position: int) -> int:
    found = _BLANK.match(text, position)
    assert found is not None, "it matches the empty string"
    return found.end()


def _token(text: str, start: int) -> Token:
    first = text[start]
    if first == "'":
        found = _closed(_STRING, text, start, "string", "double a ' that belongs to it")
        return Token("string", found[1].replace("''", "'"), start, found.end())
    if first == '"':
        found = _closed(_QUOTED, text, start, "name", 'double a " that belongs to it')
        return Token("quoted", found[1].replace('""', '"'), start, found.end())
    if number := _NUMBER.match(text, start):
        return _number(text, number)
    if word := NAME.match(text, start):
        lower = word[0].lower()
        kind: Kind = "keyword" if lower in KEYWORDS else "word"
        return Token(kind, lower if kind == "keyword" else word[0], start, word.end())
    two = text[start : start + 2]
    symbol = _SYMBOL.match(text, start)
    if symbol is None or two in _HINTS:
        raise _unexpected(text, start, two if two in _HINTS else first)
    return Token("symbol", "!=" if symbol[0] == "<>" else symbol[0], start, symbol.end())


def _closed(pattern: re.Pattern[str], text: str, start: int, what: str, hint: str) -> re.Match[str]:
    found = pattern.match(text, start)
    if found is None:
        quote = text[start]
        raise error_at(
            f"this {what} has no closing {quote}: close it, and {hint}", text, start, start + 1
        )
    try:
        build.string(found[1])
    except FilterError as error:
        raise error_at(str(error), text, *found.span(1)) from None
    return found


def _number(text: str, found: re.Match[str]) -> Token:
    start, end = found.span()
    if word := re.compile(r"[\w.]+").match(text, end):
        raise error_at("a number goes over into a word: quote it?", text, start, word.end())
    digits = found[0]
    value: int | float
    try:
        if len(digits) > _MAX_DIGITS:
            build.fail(f"a number of {len(digits):,} characters: {_MAX_DIGITS} at most")
        value = float(digits) if re.search("[.eE]", digits) else int(digits)
        return Token("number", build.number(value), start, end)
    except FilterError as error:
        raise error_at(str(error), text, start, end) from None


def _unexpected(text: str, start: int, found: str) -> FilterError:
    hint = _HINTS.get(found, "")
    if found in _CURLY:
        hint = "quotes are straight: ' around strings, \" around names"
    elif not hint:
        hint = "put strings in '…' and unusual names in \"…\""
    name = repr(found) if found.isprintable() else f"U+{ord(found[0]):04X}"
    return error_at(f"unexpected {name}: {hint}", text, start, start + len(found))
