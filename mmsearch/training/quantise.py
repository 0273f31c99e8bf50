"""Store a state dict small: matrices as int8 rows, the rest as half precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmsearch.models.weights import SCALE_SUFFIX

if TYPE_CHECKING:
    import torch

LEVELS = 127
# A row's scale costs two to four bytes, so only rows clearly longer than that are worth quantising.
MIN_ROW = 64


def quantise_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Quantise the matrices of `state`; `mmsearch.models.weights.dequantise` undoes it.

    Each floating tensor of shape (rows, columns) with at least 64 columns becomes an int8 tensor
    under its own name
    and a float32 `NAME.scale` of shape (rows,), symmetric about zero. Convolutions stay out: they
    are few
    bytes and lose most. Everything else that floats becomes float16, integers pass through.
    """
    stored: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            stored[name] = tensor.contiguous()
        elif tensor.dim() == 2 and tensor.shape[1] >= MIN_ROW:
            stored[name], stored[name + SCALE_SUFFIX] = quantise_rows(tensor)
        else:
            stored[name] = tensor.half().contiguous()
    return stored


def quantise_rows(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Split a (rows, columns) matrix into int8 values of the same shape and float32 scales of
    shape (rows,)."""
    import torch

    matrix = matrix.float()
    scale = matrix.abs().amax(dim=1).clamp_min(1e-12) / LEVELS
    values = (matrix / scale[:, None]).round().clamp_(-LEVELS, LEVELS)
    return values.to(torch.int8).contiguous(), scale
