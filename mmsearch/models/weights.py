"""Read model weights whose matrices may be stored as int8 rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SCALE_SUFFIX = ".scale"


def load_state(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file into a state dict that any model can load.

    A tensor `NAME` of int8, shape (rows, ...), that has a companion `NAME.scale`, shape (rows,),
    comes back as
    float32 `NAME * scale`. Other floating tensors come back as float32; integer tensors as they
    are.
    """
    from safetensors.torch import load_file

    return dequantise(load_file(str(path)))


def dequantise(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Undo `mmsearch.training.quantise.quantise_state`; see `load_state` for the layout."""
    import torch

    state: dict[str, torch.Tensor] = {}
    for name, tensor in stored.items():
        if name.endswith(SCALE_SUFFIX) and name.removesuffix(SCALE_SUFFIX) in stored:
            continue
        scale = stored.get(name + SCALE_SUFFIX)
        if scale is not None and tensor.dtype == torch.int8:
            column = scale.float().reshape(-1, *[1] * (tensor.dim() - 1))
            state[name] = tensor.float().mul_(column)
        elif tensor.is_floating_point():
            state[name] = tensor.float()
        else:
            state[name] = tensor
    return state
