"""The checks that every filter passes, whether it came as text or as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from mmsearch.errors import FilterError
from mmsearch.filters import like
from mmsearch.filters.nodes import (
    COLUMNS,
    TITLE,
    And,
    Between,
    Compare,
    Comparison,
    Contains,
    Exists,
    Field,
    Filter,
    In,
    IsNull,
    Like,
    Or,
    Schema,
    Value,
    ValueType,
    type_of,
)
from mmsearch.filters.tokens import typed

# SQLite stops at 100 open symbols while it parses (YYSTACKDEPTH; a filter 20 deep may have more)
# and at expressions 1,000 deep. A test tries the deepest and longest filters that these let pass.
MAX_DEPTH = 15
MAX_CONDITIONS = 500
# SQLite refuses patterns of 50,000 bytes; a pattern of this many characters takes 4,000 at most.
MAX_PATTERN = 1_000
MAX_NAMES_SHOWN = 10

# SQLite reads U+FFFE, U+FFFF and halves of surrogate pairs as U+FFFD when it matches a pattern,
# and looks for U+0080 among the bytes of longer characters (func.c, patternCompare): patterns
# without these four match exactly.
_NOT_IN_PATTERNS = re.compile("[\u0080\ufffd\ufffe\uffff]")
_NOT_IN_STRINGS = re.compile("[\0\ud800-\udfff]")


def fail(what: str) -> NoReturn:
    """Raise FilterError for a fault whose place the caller knows and adds."""
    raise FilterError(what)


@dataclass(frozen=True)
class Builder:
    """Makes checked nodes; each method raises FilterError without a place.

    With a schema, a field must be in it and a value must be of a type that the field has.
    """

    schema: Schema | None = None

    def field(self, name: str) -> Field:
        """What a bare name means: a column first, otherwise an attribute."""
        for column in COLUMNS:
            if name == column:
                return Field(name, column)
        if name == TITLE and (self.schema is None or TITLE not in self.schema):
            return Field("text", "text")
        return self.attribute(name)

    def attribute(self, name: str) -> Field:
        """What a quoted name means: always an attribute."""
        string(name)
        if self.schema is not None and name not in self.schema:
            fail(f"unknown attribute {name!r}: {_suggestion(name, self.schema)}")
        return Field(name)

    def compare(self, field: Field, op: Comparison, value: Value) -> Compare:
        if isinstance(value, bool) and op not in ("=", "!="):
            fail(f"true and false have no order: write = or != instead of {op}")
        self._require(field, type_of(value))
        return Compare(field, op, value)

    def within(self, field: Field, values: Sequence[Value]) -> In:
        if not values:
            fail("in () is never true: name one value at least")
        self._require(field, _one_type(values))
        return In(field, tuple(values))

    def between(self, field: Field, low: Value, high: Value) -> Between:
        if _one_type((low, high)) == "boolean":
            fail("true and false have no order: write = or != instead of between")
        self._require(field, type_of(low))
        return Between(field, low, high)

    def like(self, field: Field, pattern: Value, *, fold: bool) -> Like:
        if not isinstance(pattern, str):
            fail(f"like compares strings, not the {type_of(pattern)} {shown(pattern)}: quote it")
        if len(pattern) > MAX_PATTERN:
            fail(f"a pattern of {len(pattern):,} characters: {MAX_PATTERN:,} at most")
        if bad := _NOT_IN_PATTERNS.search(pattern):
            fail(f"U+{ord(bad[0]):04X} cannot stand in a pattern: use _ or =")
        try:
            list(like.parts(pattern))
        except ValueError as error:
            fail(str(error))
        self._require(field, "string")
        return Like(field, pattern, fold)

    def contains(self, field: Field, value: Value) -> Contains:
        if field.column is not None:
            fail(f"{field.name} is a string, contains is for lists: write {field.name} like '%…%'")
        self._require(field, "list")
        return Contains(field, value)

    def is_null(self, field: Field) -> IsNull:
        return IsNull(field)

    def exists(self, field: Field) -> Exists:
        return Exists(field)

    def _require(self, field: Field, wanted: ValueType) -> None:
        """Refuse a condition that could not be true for any item of the collection."""
        if field.column is not None:
            held: Iterable[ValueType] = ("string",)
        elif self.schema is None:
            return
        else:
            held = self.schema[field.name]
        if wanted not in held:
            kinds = " or ".join(sorted(set(held) - {"null"})) or "null"
            hints = {
                ("string", "list"): f": write {field.name} contains …",
                ("list", "string"): f": write {field.name} like … or {field.name} = …",
                ("string", "number"): ": write the number without quotes",
                ("number", "string"): ": put the value in quotes '…'",
            }
            hint = next((hints[wanted, kind] for kind in held if (wanted, kind) in hints), "")
            fail(f"{field.name!r} is a {kinds}, never a {wanted}{hint}")


def junction(kind: type[And] | type[Or], parts: Sequence[Filter]) -> Filter:
    """`parts` joined, without an And in an And or an Or in an Or."""
    flat: list[Filter] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else (part,)
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def string(value: str) -> str:
    """A string that a catalog can hold. Raises FilterError."""
    if bad := _NOT_IN_STRINGS.search(value):
        if bad[0] == "\0":
            fail("U+0000 cannot stand in a filter: no item's text holds it")
        fail(f"U+{ord(bad[0]):04X} is half a character: the filter is not valid Unicode")
    return value


def number(value: int | float) -> int | float:
    """A number as the catalog reads it: past 64 bits, an int is a float. Raises FilterError."""
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    try:
        real = float(value)
    except OverflowError:
        real = math.inf
    if math.isnan(real):
        fail("NaN is no number that an item can have")
    if math.isinf(real):
        fail("the number is too large: 1.8e308 is the largest")
    return real


def shown(value: Value) -> str:
    """A value for a message, cut short."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _one_type(values: Sequence[Value]) -> ValueType:
    first = type_of(values[0])
    for value in values:
        if type_of(value) != first:
            fail(
                f"{shown(values[0])} is a {first} and {shown(value)} is a {type_of(value)}: "
                "give values of one type"
            )
    return first


def _suggestion(name: str, schema: Schema) -> str:
    import difflib  # only a mistake needs it

    known = [*COLUMNS, *sorted(schema)]
    folded = {candidate.casefold(): candidate for candidate in reversed(known)}
    near = difflib.get_close_matches(name.casefold(), folded, n=3)
    if near:
        return f"did you mean {' or '.join(typed(folded[candidate]) for candidate in near)}?"
    more = ", …" if len(known) > MAX_NAMES_SHOWN else ""
    return f"there are {', '.join(known[:MAX_NAMES_SHOWN])}{more}"
