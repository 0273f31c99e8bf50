"""The contrastive loss, for pictures with several right captions and captions with several right
pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def positives(owned: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
    """Which caption describes which picture: a (n, m) mask.

    owned: (n, c) ids of each picture's captions, padded with -1. captions: (m,) ids of the
    captions in the batch.
    Two pictures that share the caption "red dress" are both right for it.
    """
    return (owned[:, :, None] == captions[None, None, :]).any(dim=1)


def symmetric_contrastive(
    images: torch.Tensor, texts: torch.Tensor, positive: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Mean of both directions' cross entropy against a target spread evenly over the positives.

    images: (n, d) and texts: (m, d), unit rows. positive: (n, m) mask with a true entry in every
    row and column.
    With one positive each it is CLIP's loss (Radford et al. 2021); with several, SupCon's L_out
    (Khosla et al. 2020, eq. 2).
    """
    logits = scale * images @ texts.T  # (n, m)
    target = positive.to(logits.dtype)
    by_image = -(logits.log_softmax(dim=1) * target).sum(dim=1) / target.sum(dim=1)
    by_text = -(logits.log_softmax(dim=0) * target).sum(dim=0) / target.sum(dim=0)
    return (by_image.mean() + by_text.mean()) / 2
