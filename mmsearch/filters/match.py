"""A filter evaluated on one item in Python: the meaning that every database must agree with.

Conditions are true, false or unknown (None), as in SQL: unknown where the field is missing, null
or of another type than the value. Only items for which the whole filter is true match.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from mmsearch.filters.like import like
from mmsearch.filters.nodes import (
    And,
    Between,
    Compare,
    Condition,
    Contains,
    Exists,
    Field,
    Filter,
    In,
    IsNull,
    Like,
    Not,
    Or,
    type_of,
)

_ABSENT = object()
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(filter: Filter, item: Mapping[str, Any]) -> bool:
    """Whether the filter is true for `item`: key, text, group, path and the mapping attributes.

    A column that `item` lacks counts as null. Strings are those that a catalog holds, without
    U+0000 and halves of surrogate pairs; numbers are finite.
    """
    return _truth(filter, item) is True


def _truth(filter: Filter, item: Mapping[str, Any]) -> bool | None:
    if isinstance(filter, Not):
        truth = _truth(filter.part, item)
        return None if truth is None else not truth
    if isinstance(filter, And):
        truths = {_truth(part, item) for part in filter.parts}
        return False if False in truths else None if None in truths else True
    if isinstance(filter, Or):
        truths = {_truth(part, item) for part in filter.parts}
        return True if True in truths else None if None in truths else False
    value = _value(filter.field, item)
    if isinstance(filter, Exists):
        return value is not _ABSENT
    if isinstance(filter, IsNull):
        return value is _ABSENT or value is None
    return None if value is _ABSENT else _condition(filter, value)


def _value(field: Field, item: Mapping[str, Any]) -> Any:
    """The field's value, or _ABSENT; a column that is null is absent."""
    if field.column is not None:
        value = item.get(field.column)
        return _ABSENT if value is None else value
    return item["attributes"].get(field.name, _ABSENT)


def _condition(condition: Condition, value: Any) -> bool | None:
    if isinstance(condition, Contains):
        wanted = type_of(condition.value)
        if type_of(value) != "list":
            return None
        return any(type_of(one) == wanted and comparable(one) == condition.value for one in value)
    if isinstance(condition, Like):
        if not isinstance(value, str):
            return None
        return like(value, condition.pattern, fold=condition.fold)
    if isinstance(condition, Compare):
        if type_of(value) != type_of(condition.value):
            return None
        return COMPARISONS[condition.op](comparable(value), condition.value)
    if isinstance(condition, In):
        if type_of(value) != type_of(condition.values[0]):
            return None
        return comparable(value) in condition.values
    assert isinstance(condition, Between), condition
    if type_of(value) != type_of(condition.low):
        return None
    return bool(condition.low <= comparable(value) <= condition.high)


def comparable(value: Any) -> Any:
    """The value as a database reads it from JSON: past 64 bits, an int is a float, perhaps
    infinite."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    return value
