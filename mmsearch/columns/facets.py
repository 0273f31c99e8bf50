"""How often each value of an attribute occurs among some items."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.columns.dictionary import ABSENT, Dictionary

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.columns.dictionary import Codes

    Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NumberRange:
    """The least and the largest of an attribute's numbers, and how many items have one."""

    min: float
    max: float
    count: int


@dataclass(frozen=True)
class Facet:
    """The values of an attribute and how many items have each, the most frequent first.

    An item with a list counts once for each different element. `distinct` counts all values, also
    those that are not listed; `missing` the items without one, null included.
    """

    name: str
    values: tuple[tuple[Any, int], ...]
    distinct: int
    missing: int
    numbers: NumberRange | None


def count(name: str, codes: Codes, dictionary: Dictionary, k: int) -> Facet:
    """The facet of the items whose values have these codes (n,); the k most frequent values.

    Ties go by value: truths, numbers, then strings. Objects and lists in lists are not counted.
    """
    counts = np.bincount(codes, minlength=len(dictionary))
    null = dictionary.is_kind("null")
    missing = int(counts[ABSENT] + counts[null].sum())
    values, found = _scalars(dictionary, counts)
    if len(dictionary.list_codes):
        weights = counts[dictionary.list_codes]
        inside = np.bincount(
            dictionary.element_codes, weights=weights, minlength=len(dictionary.elements)
        ).astype(np.int64)
        elements, times = _scalars(dictionary.elements, inside)
        values, found = _merged(values + elements, np.concatenate([found, times]))
    first = _most_frequent(values, found, k)
    return Facet(name, first, len(values), missing, _range(dictionary, counts))


def ranks(codes: Codes, dictionary: Dictionary) -> npt.NDArray[np.int64]:
    """(n,) int64 places of the values with these codes (n,) in their order, equals alike.

    The order is that of `sort_key`; -1 for what is no scalar.
    """
    used, inverse = np.unique(codes, return_inverse=True)
    scalar = _is_scalar(dictionary)[used]
    places = np.full(len(used), -1, np.int64)
    if dictionary.exact and dictionary.is_kind("number")[used[scalar]].all():
        numbers = dictionary.numbers[used[scalar]]
        places[scalar] = np.unique(numbers, return_inverse=True)[1]
    else:
        keys = [sort_key(dictionary.values[code]) for code in used[scalar].tolist()]
        place = {key: number for number, key in enumerate(sorted(set(keys)))}
        places[scalar] = [place[key] for key in keys]
    return places[inverse]


def sort_key(value: Any) -> tuple[int, Any]:
    """An order for scalars of all types: truths, numbers by value, strings by code point."""
    if isinstance(value, bool):
        return 0, value
    return (2, value) if isinstance(value, str) else (1, value)


def _most_frequent(values: Sequence[Any], found: Counts, k: int) -> tuple[tuple[Any, int], ...]:
    """The `k` of the values (n,) found most often (n,), ties by `sort_key`.

    Only those are sorted: where all are found once, hundreds of thousands are tied for the last
    places.
    """
    least = np.partition(found, len(found) - k)[len(found) - k] if len(found) > k else 0
    above = [(values[row], int(found[row])) for row in np.flatnonzero(found > least).tolist()]
    above.sort(key=lambda tally: (-tally[1], sort_key(tally[0])))
    tied = (values[row] for row in np.flatnonzero(found == least).tolist())
    rest = heapq.nsmallest(k - len(above), tied, key=sort_key)
    return (*above, *((value, int(least)) for value in rest))


def _scalars(dictionary: Dictionary, counts: Counts) -> tuple[list[Any], Counts]:
    """The strings, numbers and truths that were found at all, and how often each (n,)."""
    chosen = np.flatnonzero(_is_scalar(dictionary) & (counts > 0))
    return [dictionary.values[code] for code in chosen.tolist()], counts[chosen]


def _is_scalar(dictionary: Dictionary) -> npt.NDArray[np.bool_]:
    """(m,) which values are strings, numbers or truths."""
    return (
        dictionary.is_kind("string") | dictionary.is_kind("number") | dictionary.is_kind("boolean")
    )


def _merged(values: Sequence[Any], found: Counts) -> tuple[list[Any], Counts]:
    """Each value once, where some items have it alone and others in a list."""
    sums: dict[tuple[type, Any], int] = {}
    for value, number in zip(values, found.tolist(), strict=True):
        sums[type(value), value] = sums.get((type(value), value), 0) + number
    return [value for _, value in sums], np.array(list(sums.values()), np.int64)


def _range(dictionary: Dictionary, counts: Counts) -> NumberRange | None:
    # JSON has no infinity, which integers of hundreds of digits are.
    chosen = dictionary.is_kind("number") & (counts > 0) & np.isfinite(dictionary.numbers)
    if not chosen.any():
        return None
    numbers = dictionary.numbers[chosen]
    return NumberRange(float(numbers.min()), float(numbers.max()), int(counts[chosen].sum()))
