"""Completions of a beginning, from titles, tags and other words that items have."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.columns.dictionary import Dictionary
from mmsearch.lexical.words import fold

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.columns.dictionary import Codes

# Longer strings are descriptions: nobody completes them.
MAX_LENGTH = 80
# Completions of one letter may be half of all titles; so many of the most frequent are compared.
_SHORTLIST = 10
_CODE_BITS = 32
_CODE = (1 << _CODE_BITS) - 1


class Completions:
    """The strings of some dictionaries in alphabetical order, accents and case folded."""

    def __init__(self) -> None:
        self._parts: list[Dictionary] = []  # each dictionary, then that of its lists' elements
        self._known: list[int] = []  # how many values of each part were looked at
        self._folded: list[str] = []
        # (n,) part << 32 | code, ascending among strings that fold to one. A part that grows moves
        # no place.
        self._places: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def update(self, dictionaries: Sequence[Dictionary]) -> bool:
        """Take in what these dictionaries have got since; whether there were strings among it.

        They are the same ones each time, perhaps with more behind them.
        """
        for one in dictionaries[len(self._parts) // 2 :]:
            self._parts += [one, one.elements]
            self._known += [0, 0]
        new: list[str] = []
        places: list[int] = []
        for number, part in enumerate(self._parts):
            known, self._known[number] = self._known[number], len(part)
            if known == len(part):
                continue
            codes = (known + np.flatnonzero(part.is_kind("string")[known:])).tolist()
            for code in codes:
                value = part.values[code]
                if len(value) <= MAX_LENGTH and "://" not in value:
                    new.append(fold(value))
                    places.append(number << _CODE_BITS | code)
        if new:
            self._merge(new, places)
        return bool(new)

    def starting_with(
        self, prefix: str, counts: npt.NDArray[np.int64], k: int
    ) -> list[tuple[str, int]]:
        """The k most frequent strings that start so, ties in alphabetical order.

        `counts` (see `tally`) are items per string. Spellings that only differ in accents
        or case are one, shown as the most frequent of them.
        """
        wanted = fold(prefix).lstrip()
        first = bisect_left(self._folded, wanted)
        last = bisect_left(self._folded, wanted + "\U0010ffff", first)
        frequent = counts[first:last]
        order = np.argsort(-frequent, kind="stable")[: k * _SHORTLIST]
        found: dict[str, tuple[str, int]] = {}
        for number in order[frequent[order] > 0].tolist():
            folded, count = self._folded[first + number], int(frequent[number])
            shown, before = found.get(folded, (self._shown(first + number), 0))
            found[folded] = shown, before + count
        ranked = sorted(found.items(), key=lambda one: (-one[1][1], one[0]))
        return [suggestion for _, suggestion in ranked[:k]]

    def tally(self, columns: Sequence[tuple[Codes, Dictionary]]) -> npt.NDArray[np.int64]:
        """(n,) how many items, whose values have these codes, have each string, alone or in a list.

        The columns are those of the dictionaries at the last update.
        """
        counts: list[npt.NDArray[np.int64]] = []
        for codes, dictionary in columns:
            whole = np.bincount(codes, minlength=len(dictionary))
            inside = np.bincount(
                dictionary.element_codes,
                weights=whole[dictionary.list_codes],
                minlength=len(dictionary.elements),
            )
            counts += [whole, inside.astype(np.int64)]
        starts = np.cumsum([0, *map(len, counts)])
        places = starts[self._places >> _CODE_BITS] + (self._places & _CODE)
        found: npt.NDArray[np.int64] = np.concatenate(counts)[places]
        return found

    def _merge(self, new: Sequence[str], places: Sequence[int]) -> None:
        """Put new strings and their places, which ascend, between those that are there."""
        order = sorted(range(len(new)), key=new.__getitem__)
        new = [new[number] for number in order]
        places = [places[number] for number in order]
        if not self._folded:  # all of them, the first time
            self._folded, self._places = new, np.array(places, np.int64)
            return
        rows = list(map(self._row, new, places))
        merged: list[str] = []
        start = 0
        for row, folded in zip(rows, new, strict=True):
            merged += self._folded[start:row]
            merged.append(folded)
            start = row
        merged += self._folded[start:]
        self._folded = merged
        self._places = np.insert(self._places, rows, places)

    def _row(self, folded: str, place: int) -> int:
        """Where a new string goes: behind those that fold to the same and stand before it."""
        row = bisect_left(self._folded, folded)
        while row < len(self._folded) and self._folded[row] == folded and self._places[row] < place:
            row += 1
        return row

    def _shown(self, row: int) -> str:
        part, code = divmod(int(self._places[row]), 1 << _CODE_BITS)
        shown: str = self._parts[part].values[code]
        return shown
