"""The names of devices. For command lines: imports nothing heavy."""

from __future__ import annotations

import re

from mmsearch.errors import UsageError


def require_device(name: str | None) -> None:
    """Raises UsageError for what no device is called; whether there is one, torch knows."""
    if name is not None and re.fullmatch(r"(cpu|cuda|mps)(:[0-9]+)?", name) is None:
        raise UsageError(
            f"no device is called {name!r}: name cpu, cuda, cuda:1 or mps, or none at all for the "
            "best one there"
        )
