"""What a filter is made of: one frozen dataclass per kind of condition.

Trees come from `parse` or `from_json`, which check them; the other functions rely on that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

# An int fits 64 bits, a float is finite, a str holds no U+0000 and no half of a surrogate pair.
Value = str | int | float | bool

ValueType = Literal["string", "number", "boolean", "list", "object", "null"]
# Attribute -> the types that it has somewhere in the collection.
Schema = Mapping[str, Collection[ValueType]]

Comparison = Literal["=", "!=", "<", "<=", ">", ">="]
# Each comparison and its negation; as SQL has it, both are unknown where the value is missing.
NEGATED: Mapping[Comparison, Comparison] = {
    "=": "!=",
    "!=": "=",
    "<": ">=",
    ">=": "<",
    ">": "<=",
    "<=": ">",
}

# The fields that every item has, by the columns that hold them.
Column = Literal["key", "text", "group", "path"]
COLUMNS: tuple[Column, ...] = ("key", "text", "group", "path")
# A second name for the text; an attribute of that name comes first.
TITLE = "title"


@dataclass(frozen=True)
class Field:
    """What a condition looks at: a column of the item, or else the attribute `name`."""

    name: str
    column: Column | None = None


@dataclass(frozen=True)
class Compare:
    """field = value, and the other five. Booleans know = and != only."""

    field: Field
    op: Comparison
    value: Value


@dataclass(frozen=True)
class In:
    """The field is one of `values`: at least one, all of one type."""

    field: Field
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Between:
    """low <= field <= high: two numbers or two strings."""

    field: Field
    low: Value
    high: Value


@dataclass(frozen=True)
class Like:
    """The whole string fits `pattern`: % any run, _ one character, \\ before %, _ or \\ itself.

    `fold` (ilike): A-Z and a-z are the same; other letters never fold.
    """

    field: Field
    pattern: str
    fold: bool


@dataclass(frozen=True)
class Contains:
    """The field is a list and `value` is one of its elements."""

    field: Field
    value: Value


@dataclass(frozen=True)
class IsNull:
    """The field is missing or null. Never unknown."""

    field: Field


@dataclass(frozen=True)
class Exists:
    """The field is there, be it null. Never unknown."""

    field: Field


@dataclass(frozen=True)
class Not:
    part: Filter


@dataclass(frozen=True)
class And:
    """At least two parts, none of them an And."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Or:
    """At least two parts, none of them an Or."""

    parts: tuple[Filter, ...]


Condition = Compare | In | Between | Like | Contains | IsNull | Exists
Filter = Condition | Not | And | Or


def schema_of(types: Iterable[tuple[str, ValueType]]) -> dict[str, set[ValueType]]:
    """The Schema of attributes' names and types, each of which may come more than once."""
    schema: dict[str, set[ValueType]] = {}
    for name, of_type in types:
        schema.setdefault(name, set()).add(of_type)
    return schema


def type_of(value: object) -> ValueType:
    """The type of a JSON value, in the filter's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "list" if isinstance(value, list | tuple) else "object"
