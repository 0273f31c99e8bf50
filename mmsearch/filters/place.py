"""Messages that point at the place in a filter's text."""

from __future__ import annotations

import unicodedata

from mmsearch.errors import FilterError

_BEFORE, _AFTER = 50, 30  # characters shown around the place


def error_at(what: str, text: str, start: int, end: int) -> FilterError:
    """A FilterError that shows `text` and a caret under `text[start:end]`."""
    first = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", start)
    last = len(text) if line_end < 0 else line_end
    left, right = max(first, start - _BEFORE), min(last, max(start + 1, end) + _AFTER)
    right = min(right, start + _BEFORE + _AFTER)
    lead = "…" if left > first else ""
    tail = "…" if right < last else ""
    before, marked = _visible(text[left:start]), _visible(text[start : min(end, right)])
    line = f"{lead}{before}{marked}{_visible(text[min(end, right) : right])}{tail}"
    caret = " " * (len(lead) + _width(before)) + "^" * max(1, _width(marked))
    return FilterError(f"in the filter: {what}\n  {line}\n  {caret}", start)


def _visible(text: str) -> str:
    """`text` with one blank or mark for everything that would move the cursor or be invisible."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def _width(text: str) -> int:
    """Columns of a terminal that `text` takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
