"""CLIP's byte-level BPE without the tokenizers library: the same ids, and nothing to parse first.

Byte pair encoding: Sennrich, Haddow and Birch 2016 (arXiv 1508.07909); over bytes: Radford et al.
2019 (GPT-2); the words and their "</w>" are those of CLIP's simple_tokenizer.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from heapq import heappop, heappush

from mmsearch.encoders.token_table import TokenTable

END_OF_WORD = "</w>"
_CONTRACTIONS = r"'s|'t|'re|'ve|'m|'ll|'d"
_ASCII_WORDS = re.compile(rf"{_CONTRACTIONS}|[A-Za-z]+|[0-9]|[^\sA-Za-z0-9]+")
# The same over the letter L, N or P that stands for each character, and the contractions.
_KINDS = re.compile(r"L+|N|P+")
_STARTS = re.compile(_CONTRACTIONS)
_SEPARATORS = "\x1c\x1d\x1e\x1f"  # white space for Python alone
_KNOWN_WORDS = 10_000


class BytePairs:
    """Ids of a text that is in lower case already, without start and end."""

    def __init__(self, table: TokenTable) -> None:
        self._table = table
        self._pieces = lru_cache(_KNOWN_WORDS)(self._merge)

    def encode(self, text: str, most: int) -> list[int] | None:
        """The first `most` ids of `text`; None for one with a character that this version of
        Python does not know. Raises ValueError for a token without an id.
        """
        if not text.isascii() and any(unicodedata.category(c) == "Cn" for c in text):
            return None
        ids: list[int] = []
        for word in _words(text):
            ids += self._pieces(word)
            if len(ids) >= most:
                break
        return ids[:most]

    def _merge(self, word: str) -> tuple[int, ...]:
        parts = [_BYTES[byte] for byte in word.encode()]
        parts[-1] += END_OF_WORD
        ids = [self._table.id(part) for part in merged(parts, self._table.rank)]
        if None in ids:
            raise ValueError(f"the vocabulary lacks a part of {word!r}")
        return tuple(number for number in ids if number is not None)


def merged(parts: Sequence[str], rank: Callable[[str, str], int | None]) -> list[str]:
    """`parts`, of which neighbours of the lowest rank are merged until none have one.

    Of several the first ones go first. In n log n steps: clients may send words of 100,000 letters.
    """
    rank = cache(rank)
    kept: list[str] = list(parts)  # "": it became a part of the one before
    before = list(range(-1, len(kept) - 1))
    after = list(range(1, len(kept) + 1))
    waiting: list[tuple[int, int]] = []  # a heap of ranks and places; some are of the past

    def wait(left: int) -> None:
        if left >= 0 and after[left] < len(kept):
            found = rank(kept[left], kept[after[left]])
            if found is not None:
                heappush(waiting, (found, left))

    for left in range(len(kept)):
        wait(left)
    while waiting:
        best, left = heappop(waiting)
        right = after[left]
        if not kept[left] or right == len(kept) or rank(kept[left], kept[right]) != best:
            continue
        kept[left] += kept[right]
        kept[right] = ""
        after[left] = after[right]
        if after[left] < len(kept):
            before[after[left]] = left
        wait(before[left])
        wait(left)
    return [part for part in kept if part]


def _words(text: str) -> Iterator[str]:
    if text.isascii() and text.isprintable():
        yield from _ASCII_WORDS.findall(text)
        return
    kinds = "".join(map(_kind, text))
    at = 0
    while at < len(text):
        found = _STARTS.match(text, at) or _KINDS.match(kinds, at)
        if found is None:
            at += 1
            continue
        yield text[at : found.end()]
        at = found.end()


def _kind(character: str) -> str:
    """L for a letter, N for a number, P for all else but white space."""
    if character.isspace() and character not in _SEPARATORS:
        return " "
    group = unicodedata.category(character)[0]
    return group if group in "LN" else "P"


def _byte_characters() -> list[str]:
    """GPT-2's printable character for each byte: its own where that is printable in Latin-1."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    shifted = {byte: 256 + place for place, byte in enumerate(others)}
    return [chr(shifted.get(byte, byte)) for byte in range(256)]


_BYTES = _byte_characters()
