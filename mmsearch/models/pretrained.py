"""The pretrained models that open_clip knows by name, listed by a short process of its own.

open_clip brings torch along: seconds, and 300 MB that a server would never get rid of.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
import threading
from types import ModuleType
from typing import Any, NamedTuple

from mmsearch import another_python
from mmsearch.errors import ModelError

TIMEOUT_S = 120.0  # 0.5 s where nothing else runs, 5 s should it have to import all of open_clip

_START = "from mmsearch.models.pretrained import main; main()"
_ALONE = "open_clip_without_torch"

_listing = threading.Lock()
_listed: list[Pretrained] = []


class Pretrained(NamedTuple):
    """`hub`: where its weights are on the Hugging Face hub, OWNER/NAME/FILE; "" if nowhere."""

    architecture: str
    tag: str
    hub: str


def pretrained() -> list[Pretrained]:
    """All of them in open_clip's order; the first call takes half a second. Raises ModelError."""
    with _listing:
        if not _listed:
            _listed.extend(_of_a_process())
        return list(_listed)


def _of_a_process() -> list[Pretrained]:
    try:
        ended = subprocess.run(
            another_python.command(_START),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"the models that open_clip knows were not listed within {TIMEOUT_S:.0f} s: ask again "
            "when the machine has less to do"
        ) from error
    except OSError:  # no executable (Python in another program), or no more processes
        return _known()
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or [f"status {ended.returncode}"]
        raise ModelError(f"the models that open_clip knows cannot be listed: {said[-1]}")
    # The last line: anything may be printed while Python starts.
    return [Pretrained(*one) for one in json.loads(ended.stdout.splitlines()[-1])]


def main() -> None:
    """The process: a JSON list of what Pretrained is made of."""
    sys.stdout.write(json.dumps(_known(_names_alone())))


def _known(names: Any = None) -> list[Pretrained]:
    """What `names` tells: `open_clip.pretrained`, or that module under another name."""
    if names is None:
        from mmsearch.encoders.torchvision_shim import import_open_clip

        names = import_open_clip().pretrained
    return [
        Pretrained(architecture, tag, names.get_pretrained_cfg(architecture, tag)["hf_hub"])
        for architecture, tag in names.list_pretrained()
    ]


def _names_alone() -> ModuleType | None:
    """`open_clip.pretrained` without the package around it, which imports torch for seconds; None
    if this open_clip has no such module that stands alone."""
    found = importlib.util.find_spec("open_clip")
    package = ModuleType(_ALONE)
    package.__path__ = list((found and found.submodule_search_locations) or ())
    sys.modules[_ALONE] = package
    # It is only looked whether that one is there, and it brings torch.
    sys.modules["safetensors.torch"] = None  # type: ignore[assignment]  # what Python documents
    try:
        return importlib.import_module(f"{_ALONE}.pretrained")
    except (ImportError, AttributeError):
        del sys.modules["safetensors.torch"]
        return None
