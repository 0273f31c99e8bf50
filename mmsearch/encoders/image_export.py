"""The image tower of an open_clip model in the form that ONNX Runtime reads.

A folder with it is an `image_tower.ImageTower`: the graph, and in a file of its own what has to be
known of the model beside it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.durable import replacing
from mmsearch.encoders.image_head import split_tower
from mmsearch.encoders.preprocess import Preprocess

if TYPE_CHECKING:
    import torch

    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder

FORMAT = 1
SETTINGS = "image.json"
GRAPH = "image.onnx"
_OPSET = 17


def whole_tower(encoder: OpenClipEncoder, *, pooled: bool = False) -> torch.nn.Module:
    """(n, h, w, 3) uint8 pictures in, (n, d) unit rows out, fp32; normalisation is part of it.

    With `pooled` also the (n, p) features that the last projection turns into them, where the
    architecture has such.
    """
    import torch

    parts = split_tower(encoder.visual) if pooled else None

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual: Any = encoder.visual

        def forward(self, pixels: torch.Tensor) -> Any:
            batch = encoder.standardised(pixels)
            if parts is None:
                features = self.visual(batch)
                features = features[0] if isinstance(features, tuple) else features
                return torch.nn.functional.normalize(features, dim=-1)
            trunk, projection = parts
            before = trunk(batch)
            return torch.nn.functional.normalize(projection(before), dim=-1), before

    return Whole().eval()


def write_settings(encoder: OpenClipEncoder, folder: Path) -> None:
    """Write what an ImageTower reads beside its graph. Raises OSError."""
    with replacing(folder / SETTINGS, alone=False) as new:
        new.write_text(_settings(encoder), encoding="utf-8")


def is_described(encoder: OpenClipEncoder, folder: Path) -> bool:
    """Whether `write_settings` has written there."""
    try:
        return (folder / SETTINGS).read_text(encoding="utf-8") == _settings(encoder)
    except (OSError, ValueError):
        return False


def _settings(encoder: OpenClipEncoder) -> str:
    settings = {
        "format": FORMAT,
        "fingerprint": encoder.fingerprint,
        "preprocess": asdict(Preprocess.from_cfg(encoder.preprocess_cfg)),
    }
    return json.dumps(settings, indent=1)


def to_onnx(encoder: OpenClipEncoder, path: Path, *, pooled: bool = False) -> None:
    """Write `whole_tower`; its outputs are called rows and pooled. Raises nearly anything for a
    layer that the exporter does not know."""
    import torch

    names = ["rows", "pooled"] if pooled and encoder.has_pooled_features else ["rows"]
    height, width = encoder.input_size
    example = torch.zeros((2, height, width, 3), dtype=torch.uint8)
    fast = torch.backends.mha.get_fastpath_enabled()
    # The fused attention of inference mode has no form in ONNX.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        torch.onnx.export(
            whole_tower(encoder, pooled=pooled),
            (example,),
            str(path),
            input_names=["pixels"],
            output_names=names,
            dynamic_axes={name: {0: "n"} for name in ("pixels", *names)},
            opset_version=_OPSET,
            dynamo=False,  # the newer exporter needs one more package and does nothing better here
        )
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
