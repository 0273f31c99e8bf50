"""A filter written out, so that it can be shown, kept and parsed again."""

from __future__ import annotations

from mmsearch.filters.nodes import (
    COLUMNS,
    TITLE,
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
    Value,
)
from mmsearch.filters.tokens import quoted, typed

_NEGATABLE = In | Between | Like | Contains | Exists | IsNull


def to_text(filter: Filter) -> str:
    """The filter in the grammar of `parse`, which gives the same filter back."""
    if isinstance(filter, Or):
        return " or ".join(to_text(part) for part in filter.parts)
    if isinstance(filter, And):
        return " and ".join(
            f"({to_text(part)})" if isinstance(part, Or) else to_text(part) for part in filter.parts
        )
    if not isinstance(filter, Not):
        return _condition(filter)
    if isinstance(filter.part, _NEGATABLE):
        return _condition(filter.part, "not ")
    inner = to_text(filter.part)
    return f"not ({inner})" if isinstance(filter.part, And | Or) else f"not {inner}"


def _condition(condition: Condition, negation: str = "") -> str:
    name = _name(condition.field)
    if isinstance(condition, Compare):
        return f"{name} {condition.op} {_value(condition.value)}"
    if isinstance(condition, In):
        return f"{name} {negation}in ({', '.join(map(_value, condition.values))})"
    if isinstance(condition, Between):
        ends = f"{_value(condition.low)} and {_value(condition.high)}"
        return f"{name} {negation}between {ends}"
    if isinstance(condition, Like):
        word = "ilike" if condition.fold else "like"
        return f"{name} {negation}{word} {_value(condition.pattern)}"
    if isinstance(condition, Contains):
        return f"{name} {negation}contains {_value(condition.value)}"
    if isinstance(condition, IsNull):
        return f"{name} is {negation}null"
    return f"{name} {negation}exists"


def _name(field: Field) -> str:
    if field.column is not None:
        return field.column
    return (quoted if field.name in (*COLUMNS, TITLE) else typed)(field.name)


def _value(value: Value) -> str:
    if isinstance(value, str):
        doubled = value.replace("'", "''")
        return f"'{doubled}'"
    return str(value).lower() if isinstance(value, bool) else repr(value)
