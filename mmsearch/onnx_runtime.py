"""ONNX Runtime: whether it is there, and its sessions."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

_NEEDED = ("onnx", "onnxruntime")


def absent() -> list[str]:
    """The packages that are missing for it."""
    return [name for name in _NEEDED if find_spec(name) is None]


def session(model: str | bytes, *, prepack: bool = True) -> Any:
    """An InferenceSession of a model, a file's path or its bytes; it computes in its caller's
    thread, and may be asked in any number of them at once.

    Without `prepack` it is there several times as soon, and computes a quarter longer.
    """
    options = _options()
    if not prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    return _open(model, options)


def write_optimised(model: Path, target: Path) -> None:
    """Write what an InferenceSession makes of a model, for any processor; its weights beside it, in
    a file that sessions map. Raises what ONNX Runtime raises, which has no common base."""
    import onnxruntime

    options = _options()
    # Those beyond it suit this very processor; every session adds them.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    for name, value in (("file_name", f"{target.name}.weights"), ("min_size_in_bytes", "1024")):
        entry = f"session.optimized_model_external_initializers_{name}"
        options.add_session_config_entry(entry, value)
    _open(str(model), options)


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised as well
    return options


def _open(model: str | bytes, options: Any) -> Any:
    import onnxruntime

    # Its fallback is the same once more, with a note on stdout.
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
