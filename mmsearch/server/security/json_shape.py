"""Bounds of a JSON text, told while it comes in and before it costs memory.

64 MiB of `[],[],[]` would be 22 million lists, 1.5 GB. So brackets and commas are counted first;
what they hold is for the parser to judge.
"""

from __future__ import annotations

import re

from mmsearch.server.security.refusal import Refusal

# A thousand items of a thousand attributes; as empty lists about 60 MB (2026-11).
MAX_VALUES = 1_000_000

_INSIDE = re.compile(rb'(?:[^"\\]|\\.)*+', re.DOTALL)
_QUOTE = ord('"')
_NO_BRACKETS = bytes(char for char in range(256) if char not in b"[]{}")


class JsonShape:
    """Counts levels and values of one JSON text, fed in pieces of any size."""

    def __init__(self, max_depth: int, max_values: int = MAX_VALUES) -> None:
        self._max_depth = max_depth
        self._max_values = max_values
        self.reset()

    def reset(self) -> None:
        """Another text begins."""
        self._depth = 0
        self._values = 0
        self._in_string = False
        self._escaped = False

    def feed(self, piece: bytes) -> None:
        """Raises Refusal."""
        place = 0
        while place < len(piece):
            if self._in_string:
                place = self._skip_string(piece, place)
                continue
            end = piece.find(_QUOTE, place)
            self._in_string = end >= 0
            end = end if self._in_string else len(piece)
            self._take(piece[place:end])
            place = end + 1

    def _skip_string(self, piece: bytes, place: int) -> int:
        if self._escaped:
            self._escaped = False
            place += 1
        found = _INSIDE.match(piece, place)
        assert found is not None  # it may be empty
        place = found.end()
        if place < len(piece):
            self._in_string = piece[place] != _QUOTE
            self._escaped = self._in_string  # else it stopped at a backslash that ends the piece
            place += 1
        return place

    def _take(self, text: bytes) -> None:
        """What stands between two strings."""
        brackets = text.translate(None, _NO_BRACKETS)
        opened = brackets.count(b"[") + brackets.count(b"{")
        self._values += opened + text.count(b",")
        if self._values > self._max_values:
            raise Refusal(
                413, "json", f"the JSON holds more than {self._max_values:,} values: send less"
            )
        if self._depth + opened <= self._max_depth:
            self._depth += 2 * opened - len(brackets)
            return
        for char in brackets:
            self._depth += 1 if char in b"[{" else -1
            if self._depth > self._max_depth:
                raise Refusal(400, "json", f"the JSON is nested more than {self._max_depth} deep")
