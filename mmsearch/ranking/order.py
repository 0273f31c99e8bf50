"""Sorting by an attribute among what is relevant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mmsearch.ranking.ranked import Ranked, Rows


def by_attribute(ranking: Ranked, column: Sequence[object], *, descending: bool = False) -> Rows:
    """(n,) rows of `ranking` in the order of an attribute; equal values stay in rank order.

    `column` (n,) has the attribute of each id. Numbers come before texts (and after them if
    descending), true and false count as 1 and 0, texts go by code point; items without a value, or
    with a list or an object, come last in both directions. The caller cuts the irrelevant tail off
    before: a cheap item that has nothing to do with the query must not come first.
    """
    keys = [_key(value) for value in column]
    with_value = [row for row in range(len(ranking)) if keys[row] is not None]
    without = [row for row in range(len(ranking)) if keys[row] is None]
    # sorted() is stable, also under `reverse`: equal values stay in rank order in both directions.
    ordered = sorted(with_value, key=lambda row: keys[row] or (), reverse=descending)
    return np.array(ordered + without, np.intp)


def _key(value: object) -> tuple[int, float, str] | None:
    # Python compares integers and floats of any size exactly: none is converted.
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bool | int | float):
        return (0, value, "")
    if isinstance(value, str):
        return (1, 0.0, value)
    return None
