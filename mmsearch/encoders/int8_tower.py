"""An image tower with its matrices in int8, run by ONNX Runtime.

Weights are quantised once, per output channel; what flows between the layers is quantised as it
comes, one scale a tensor ("dynamic"), so that no pictures are needed to calibrate. Convolutions
stay fp32: their dynamic form gains nothing. It is kept in the user's cache, where queries by
picture read it without torch (image_tower.py).
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch import onnx_runtime
from mmsearch.encoders.image_export import GRAPH, is_described, to_onnx, write_settings
from mmsearch.encoders.kept_tower import cache_folder, staged
from mmsearch.encoders.precision import Trial, cpu_name, has_int8_products
from mmsearch.encoders.silence import quiet
from mmsearch.errors import ModelError

if TYPE_CHECKING:
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder
    from mmsearch.types import Pixels, Vectors

# Raise it when the steps below begin to give other vectors.
_RECIPE = "dynamic-1"


def missing() -> str | None:
    """Why int8 cannot be had in this installation; None if it can."""
    absent = onnx_runtime.absent()
    if not absent:
        return None
    return f"int8 needs {' and '.join(absent)}: pip install {' '.join(absent)}"


class Int8Tower:
    """The image tower of `encoder`, exported on first use. Safe in any number of threads.

    `trial` is what it showed on this CPU before, None before its first one.
    Raises ModelError if it cannot be exported or kept.
    """

    def __init__(self, encoder: OpenClipEncoder) -> None:
        folder = int8_folder(encoder.fingerprint)
        self._session = _session(encoder, folder)  # threads: lanes.py
        if not is_described(encoder, folder):
            with suppress(OSError):
                write_settings(encoder, folder)
        self._trial_file = folder / "trial.json"
        self.trial = _read_trial(self._trial_file)

    def __call__(self, pixels: Pixels) -> Vectors:
        """(n, h, w, 3) uint8 -> (n, d) float32 unit rows."""
        rows: Vectors = self._session.run(["rows"], {"pixels": pixels})[0]
        return rows

    def keep(self, trial: Trial) -> None:
        """Remember what a trial showed; a cache that cannot be written only costs another one."""
        self.trial = trial
        staging = self._trial_file.with_suffix(f".{os.getpid()}")
        try:
            staging.write_text(json.dumps(asdict(trial)), encoding="utf-8")
            os.replace(staging, self._trial_file)
        except OSError:
            staging.unlink(missing_ok=True)


def int8_folder(fingerprint: str) -> Path:
    """Where the tower of this fingerprint is kept for this CPU."""
    return cache_folder() / "int8" / f"{fingerprint}-{recipe()}"


def recipe() -> str:
    """What, beside the model, decides what the tower computes.

    Without VNNI, x86 adds pairs of int8 products in 16 bits, which overflow unless the weights
    have 7 bits only.
    """
    return f"{_RECIPE}-{8 if has_int8_products() else 7}bit"


def _read_trial(path: Path) -> Trial | None:
    try:
        trial = Trial(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return trial if trial.cpu == cpu_name() else None


def _session(encoder: OpenClipEncoder, folder: Path) -> Any:
    """ONNX Runtime's session of the tower in `folder`, which is written if need be."""
    file = folder / GRAPH
    if file.is_file():
        # What a damaged file raises is ONNX Runtime's own and has no common base.
        with suppress(Exception):
            return onnx_runtime.session(str(file))
    try:
        _export(encoder, folder)
        return onnx_runtime.session(str(file))
    except Exception as exc:  # exporters raise nearly anything for a layer that they do not know
        reason = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise ModelError(
            f"model {encoder.name!r}: its image tower cannot be had in int8 ({reason[:200]}); "
            "use --precision fp32"
        ) from exc


def _export(encoder: OpenClipEncoder, folder: Path) -> None:
    """`folder`, complete, or an exception of any kind; never anything in between."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with staged(folder) as staging:
        plain, ready = staging / "plain.onnx", staging / "ready.onnx"
        with quiet():
            to_onnx(encoder, plain)
            quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
            quantize_dynamic(
                str(ready),
                str(staging / GRAPH),
                op_types_to_quantize=["MatMul", "Gemm"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                reduce_range=not has_int8_products(),
            )
        for used in (plain, ready):
            used.unlink()
