"""The contrastive loss, for pictures with several right captions and captions with several right
pictures, and what keeps a trained embedding near the one it started from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MAX_LOG_SCALE = math.log(100)  # CLIP's bound on the inverse temperature (Radford et al. 2021, 2.5)


def positives(owned: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
    """Which caption describes which picture: a (n, m) mask.

    owned: (n, c) ids of each picture's captions, padded with -1. captions: (m,) ids of the
    captions in the batch.
    Two pictures that share the caption "red dress" are both right for it.
    """
    return (owned[:, :, None] == captions[None, None, :]).any(dim=1)


def symmetric_contrastive(
    images: torch.Tensor,
    texts: torch.Tensor,
    positive: torch.Tensor,
    scale: torch.Tensor,
    *,
    image_weights: torch.Tensor | None = None,
    text_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean of both directions' cross entropy against a target spread over the positives.

    images: (n, d) and texts: (m, d), unit rows. positive: (n, m) mask, or nonnegative shares, with
    a positive entry in every row; a row's target is proportional to its entries. A text without a
    positive is a negative of every image, and no row of the mean over texts.
    image_weights: (n,) and text_weights: (m,) weigh the rows and the columns of the mean, as
    clicks do; None counts each once.
    With one positive each it is CLIP's loss (Radford et al. 2021); with several, SupCon's L_out
    (Khosla et al. 2020, eq. 2).
    """
    logits = scale * images @ texts.T  # (n, m)
    target = positive.to(logits.dtype)
    by_image = -(logits.log_softmax(dim=1) * target).sum(dim=1) / target.sum(dim=1)  # (n,)
    owned = target.sum(dim=0) > 0
    by_text = -(logits.log_softmax(dim=0) * target).sum(dim=0)[owned]  # (owned texts,)
    by_text = by_text / target.sum(dim=0)[owned]
    if text_weights is not None:
        text_weights = text_weights[owned]
    return (_mean(by_image, image_weights) + _mean(by_text, text_weights)) / 2


def drift(rows: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """Mean of 1 - cosine between each row and the one it started from: (n, d) unit rows each.

    Added to a loss it pulls towards the starting point, as L2-SP does in weight space (Li,
    Grandvalet & Davoine 2018, arXiv 1802.01483).
    """
    return 1 - (rows * base).sum(dim=1).mean()


def _mean(values: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    return values.mean() if weights is None else (values * weights).sum() / weights.sum()
