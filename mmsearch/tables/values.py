"""Cells and values of tables as the values that are stored."""

from __future__ import annotations

import datetime
import decimal
import math
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_INT = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")  # 18 digits fit SQLite; 007 is a name
_FLOAT = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][+-]?[0-9]{1,3})?")
TOO_DEEP = "one of its values is nested too deeply; make it flatter"
_SHORT_CELL = 40  # characters; longer ones are seldom equal


def clean_text(text: str) -> str:
    """Stripped, without U+0000 and in Unicode normal form C, otherwise unharmed.

    SQLite's JSON functions end a string at U+0000: filters would see another value than programs.
    """
    text = text.replace("\0", "").strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def typed_cells(cells: Mapping[str, str]) -> dict[str, Any]:
    """csv cells as int, float, bool or str; None where one is empty."""
    return {
        name: _short_cell(cell) if len(cell) <= _SHORT_CELL else _read_cell(cell)
        for name, cell in cells.items()
    }


@lru_cache(maxsize=16_384)  # brands, sizes and stocks repeat
def _short_cell(cell: str) -> Any:
    return _read_cell(cell)


def _read_cell(cell: str) -> Any:
    text = cell.strip()
    if not text:
        return None
    if text[0] in "+-.0123456789":
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
    elif text[0] in "tTfF" and text.lower() in ("true", "false"):
        return text[0] in "tT"
    return clean_text(text)


def python_value(value: Any) -> Any:
    """What a scalar or an array of NumPy holds, as Python's own; anything else as it is."""
    if not (hasattr(value, "dtype") and hasattr(value, "tolist")):
        return value
    if str(value.dtype).endswith("64[ns]"):  # times, of which tolist makes integers
        value = value.astype(f"{value.dtype.kind}8[us]")
    return value.tolist()


def plain_value(value: Any) -> Any:
    """A value that JSON can hold: times in ISO form, decimals as floats, raw bytes dropped.

    Scalars and arrays of NumPy are what they hold. An object that has no form in words is dropped.
    Raises RecursionError for hundreds of lists or mappings within each other.
    """
    if isinstance(value, str):
        return clean_text(value) or None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, decimal.Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(k).replace("\0", ""): plain_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(v) for v in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return None
    own = python_value(value)
    if type(own) is not type(value):
        return plain_value(own)
    kind: Any = type(value)
    wordless = kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__
    return None if wordless else str(value)
