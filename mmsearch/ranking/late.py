"""One score for items that have a picture, a text, or both.

Cosines of a text query with pictures and with texts live on different scales, and raw ones must
not be added or compared. Each is first made a standard score against what the same query scores
with that modality in this collection; the standard scores are then combined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.ranking.ranked import Floats
    from mmsearch.types import Vectors


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of one query's scores with items of one modality."""

    mean: float
    deviation: float

    def standard(self, scores: npt.NDArray[np.floating]) -> Floats:
        """(n,) z = (score - mean) / deviation; NaN stays NaN."""
        return (np.asarray(scores, np.float64) - self.mean) / self.deviation


def scale_of(query: Vectors, sample: Vectors) -> Scale:
    """The scale of a query (d,) from a sample (n, d) of the collection's vectors of a modality.

    A few hundred, taken once and kept, are enough: the mean of 500 is good to 4% of a deviation.

    Raises UsageError for fewer than two vectors.
    """
    if len(sample) < 2:
        raise UsageError(f"a scale takes at least 2 vectors of the collection, not {len(sample)}")
    scores = np.asarray(sample @ query, np.float64)
    # Equal items, equal scores: nothing can be told apart, and a score of the mean is a z of 0.
    return Scale(float(scores.mean()), max(float(scores.std()), 1e-6))


@dataclass(frozen=True)
class Weights:
    """How much the two modalities weigh, and how much their standard scores are correlated over
    the items that have both (0: what one says is news to the other).

    The defaults are measured (`benchmarks/late_fusion.py`, 2026-11-25, `mini`, 1,389 products and
    414 attribute queries): nDCG@10 of 0.806 with titles against 0.750 by titles and 0.638 by
    pictures alone, and 0.753 against 0.663 where titles do not name the colour; 0.4 to 0.6 for the
    picture are within 0.008, reciprocal ranks 0.024 to 0.031 below.

    Raises UsageError for a weight below 0, two weights of 0, or a correlation outside [-1, 1].
    """

    image: float = 0.5
    text: float = 0.5
    correlation: float = 0.6

    def __post_init__(self) -> None:
        for name in ("image", "text"):
            weight = getattr(self, name)
            if not (np.isfinite(weight) and weight >= 0):
                raise UsageError(f"the weight of {name}s must be at least 0, not {weight}")
        if not self.image + self.text > 0:
            raise UsageError("one of the weights of images and texts must be above 0")
        if not -1 <= self.correlation <= 1:
            raise UsageError(f"a correlation is between -1 and 1, not {self.correlation}")

    @property
    def deviation(self) -> float:
        """Of the weighted sum of two standard scores."""
        both = 2 * self.image * self.text * self.correlation
        return float(np.sqrt(max(self.image**2 + self.text**2 + both, 1e-12)))


def combine(image: Floats, text: Floats, weights: Weights | None = None) -> Floats:
    """(n,) standard scores of items: of both modalities together, or of the one that there is.

        z = (w_i z_i + w_t z_t) / sqrt(w_i^2 + w_t^2 + 2 w_i w_t rho)

    Stouffer's method (Stouffer et al., "The American Soldier", vol. 1, 1949, page 45), with
    Hartung's correction for dependent scores (Biometrical Journal 41(7), 1999): it has deviation 1
    again, so that items with one modality stand in one ranking with items that have both. A
    modality of weight 0 is ignored, and items that have no other get NaN.

    `image` and `text` (n,) are standard scores (`Scale.standard`), NaN where an item lacks the
    modality. Raises UsageError for arrays of different lengths.
    """
    chosen = weights or Weights()
    if image.shape != text.shape:
        raise UsageError(f"{len(image)} image scores and {len(text)} text scores: one an item each")
    if not chosen.image:
        return np.asarray(text, np.float64)
    if not chosen.text:
        return np.asarray(image, np.float64)
    both = (chosen.image * image + chosen.text * text) / chosen.deviation
    return np.where(np.isnan(text), image, np.where(np.isnan(image), text, both))
