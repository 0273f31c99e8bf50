"""Import open_clip even where a CPU torch sits beside the registry's CUDA-built torchvision.

Such a torchvision cannot load its binary operators, and its `_meta_registrations` then fails with
"operator torchvision::nms does not exist". open_clip needs none of those operators, so declaring
the two schemas that torchvision registers fakes for is enough. It happens only after that very
error: a healthy pair of packages is left alone.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_BROKEN = "torchvision::nms"

# The schemas live as long as the torch Library that declared them.
_libraries: list[Any] = []


def import_open_clip() -> ModuleType:
    """The open_clip module.

    Raises ImportError where it is not installed, and whatever else the import raises.
    """
    return import_past_missing_operators("open_clip")


def import_past_missing_operators(name: str) -> ModuleType:
    """Module `name`, imported a second time with declared schemas if torchvision's are missing."""
    try:
        return importlib.import_module(name)
    except RuntimeError as exc:
        if _BROKEN not in str(exc) or _libraries:
            raise
    _declare_schemas()
    _forget("torchvision", name)
    return importlib.import_module(name)


def _declare_schemas() -> None:
    import torch

    make: Any = torch.library.Library  # Any: its constructor is not annotated
    library = make("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        library.define(schema)
    _libraries.append(library)


def _forget(*packages: str) -> None:
    """Drop half-imported modules, which would otherwise be found again without their contents."""
    for module in list(sys.modules):
        if module.split(".", 1)[0] in packages:
            del sys.modules[module]
