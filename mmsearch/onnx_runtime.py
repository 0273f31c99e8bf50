"""ONNX Runtime, which may not be installed (`mmsearch[int8]`): whether it is, and its sessions."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

_NEEDED = ("onnx", "onnxruntime")


def absent() -> list[str]:
    """The packages that are missing for it."""
    return [name for name in _NEEDED if find_spec(name) is None]


def session(model: str | bytes) -> Any:
    """An InferenceSession of a model, a file's path or its bytes; it computes in its caller's
    thread, and may be asked in any number of them at once."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
