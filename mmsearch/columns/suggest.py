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


class Completions:
    """The strings of some dictionaries in alphabetical order, accents and case folded."""

    def __init__(self, dictionaries: Sequence[Dictionary]) -> None:
        self._strings = _strings(dictionaries)
        self._lengths = [(len(one), len(one.elements)) for one in dictionaries]
        entries: list[tuple[str, int]] = []
        start = 0
        self._shown: list[str] = []
        for one in (part for whole in dictionaries for part in (whole, whole.elements)):
            for code in np.flatnonzero(one.is_kind("string")).tolist():
                value = one.values[code]
                if len(value) <= MAX_LENGTH and "://" not in value:
                    entries.append((fold(value), start + code))
            self._shown += one.values
            start += len(one)
        entries.sort()
        self._folded = [folded for folded, _ in entries]
        self._places = np.array([place for _, place in entries], np.int64)

    def starting_with(
        self, prefix: str, counts: npt.NDArray[np.int64], k: int
    ) -> list[tuple[str, int]]:
        """The k most frequent strings that start so, ties in alphabetical order.

        `counts` (see `tally`) are items per value. Spellings that only differ in accents
        or case are one, shown as the most frequent of them.
        """
        wanted = fold(prefix).lstrip()
        first = bisect_left(self._folded, wanted)
        last = bisect_left(self._folded, wanted + "\U0010ffff", first)
        frequent = counts[self._places[first:last]]
        order = np.argsort(-frequent, kind="stable")[: k * _SHORTLIST]
        found: dict[str, tuple[str, int]] = {}
        for number in order[frequent[order] > 0].tolist():
            folded, count = self._folded[first + number], int(frequent[number])
            shown, before = found.get(folded, (self._shown[self._places[first + number]], 0))
            found[folded] = shown, before + count
        ranked = sorted(found.items(), key=lambda one: (-one[1][1], one[0]))
        return [suggestion for _, suggestion in ranked[:k]]

    def is_current(self, dictionaries: Sequence[Dictionary]) -> bool:
        """Whether these dictionaries, which only grow, have no string that is not known here."""
        return self._strings == _strings(dictionaries)

    def tally(self, columns: Sequence[tuple[Codes, Dictionary]]) -> npt.NDArray[np.int64]:
        """How many items, whose values have these codes, have each value and each element.

        The columns are those of the dictionaries; what came since is no string.
        """
        counts = [np.zeros(0, np.int64)]
        for (codes, dictionary), (values, elements) in zip(columns, self._lengths, strict=False):
            whole = np.bincount(codes, minlength=len(dictionary))
            inside = np.bincount(
                dictionary.element_codes,
                weights=whole[dictionary.list_codes],
                minlength=len(dictionary.elements),
            )
            counts += [whole[:values], inside.astype(np.int64)[:elements]]
        return np.concatenate(counts)


def _strings(dictionaries: Sequence[Dictionary]) -> int:
    return sum(one.strings + one.elements.strings for one in dictionaries)
