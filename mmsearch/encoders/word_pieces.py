"""BERT's WordPiece without the tokenizers library: the same ids, and nothing to parse first.

Greedy longest match of each word against the vocabulary (Wu et al. 2016, arXiv 1609.08144; the
split into words is that of google-research/bert tokenization.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from mmsearch.encoders.token_table import TokenTable

_ASCII_WORDS = re.compile(r"[A-Za-z0-9]+|[^\sA-Za-z0-9]")
# CJK ideographs stand for words; blocks as tokenizers has them (normalizers/bert.rs; the fifth
# begins 256 characters later than in google-research/bert tokenization.py).
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_KNOWN_WORDS = 10_000


class WordPieces:
    """Ids of a text, without special tokens. `lower` also takes accents off, as BERT's does."""

    def __init__(
        self, table: TokenTable, *, lower: bool, unknown: str, prefix: str, longest: int
    ) -> None:
        """`unknown` stands for a word that has no pieces or more than `longest` characters;
        pieces inside a word begin with `prefix`. Raises ValueError if the table lacks `unknown`.
        """
        found = table.id(unknown)
        if found is None:
            raise ValueError(f"the vocabulary lacks {unknown!r}")
        self._table = table
        self._lower = lower
        self._unknown = found
        self._prefix = prefix
        self._longest = longest
        self._pieces = lru_cache(_KNOWN_WORDS)(self._split)

    def encode(self, text: str, most: int) -> list[int] | None:
        """The first `most` ids; None for a text that versions of Unicode read differently."""
        if any(map(_in_doubt, text)):
            return None
        ids: list[int] = []
        for word in self._words(text):
            ids += self._pieces(word)
            if len(ids) >= most:
                break
        return ids[:most]

    def _words(self, text: str) -> Iterator[str]:
        if text.isascii() and text.isprintable():
            yield from _ASCII_WORDS.findall(text.lower() if self._lower else text)
            return
        text = "".join(map(_cleaned, text))
        if self._lower:
            decomposed = unicodedata.normalize("NFD", text)
            bare = (c for c in decomposed if unicodedata.category(c) != "Mn")
            # By character: at the end of a word str.lower() takes another small sigma.
            text = "".join(c.lower() for c in bare)
        for part in text.split():
            word = ""
            for character in part:
                if _is_punctuation(character):
                    if word:
                        yield word
                    yield character
                    word = ""
                else:
                    word += character
            if word:
                yield word

    def _split(self, word: str) -> tuple[int, ...]:
        if len(word) > self._longest:
            return (self._unknown,)
        ids = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = word[start:end]
                found = self._table.id(self._prefix + piece if start else piece)
                if found is not None:
                    break
            else:
                return (self._unknown,)
            ids.append(found)
            start = end
        return tuple(ids)


def _cleaned(character: str) -> str:
    """Nothing for a control character, a space for white space, an ideograph between spaces."""
    if character in "\t\n\r":
        return " "
    if character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Co"):
        return ""
    if character.isspace():
        return " "
    code = ord(character)
    if code >= 0x3400 and any(first <= code <= last for first, last in _IDEOGRAPHS):
        return f" {character} "
    return character


def _in_doubt(character: str) -> bool:
    """Whether the categories of Python and of the tokenizers library, whose tables are of Unicode 8
    or so, may differ: marks, punctuation and controls that came after Unicode 3.2, and what has
    changed since then."""
    if character.isascii():
        return False
    first = unicodedata.ucd_3_2_0.category(character)
    now = unicodedata.category(character)
    return first != now and (first != "Cn" or now[0] in "MPC")


def _is_punctuation(character: str) -> bool:
    if character.isascii():
        return not character.isalnum()
    return unicodedata.category(character).startswith("P")
