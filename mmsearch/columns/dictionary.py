"""Distinct values and their codes: what a column says of many items is worked out once a value."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable
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
        self._numbers = array("d", [float("nan")])
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

    def code(self, value: Any) -> int:
        """The code of `value` (as read from JSON), a new one if need be."""
        key = _key(value)
        code = self._codes.get(key)
        if code is None:
            code = self._codes[key] = len(self.values)
            self._append(value, code)
        return code

    def encode(self, values: Iterable[Any]) -> list[int]:
        """The code of each value: those that `code` gives one after another."""
        known, code = self._codes.get, self.code
        return [known(_key(value)) or code(value) for value in values]

    def find(self, value: Any) -> int | None:
        """The code of a string or truth value, if it has one."""
        return self._codes.get(_key(value))

    def is_kind(self, kind: ValueType) -> npt.NDArray[np.bool_]:
        """(m,) whether each value is of this type."""
        return np.equal(self.kinds, _KIND_OF[kind])

    def types(self) -> set[ValueType]:
        """The types of all values that were ever seen."""
        return {name for number in set(self._kinds) if (name := KINDS[number]) != "absent"}

    def _append(self, value: Any, code: int) -> None:
        kind = type_of(value)
        self.values.append(value)
        self._kinds.append(_KIND_OF[kind])
        self._numbers.append(float(comparable(value)) if kind == "number" else float("nan"))
        if isinstance(value, int) and not -_EXACT <= value <= _EXACT:
            self.exact = False
        if kind == "list":
            for element in dict.fromkeys(self.elements.code(one) for one in value):
                self._list_codes.append(code)
                self._element_codes.append(element)


def fits_float(value: Any) -> bool:
    """Whether a number is a float without rounding."""
    return isinstance(value, float) or -_EXACT <= value <= _EXACT


def _key(value: Any) -> Any:
    """What tells values apart: 1, 1.0 and True are three, and lists cannot be keys."""
    if isinstance(value, (str, float)):
        return value  # 1.0 is no other key: integers and truths are in pairs
    if isinstance(value, (list, dict)):
        return list, json.dumps(value)
    return type(value), value
