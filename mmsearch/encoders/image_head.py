"""Take an image tower apart: the trunk that pools a picture, and the projection on top of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    Stage = Callable[[torch.Tensor], torch.Tensor]


def split_tower(visual: Any) -> tuple[Stage, Stage] | None:
    """(trunk, projection) such that projection(trunk(x)) is visual(x); None where there is none.

    The trunk's features (n, p) are what linear probes of CLIP read (Radford et al. 2021, 3.2).
    Known are open_clip's timm towers with a projection of their own and its VisionTransformer;
    other towers, and timm's attention pools (SigLIP), end in their embedding.
    """
    kind = type(visual).__name__
    if kind == "TimmModel":
        return (visual.trunk, visual.head) if any(True for _ in visual.head.parameters()) else None
    if kind != "VisionTransformer" or visual.proj is None or visual.output_tokens:
        return None
    trunk = copy.copy(visual)
    # A shallow copy shares its parameters' dict, where `proj` has to be absent for the trunk only.
    trunk._parameters = {**visual._parameters, "proj": None}
    return trunk, lambda pooled: pooled @ visual.proj
