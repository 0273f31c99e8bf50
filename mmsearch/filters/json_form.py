"""Filters as JSON values, for programs that build them.

    {"and": [filter, …]}   {"or": [filter, …]}   {"not": filter}
    {"field": "price", "op": "<", "value": 50}

`op` is one of = != < <= > >= in between like ilike contains (with a value; in takes a list, between
the list of both ends), is null and exists (without). `field` reads a name as the text form reads a
bare one, columns first; `attribute` instead of it always names an attribute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, cast

from mmsearch.errors import FilterError
from mmsearch.filters import build
from mmsearch.filters.build import Builder
from mmsearch.filters.nodes import (
    NEGATED,
    And,
    Between,
    Compare,
    Comparison,
    Condition,
    Contains,
    Field,
    Filter,
    In,
    IsNull,
    Like,
    Not,
    Or,
    Schema,
    Value,
    type_of,
)

OPERATORS = (*NEGATED, "in", "between", "like", "ilike", "contains", "is null", "exists")
_WITHOUT_VALUE = ("is null", "exists")


def to_json(filter: Filter) -> dict[str, Any]:
    """The filter as a JSON value; `from_json` gives the same filter back."""
    if isinstance(filter, And):
        return {"and": [to_json(part) for part in filter.parts]}
    if isinstance(filter, Or):
        return {"or": [to_json(part) for part in filter.parts]}
    if isinstance(filter, Not):
        return {"not": to_json(filter.part)}
    field = filter.field
    named = {"field": field.column} if field.column else {"attribute": field.name}
    return {**named, **_operation(filter)}


def _operation(condition: Condition) -> dict[str, Any]:
    if isinstance(condition, Compare):
        return {"op": condition.op, "value": condition.value}
    if isinstance(condition, In):
        return {"op": "in", "value": list(condition.values)}
    if isinstance(condition, Between):
        return {"op": "between", "value": [condition.low, condition.high]}
    if isinstance(condition, Like):
        return {"op": "ilike" if condition.fold else "like", "value": condition.pattern}
    if isinstance(condition, Contains):
        return {"op": "contains", "value": condition.value}
    return {"op": "is null" if isinstance(condition, IsNull) else "exists"}


def from_json(value: object, schema: Schema | None = None) -> Filter:
    """The filter that a JSON value says. Raises FilterError, which names the place in it."""
    return _Reader(Builder(schema)).filter(value, "$", 0)


class _Reader:
    def __init__(self, builder: Builder) -> None:
        self._build = builder
        self._conditions = 0

    def filter(self, value: object, place: str, depth: int) -> Filter:
        if not isinstance(value, Mapping):
            raise _error(f"a value of type {type_of(value)} where an object {{…}} is needed", place)
        if depth > build.MAX_DEPTH:
            raise _error(f"nested more than {build.MAX_DEPTH} deep", place)
        if "and" in value or "or" in value:
            word: Literal["and", "or"] = "and" if "and" in value else "or"
            _only(value, {word}, place)
            parts = value[word]
            if not isinstance(parts, list) or not parts:
                raise _error(f"{word} takes a list of one filter or more", f"{place}.{word}")
            return build.junction(
                And if word == "and" else Or,
                [
                    self.filter(part, f"{place}.{word}[{number}]", depth + 1)
                    for number, part in enumerate(parts)
                ],
            )
        if "not" in value:
            _only(value, {"not"}, place)
            return Not(self.filter(value["not"], f"{place}.not", depth + 1))
        return self._condition(value, place)

    def _condition(self, value: Mapping[str, object], place: str) -> Condition:
        self._conditions += 1
        if self._conditions > build.MAX_CONDITIONS:
            raise _error(f"more than {build.MAX_CONDITIONS} conditions: use in", place)
        named = [word for word in ("field", "attribute") if word in value]
        if len(named) != 1:
            raise _error(
                "a filter has and, or, not, or one of field and attribute with op and value", place
            )
        op = value.get("op")
        if not isinstance(op, str) or op not in OPERATORS:
            raise _error(f"op is one of {' '.join(OPERATORS)}, not {op!r}", f"{place}.op")
        _only(value, {*named, "op"} | (set() if op in _WITHOUT_VALUE else {"value"}), place)
        name = value[named[0]]
        if not isinstance(name, str):
            raise _error(
                f"a name is a string, not a value of type {type_of(name)}", f"{place}.{named[0]}"
            )
        make = self._build.field if named[0] == "field" else self._build.attribute
        with _placed(f"{place}.{named[0]}"):
            field = make(name)
        with _placed(f"{place}.value"):
            return self._operation(field, op, value.get("value"))

    def _operation(self, field: Field, op: str, value: object) -> Condition:
        if op == "is null":
            return self._build.is_null(field)
        if op == "exists":
            return self._build.exists(field)
        if op in ("in", "between"):
            if not isinstance(value, list):
                build.fail(f"{op} takes a list, not a value of type {type_of(value)}")
            values = [_scalar(one) for one in value]
            if op == "in":
                return self._build.within(field, values)
            if len(values) != 2:
                build.fail(f"between takes a list of two values, not of {len(values)}")
            return self._build.between(field, *values)
        one = _scalar(value)
        if op == "contains":
            return self._build.contains(field, one)
        if op in ("like", "ilike"):
            return self._build.like(field, one, fold=op == "ilike")
        return self._build.compare(field, cast("Comparison", op), one)


def _scalar(value: object) -> Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return build.string(value)
    if isinstance(value, int | float):
        return build.number(value)
    if value is None:
        raise FilterError("nothing equals null: use the op is null")
    raise FilterError(
        f"a value of type {type_of(value)} where a string, a number, true or false is needed"
    )


def _only(value: Mapping[str, object], allowed: set[str], place: str) -> None:
    """Refuse members that would be passed over, and name those that are missing."""
    if extra := [name for name in value if name not in allowed]:
        raise _error(f"{extra[0]!r} does not belong beside {' and '.join(sorted(allowed))}", place)
    if missing := sorted(allowed - set(value)):
        raise _error(f"{missing[0]!r} is missing", place)


@contextmanager
def _placed(place: str) -> Iterator[None]:
    """Give a FilterError raised in it a place."""
    try:
        yield
    except FilterError as error:
        raise _error(str(error), place) from None


def _error(what: str, place: str) -> FilterError:
    return FilterError(f"in the filter, at {place}: {what}")
