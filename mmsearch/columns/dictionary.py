"""Distinct values and their codes: what a column says of many items is worked out once a value."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from itertools import count, repeat
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mmsearch.filters import ValueType, type_of
from mmsearch.filters.match import comparable

if TYPE_CHECKING:
    import numpy.typing as npt

    Codes = npt.NDArray[np.int32]  # (n,) places in a dictionary
    Kinds = npt.NDArray[np.int8]  # (m,) places in KINDS
    Numbers = npt.NDArray[np.float64]

ABSENT = 0  # the code of no value at all, other than null
KINDS: tuple[ValueType | Literal["absent"], ...] = (
    "absent",
    "null",
    "boolean",
    "number",
    "string",
    "list",
    "object",
)
_KIND_OF = {name: number for number, name in enumerate(KINDS)}
# What JSON is read as.
_EACH_TYPE: tuple[Any, ...] = (None, True, 0, 0.0, "", [], {})
_KIND_OF_TYPE = {type(value): _KIND_OF[type_of(value)] for value in _EACH_TYPE}
_NUMBER, _LIST = _KIND_OF["number"], _KIND_OF["list"]
_NOT_A_NUMBER = float("nan")
_OWN_KEYS = {str, float}
# Whole numbers up to here are floats without rounding.
_EXACT = 2**53


class Dictionary:
    """Values by code, from 1; append only.

    Lists have their elements in a dictionary of their own: `list_codes[i]` has the element
    `element_codes[i]`, each one once.
    """

    def __init__(self) -> None:
        self.values: list[Any] = [None]
        self.exact = True  # `numbers` are the values, none is rounded
        self._kinds = array("b", [ABSENT])
        self._seen = {ABSENT}  # kinds
        self._numbers = array("d", [_NOT_A_NUMBER])
        self._codes: dict[Any, int] = {}
        self._elements: Dictionary | None = None
        self._list_codes = array("i")
        self._element_codes = array("i")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def kinds(self) -> Kinds:
        """(m,) int8 places in KINDS."""
        return np.array(self._kinds, np.int8)

    @property
    def numbers(self) -> Numbers:
        """(m,) float64, NaN for what is no number."""
        return np.array(self._numbers, np.float64)

    @property
    def elements(self) -> Dictionary:
        """What stands in the lists."""
        if self._elements is None:
            self._elements = Dictionary()
        return self._elements

    @property
    def list_codes(self) -> Codes:
        return np.array(self._list_codes, np.int32)

    @property
    def element_codes(self) -> Codes:
        return np.array(self._element_codes, np.int32)

    def encode(self, values: Sequence[Any]) -> Codes:
        """(n,) int32 the codes of values; new ones come in the order of their first appearance."""
        keys = _keys(values)
        codes = self._known(keys)
        if unknown := np.flatnonzero(codes == ABSENT).tolist():
            # Of equal values, as 0.0 and -0.0 are, the first one is kept.
            new: dict[Any, Any] = {}
            for place in unknown:
                new.setdefault(keys[place], values[place])
            first = len(self.values)
            self._append(list(new.values()))
            self._codes.update(zip(new, count(first)))
            codes[unknown] = self._known([keys[place] for place in unknown])
        return codes

    def find(self, value: Any) -> int | None:
        """The code of a string or truth value, if it has one."""
        return self._codes.get(_key(value))

    def is_kind(self, kind: ValueType) -> npt.NDArray[np.bool_]:
        """(m,) whether each value is of this type."""
        return np.equal(self.kinds, _KIND_OF[kind])

    def types(self) -> set[ValueType]:
        """The types of all values that were ever seen."""
        return {name for number in self._seen if (name := KINDS[number]) != "absent"}

    def _known(self, keys: Sequence[Any]) -> Codes:
        """(n,) the code of each key, ABSENT for those without."""
        return np.fromiter(map(self._codes.get, keys, repeat(ABSENT)), np.int32, len(keys))

    def _append(self, values: Sequence[Any]) -> None:
        """Give new values the codes that follow."""
        first = len(self.values)
        self.values += values
        kinds = [_KIND_OF_TYPE[type(value)] for value in values]
        self._seen.update(kinds)
        self._kinds.extend(kinds)
        self._numbers.extend(repeat(_NOT_A_NUMBER, len(values)))
        if {_NUMBER, _LIST}.isdisjoint(kinds):
            return
        for code, (value, kind) in enumerate(zip(values, kinds, strict=True), first):
            if kind == _NUMBER:
                self._numbers[code] = float(comparable(value))
                self.exact = self.exact and fits_float(value)
            elif kind == _LIST:
                elements = dict.fromkeys(self.elements.encode(value).tolist())
                self._list_codes.extend(repeat(code, len(elements)))
                self._element_codes.extend(elements)


def fits_float(value: Any) -> bool:
    """Whether a number is a float without rounding."""
    return isinstance(value, float) or -_EXACT <= value <= _EXACT


def _keys(values: Sequence[Any]) -> Sequence[Any]:
    """What tells each value apart; without a look at each where all are alike."""
    types = set(map(type, values))
    if types <= _OWN_KEYS:
        return values
    return list(zip(repeat(int), values) if types == {int} else map(_key, values))


def _key(value: Any) -> Any:
    """What tells values apart: 1, 1.0 and True are three, and lists cannot be keys."""
    of = type(value)
    if of in _OWN_KEYS:
        return value  # 1.0 is no other key: integers and truths are in pairs
    if of is list and set(map(type, value)) <= {str}:
        return list, tuple(value)
    return of, json.dumps(value) if of in (list, dict) else value
