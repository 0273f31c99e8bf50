"""A filter as a condition of SQLite (3.38 or newer) on the table `items`.

Unknown (see match.py) and false differ only under `not`. So negations are moved down to the
conditions first, where each of them knows what makes it false; what is left of a filter are and,
or, and conditions that need only be true or not. Of those, the cheap comparison stands first and
the type is asked for the few rows that pass it.

Everything that a user wrote travels as a parameter, names of attributes included.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from mmsearch.filters.like import parts
from mmsearch.filters.nodes import (
    NEGATED,
    And,
    Between,
    Compare,
    Comparison,
    Condition,
    Contains,
    Exists,
    Filter,
    In,
    IsNull,
    Not,
    Or,
    Value,
)

# Until 3.45, a JSON path is compared with a key as the key is written in the JSON text. These
# names are written in one way only; any other is looked for among the unescaped keys.
_PATH_NAME = re.compile(r"[ !#-\[\]-~]+")


@dataclass(frozen=True)
class Sql:
    """A condition in parentheses, and the parameters that it names as `:filter_0`, …"""

    text: str
    parameters: dict[str, str | int]


def live_items(filter: Filter) -> Sql:
    """The query for the ids, ascending, of the live items for which `matches` is true.

    It looks at each item: about 0.1 s of 100,000.
    """
    condition = to_sql(filter)
    return Sql(
        f"SELECT id FROM items WHERE state = 'live' AND {condition.text} ORDER BY id",
        condition.parameters,
    )


def to_sql(filter: Filter) -> Sql:
    """The rows of `items` for which `matches` is true."""
    writer = _Writer()
    condition = writer.filter(filter, wanted=True)
    return Sql(f"({condition})", writer.parameters)


@dataclass(frozen=True)
class _Operand:
    """SQL for a field's value, for its JSON type ("" for a column, a string or NULL), and for the
    arguments of json_each that give its elements if it is an array."""

    value: str
    kind: str = ""
    elements: str = ""


class _Writer:
    """Writes one filter; collects its parameters."""

    def __init__(self) -> None:
        self.parameters: dict[str, str | int] = {}

    def filter(self, filter: Filter, *, wanted: bool) -> str:
        """What is true if and only if `filter` is `wanted`: true, or else false."""
        if isinstance(filter, Not):
            return self.filter(filter.part, wanted=not wanted)
        if isinstance(filter, And | Or):
            word = " AND " if isinstance(filter, And) == wanted else " OR "
            return f"({word.join(self.filter(part, wanted=wanted) for part in filter.parts)})"
        field = filter.field
        if field.column is not None:
            return self._test(filter, _Operand(f'items."{field.column}"'), wanted)
        if not _PATH_NAME.fullmatch(field.name):
            return self._among_keys(filter, field.name, wanted)
        path = self._bind('$."' + field.name + '"')
        at = f"items.attributes, {path}"
        return self._test(filter, _Operand(f"json_extract({at})", f"json_type({at})", at), wanted)

    def _among_keys(self, condition: Condition, name: str, wanted: bool) -> str:
        """The condition on an attribute that no path can name."""
        row = (
            "EXISTS (SELECT 1 FROM json_each(items.attributes) AS named"
            f" WHERE named.key = {self._bind(name)}"
        )
        if isinstance(condition, Exists):
            return f"{row})" if wanted else f"NOT {row})"
        if isinstance(condition, IsNull):
            there = f"{row} AND named.type <> 'null')"
            return f"NOT {there}" if wanted else there
        # json_each must not see a string that is no JSON, whichever condition comes first.
        array = "CASE named.type WHEN 'array' THEN named.value END"
        test = self._test(condition, _Operand("named.value", "named.type", array), wanted)
        return f"{row} AND {test})"

    def _test(self, condition: Condition, operand: _Operand, wanted: bool) -> str:
        if isinstance(condition, Exists):
            there = operand.kind or operand.value
            return f"{there} IS NOT NULL" if wanted else f"{there} IS NULL"
        if isinstance(condition, IsNull):
            kind = f"nullif({operand.kind}, 'null')" if operand.kind else operand.value
            return f"{kind} IS NULL" if wanted else f"{kind} IS NOT NULL"
        negation = "" if wanted else "NOT "
        if isinstance(condition, Contains):
            element = _Operand("element.value", "element.type")
            return (
                f"({operand.kind} = 'array' AND {negation}EXISTS (SELECT 1 FROM"
                f" json_each({operand.elements}) AS element"
                f" WHERE {self._compare(element, '=', condition.value)}))"
            )
        if isinstance(condition, Compare):
            return self._compare(
                operand, condition.op if wanted else NEGATED[condition.op], condition.value
            )
        if isinstance(condition, In):
            return self._within(operand, condition.values, wanted)
        if isinstance(condition, Between):
            low, high = self._literal(condition.low), self._literal(condition.high)
            test = f"{operand.value} {negation}BETWEEN {low} AND {high}"
            return _guarded(test, operand, condition.low)
        # `like` tells a from A and LIKE does not, GLOB does; LIKE folds A-Z only, as `ilike` does.
        if condition.fold:
            test = f"{operand.value} {negation}LIKE {self._bind(condition.pattern)} ESCAPE '\\'"
        else:
            test = f"{operand.value} {negation}GLOB {self._bind(_glob(condition.pattern))}"
        return _guarded(test, operand, condition.pattern)

    def _compare(self, operand: _Operand, op: Comparison, value: Value) -> str:
        if isinstance(value, bool):
            return _is_one_of(operand, {value if op == "=" else not value})
        return _guarded(f"{operand.value} {op} {self._literal(value)}", operand, value)

    def _within(self, operand: _Operand, values: tuple[Value, ...], wanted: bool) -> str:
        first = values[0]
        if isinstance(first, bool):
            named = {bool(value) for value in values}
            return _is_one_of(operand, named if wanted else {True, False} - named)
        # One parameter, however many values: SQLite takes 32,766 of them, PostgreSQL 65,535.
        listed = self._bind(json.dumps(values, ensure_ascii=False))
        negation = "" if wanted else "NOT "
        test = f"{operand.value} {negation}IN (SELECT value FROM json_each({listed}))"
        return _guarded(test, operand, first)

    def _literal(self, value: Value) -> str:
        """A bound string or number. A float is read from JSON, as the items' own are: SQLite's
        reading of decimals is not exact in all builds, but it is the same for the same text."""
        if isinstance(value, float):
            return f"json_extract({self._bind(json.dumps(value))}, '$')"
        return self._bind(value)

    def _bind(self, value: str | int) -> str:
        name = f"filter_{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"


def _guarded(test: str, operand: _Operand, value: Value) -> str:
    """`test`, and that the operand is of the type of `value`."""
    if not operand.kind:
        return test
    kinds = "= 'text'" if isinstance(value, str) else "IN ('integer', 'real')"
    return f"({test} AND {operand.kind} {kinds})"


def _is_one_of(operand: _Operand, truths: set[bool]) -> str:
    kinds = ", ".join(f"'{str(truth).lower()}'" for truth in sorted(truths))
    return f"{operand.kind} IN ({kinds})"


def _glob(pattern: str) -> str:
    """The pattern of `like` in the signs of GLOB."""
    signs = {"any": "*", "one": "?"}
    return "".join(
        signs.get(kind) or (f"[{character}]" if character in "*?[" else character)
        for kind, character in parts(pattern)
    )
