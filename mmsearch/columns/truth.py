"""Filters over columns: SQL's three values, as small numbers that `and` and `or` take the least and
the largest of (Kleene 1938). filters/match.py has the meaning; a test compares the two."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mmsearch.columns.dictionary import ABSENT, Dictionary, fits_float
from mmsearch.filters import Filter, ValueType, type_of
from mmsearch.filters.like import FOLD, matcher, parts
from mmsearch.filters.match import COMPARISONS, comparable
from mmsearch.filters.nodes import (
    And,
    Between,
    Compare,
    Condition,
    Contains,
    Exists,
    Field,
    In,
    IsNull,
    Like,
    Not,
    Or,
    Value,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.columns.dictionary import Codes

    Truths = npt.NDArray[np.int8]
    Mask = npt.NDArray[np.bool_]

FALSE, UNKNOWN, TRUE = np.int8(0), np.int8(1), np.int8(2)


def truths(filter: Filter, column: Callable[[Field], tuple[Codes, Dictionary]]) -> Truths:
    """(n,) int8 FALSE, UNKNOWN or TRUE for each row; `column` gives codes (n,) and values."""
    if isinstance(filter, Not):
        return cast("Truths", TRUE - truths(filter.part, column))
    if isinstance(filter, And):
        return reduce(np.minimum, (truths(part, column) for part in filter.parts))
    if isinstance(filter, Or):
        return reduce(np.maximum, (truths(part, column) for part in filter.parts))
    codes, dictionary = column(filter.field)
    return _of_values(filter, dictionary).take(codes)


def _of_values(condition: Condition, values: Dictionary) -> Truths:
    """(m,) the truth of the condition for each value of a column."""
    if isinstance(condition, Exists):
        return np.where(np.arange(len(values)) == ABSENT, FALSE, TRUE)
    if isinstance(condition, IsNull):
        null = values.is_kind("null")
        null[ABSENT] = True
        return np.where(null, TRUE, FALSE)
    if isinstance(condition, Contains):
        hits = np.zeros(len(values), np.bool_)
        elements = _equal(values.elements, (condition.value,))
        hits[values.list_codes[elements[values.element_codes]]] = True
        return _known(values, "list", hits)
    if isinstance(condition, Like):
        return _known(values, "string", _like(values, condition))
    if isinstance(condition, In):
        first = condition.values[0]
        return _known(values, type_of(first), _equal(values, condition.values))
    if isinstance(condition, Between):
        inside = _ordered(values, ">=", condition.low) & _ordered(values, "<=", condition.high)
        return _known(values, type_of(condition.low), inside)
    assert isinstance(condition, Compare), condition
    if condition.op in ("=", "!="):
        hits = _equal(values, (condition.value,))
        hits = hits if condition.op == "=" else ~hits
    else:
        hits = _ordered(values, condition.op, condition.value)
    return _known(values, type_of(condition.value), hits)


def _known(values: Dictionary, kind: ValueType, hits: Mask) -> Truths:
    """What `hits` says of values of this type; of others, nothing is known."""
    return np.where(values.is_kind(kind), np.where(hits, TRUE, FALSE), UNKNOWN)


def _equal(values: Dictionary, wanted: Sequence[Value]) -> Mask:
    """(m,) which values are one of `wanted`, all of one type; other types: never."""
    kind = type_of(wanted[0])
    if kind == "number":
        if values.exact and all(map(fits_float, wanted)):
            return np.isin(values.numbers, np.array(wanted, np.float64))
        chosen = set(wanted)
        return _each(values, kind, lambda value: comparable(value) in chosen)
    hits = np.zeros(len(values), np.bool_)
    hits[[code for one in wanted if (code := values.find(one)) is not None]] = True
    return hits


def _ordered(values: Dictionary, op: str, value: Value) -> Mask:
    """(m,) which values of the type of `value`, a number or a string, compare so with it."""
    compare = COMPARISONS[op]
    kind = type_of(value)
    if kind == "number" and values.exact and fits_float(value):
        return cast("Mask", compare(values.numbers, float(value)))
    return _each(values, kind, lambda one: compare(comparable(one), value))


def _like(values: Dictionary, condition: Like) -> Mask:
    pattern, fold = condition.pattern, condition.fold
    kinds, letters = zip(*parts(pattern), strict=True) if pattern else ((), ())
    inner = kinds[1:-1]
    if len(kinds) > 2 and kinds[0] == kinds[-1] == "any" and set(inner) == {"literal"}:
        return _containing(values, "".join(letters[1:-1]), fold=fold)
    return _each(values, "string", matcher(pattern, fold=fold))


def _containing(values: Dictionary, wanted: str, *, fold: bool) -> Mask:
    """(m,) which strings have `wanted` in them: one search through all of them, end to end."""
    codes = np.flatnonzero(values.is_kind("string"))
    # No stored string holds U+0000, so no find goes over from one to the next.
    strings = [values.values[code] for code in codes.tolist()]
    joined = "\0".join(strings)
    if fold:
        joined, wanted = joined.translate(FOLD), wanted.translate(FOLD)
    found = [match.start() for match in re.finditer(re.escape(wanted), joined)]
    starts = np.cumsum([0, *(len(one) + 1 for one in strings)])
    hits = np.zeros(len(values), np.bool_)
    hits[codes[np.searchsorted(starts, np.array(found, np.int64), "right") - 1]] = True
    return hits


def _each(values: Dictionary, kind: ValueType, test: Callable[[Any], bool]) -> Mask:
    """(m,) where the values of one type pass a test."""
    hits = np.zeros(len(values), np.bool_)
    chosen = np.flatnonzero(values.is_kind(kind)).tolist()
    hits[[code for code in chosen if test(values.values[code])]] = True
    return hits
