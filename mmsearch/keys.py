"""From an item's key back to its file. Apart from scan.py, whose imports a query can do without."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

# Python reads names of files in the encoding of the locale; keys are UTF-8 in any.
UTF_8_NAMES = sys.getfilesystemencoding().lower().replace("-", "") == "utf8"

_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2})")


def path_of(key: str, base: Path) -> Path:
    """The absolute path that `scan.key_of` made `key` from."""
    name = key
    if "\\" in key:
        name = _ESCAPE.sub(lambda m: "\\" if m[1] == "\\" else chr(0xDC00 + int(m[1][1:], 16)), key)
    if not UTF_8_NAMES:
        name = os.fsdecode(name.encode("utf-8", "surrogateescape"))
    return Path(os.path.abspath(base / name))
