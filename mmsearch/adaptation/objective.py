"""What an adapter and end-to-end tuning have in common: batches, loss and plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mmsearch.training.losses import drift, symmetric_contrastive
from mmsearch.training.optimise import Plan

if TYPE_CHECKING:
    import torch

    from mmsearch.adaptation.examples import Side


class Schedule(Protocol):
    """What either recipe says of its run."""

    @property
    def steps(self) -> int: ...
    @property
    def warmup(self) -> int: ...
    @property
    def ema(self) -> float: ...
    @property
    def validate_every(self) -> int: ...
    @property
    def patience(self) -> int: ...
    @property
    def early_stop(self) -> bool: ...


def plan_of(recipe: Schedule, checkpoint_every: int = Plan.checkpoint_every) -> Plan:
    return Plan(
        steps=recipe.steps,
        warmup=recipe.warmup,
        ema=recipe.ema,
        validate_every=recipe.validate_every,
        patience=recipe.patience if recipe.early_stop else 0,
        keep_best=recipe.early_stop,
        checkpoint_every=checkpoint_every,
    )


@dataclass(frozen=True)
class Batch:
    """Image rows (n,), text rows (m,), positives (n, m), image weights (n,), text weights (m,)."""

    images: torch.Tensor
    texts: torch.Tensor
    positive: torch.Tensor
    image_weights: torch.Tensor
    text_weights: torch.Tensor


def loss_of(
    batch: Batch,
    images: torch.Tensor,
    texts: torch.Tensor,
    scale: torch.Tensor,
    base_images: torch.Tensor,
    base_texts: torch.Tensor,
    keep: float,
) -> torch.Tensor:
    """The contrastive loss of (n, d) and (m, d) unit rows, and `keep` times how far they have
    moved from those of the base."""
    device = images.device
    matched = symmetric_contrastive(
        images,
        texts,
        batch.positive.to(device),
        scale,
        image_weights=batch.image_weights.to(device),
        text_weights=batch.text_weights.to(device),
    )
    return matched + keep * (drift(images, base_images) + drift(texts, base_texts))


class Batches:
    """Draws pairs of one side: distinct pictures, distinct texts, and who belongs to whom."""

    def __init__(self, side: Side, size: int) -> None:
        import torch

        self._side, self._size = side, size
        width = int(side.texts.max()) + 1
        self._codes = np.sort(side.images * width + side.texts)
        self._width = width
        self._torch = torch

    def draw(self, random: np.random.Generator) -> Batch:
        """Rows that were drawn.

        A pair that was not drawn, but both of whose ends were, is a positive as well. A row's
        weight is the sum over the drawn pairs that it is in.
        """
        side = self._side
        count = min(self._size, len(side.images))
        chosen = random.choice(len(side.images), count, replace=False)
        images, at_image = np.unique(side.images[chosen], return_inverse=True)
        texts, at_text = np.unique(side.texts[chosen], return_inverse=True)
        codes = images[:, None] * self._width + texts[None, :]  # (n, m)
        places = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        positive = self._codes[places] == codes
        weights = side.weights[chosen]
        as_tensor = self._torch.from_numpy
        return Batch(
            as_tensor(images),
            as_tensor(texts),
            as_tensor(positive),
            as_tensor(np.bincount(at_image, weights, len(images)).astype(np.float32)),
            as_tensor(np.bincount(at_text, weights, len(texts)).astype(np.float32)),
        )
