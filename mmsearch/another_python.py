"""Python in a process of its own, with the modules that there are here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

_SAME_MODULES = "import json, sys\nsys.path[:] = json.loads(sys.argv.pop(1))\n"


def command(code: str, *arguments: str) -> list[str]:
    """What starts a Python that runs `code`, with `arguments` behind sys.argv[0].

    Modules are found as here, wherever the current folder is by now.
    """
    modules = [*filter(None, map(str, sys.path)), str(Path(__file__).parents[1])]
    return [sys.executable, "-P", "-c", _SAME_MODULES + code, json.dumps(modules), *arguments]
