"""How many of the items have which value of an attribute."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mmsearch.errors import UsageError

Value = str | int | float | bool


@dataclass(frozen=True)
class Bucket:
    """One value, or the range `[low, high)` (None: open), and the items that have it."""

    value: Value | None
    count: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Facet:
    """The buckets of one attribute. `missing`: items without a value; `others`: items that have
    values of which none is among the buckets."""

    attribute: str
    buckets: tuple[Bucket, ...]
    missing: int
    others: int


def count_values(attribute: str, column: Iterable[object], top: int = 10) -> Facet:
    """The `top` most frequent values, ties by text. An item with a list counts once for each
    different value in it; an object in it has no single value and counts as missing.

    `column` has the attribute of each item, None where it has none. Numbers that are equal are one
    value (1 and 1.0); true is not 1. Raises UsageError for top < 1.
    """
    if top < 1:
        raise UsageError(f"a facet needs at least one bucket, not {top}")
    rows = [(_values(value), times) for value, times in _tally(column)]
    counts: Counter[_Kinded] = Counter()
    for values, times in rows:
        for value in values:
            counts[value] += times
    best = sorted(counts.items(), key=lambda pair: (-pair[1], _text(pair[0])))[:top]
    shown = {key for key, _ in best}
    return Facet(
        attribute,
        tuple(Bucket(key[1], count) for key, count in best),
        missing=sum(times for values, times in rows if not values),
        others=sum(times for values, times in rows if values and not values & shown),
    )


def count_ranges(attribute: str, column: Iterable[object], bounds: Sequence[float]) -> Facet:
    """Counts below, between and from `bounds` on: (-inf, b0), [b0, b1), ..., [bn, inf).

    Values that are no numbers count as missing. An item with a list counts once in each range that
    it has a number in. Raises UsageError unless the bounds are finite and ascend.
    """
    if not bounds or not all(map(math.isfinite, bounds)):
        raise UsageError(f"the bounds of {attribute!r} must be finite numbers, not {list(bounds)}")
    if any(low >= high for low, high in pairwise(bounds)):
        raise UsageError(f"the bounds of {attribute!r} must ascend, not {list(bounds)}")
    edges = [None, *bounds, None]
    counts = [0] * (len(bounds) + 1)
    missing = 0
    for value, times in _tally(column):
        numbers = {
            float(one)
            for kind, one in _values(value)
            if kind == "number" and not isinstance(one, str)
        }
        hit = {sum(number >= bound for bound in bounds) for number in numbers}
        missing += 0 if hit else times
        for place in hit:
            counts[place] += times
    buckets = (Bucket(None, n, edges[i], edges[i + 1]) for i, n in enumerate(counts))
    return Facet(attribute, tuple(buckets), missing, 0)


# A value with its kind: Python holds True == 1, a shop does not.
_Kinded = tuple[str, Value]


# Values of exactly these types have a hash, and are told apart by `type`, faster than isinstance.
_PLAIN = frozenset((str, int, float, bool, type(None)))


def _tally(column: Iterable[object]) -> list[tuple[object, int]]:
    """Each different value with the number of its items: equal values are looked at once. Lists
    and objects, which have no hash, come one by one."""
    values = list(column)
    others: list[object] = []
    if not set(map(type, values)) <= _PLAIN:
        others = [value for value in values if type(value) not in _PLAIN]
        values = [value for value in values if type(value) in _PLAIN]
    counts = Counter(zip(map(type, values), values, strict=True))  # 1 and True hash the same
    return [*((value, times) for (_, value), times in counts.items()), *((v, 1) for v in others)]


def _values(value: object) -> set[_Kinded]:
    """The different values of one item; a list has several."""
    if isinstance(value, list | tuple):
        return {one for part in value if not isinstance(part, list) for one in _values(part)}
    if isinstance(value, bool):
        return {("truth", value)}
    if isinstance(value, int | float):
        return {("number", value)} if math.isfinite(value) else set()
    if isinstance(value, str):
        return {("text", value)}
    return set()


def _text(value: _Kinded) -> tuple[str, str]:
    return str(value[1]), value[0]
