"""What a shop says about its own ranking: boosts, decay, pinned and buried items.

Boosts and decays multiply the odds of an item's relevance r:

    logit(r') = logit(r) + sum of log(factor),   logit(r) = log(r / (1 - r))

so that a result stays in [0, 1], a factor of 1 changes nothing, the order of the modifiers does
not matter, and nothing irrelevant becomes relevant by a small push. The JSON form:

    {"boosts": [{"attribute": "brand", "in": ["Nike"], "factor": 2}],
     "decays": [{"attribute": "price", "shape": "gauss", "origin": 50, "scale": 20}],
     "pinned": {"sku-1": 1}, "buried": ["sku-9"]}
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from mmsearch.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.ranking.ranked import Floats

Scalar = str | int | float | bool
Shape = Literal["gauss", "exp", "linear"]
Columns = Mapping[str, Sequence[object]]


@dataclass(frozen=True)
class Boost:
    """Multiply the odds of items whose `attribute` is one of `values` (or holds one, if it is a
    list) by `factor`: above 1 lifts, below 1 lowers."""

    attribute: str
    values: tuple[Scalar, ...]
    factor: float

    def __post_init__(self) -> None:
        if not self.values:
            raise UsageError(f"the boost of {self.attribute!r} names no value")
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise UsageError(
                f"the factor of the boost of {self.attribute!r} must be a number above 0, "
                f"not {self.factor}"
            )

    def factors(self, column: Sequence[object]) -> Floats:
        """(n,) factors. Items without the attribute are left as they are."""
        wanted = {_kinded(value) for value in self.values}
        hit = [
            any(_kinded(one) in wanted for one in (value if isinstance(value, list) else [value]))
            for value in column
        ]
        return np.where(hit, self.factor, 1.0)


@dataclass(frozen=True)
class Decay:
    """Multiply the odds by a number in [0, 1] that falls with the distance from `origin`.

    With t = max(0, |value - origin| - offset), as Elasticsearch's function_score defines them:

        gauss   exp(t^2 ln(decay) / scale^2)
        exp     exp(t ln(decay) / scale)
        linear  max(0, 1 - t (1 - decay) / scale)

    each of them 1 up to `offset` and `decay` at the distance offset + scale. An item whose value is
    missing or no number is left as it is, as there.
    """

    attribute: str
    origin: float
    scale: float
    shape: Shape = "gauss"
    offset: float = 0.0
    decay: float = 0.5

    def __post_init__(self) -> None:
        of = f"of the decay of {self.attribute!r}"
        if self.shape not in get_args(Shape):
            raise UsageError(f"the shape {of} is gauss, exp or linear, not {self.shape!r}")
        if not math.isfinite(self.origin):
            raise UsageError(f"the origin {of} must be a finite number, not {self.origin}")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise UsageError(f"the scale {of} must be a number above 0, not {self.scale}")
        if not (math.isfinite(self.offset) and self.offset >= 0):
            raise UsageError(f"the offset {of} must be a number of at least 0, not {self.offset}")
        if not 0 < self.decay < 1:
            raise UsageError(f"the decay {of} must be between 0 and 1, not {self.decay}")

    def factors(self, column: Sequence[object]) -> Floats:
        """(n,) factors in [0, 1]."""
        numbers = np.array(
            [
                _as_float(value)
                if isinstance(value, int | float) and not isinstance(value, bool)
                else math.nan
                for value in column
            ],
            np.float64,
        )
        t = np.maximum(0.0, np.abs(numbers - self.origin) - self.offset)
        if self.shape == "gauss":
            factors = np.exp((t / self.scale) ** 2 * math.log(self.decay))
        elif self.shape == "exp":
            factors = np.exp(t / self.scale * math.log(self.decay))
        else:
            factors = np.maximum(0.0, 1.0 - t * (1.0 - self.decay) / self.scale)
        return np.where(np.isnan(numbers), 1.0, factors)


@dataclass(frozen=True)
class Modifiers:
    """All of them. `pinned`: key -> its place, counted from 1; `buried`: keys that come last."""

    boosts: tuple[Boost, ...] = ()
    decays: tuple[Decay, ...] = ()
    pinned: Mapping[str, int] = field(default_factory=dict)
    buried: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for key, place in self.pinned.items():
            if place < 1:
                raise UsageError(f"{key!r} is pinned to place {place}: places count from 1")
        if len(set(self.pinned.values())) < len(self.pinned):
            raise UsageError(f"two keys are pinned to one place: {dict(self.pinned)}")
        both = sorted(set(self.pinned) & self.buried)
        if both:
            raise UsageError(f"{both[0]!r} is both pinned and buried: choose one")

    @property
    def _factors(self) -> tuple[Boost | Decay, ...]:
        return (*self.boosts, *self.decays)

    @property
    def attributes(self) -> frozenset[str]:
        """The attributes that `apply` needs."""
        return frozenset(one.attribute for one in self._factors)

    def apply(self, relevance: npt.NDArray[np.floating], columns: Columns) -> Floats:
        """(n,) relevances in [0, 1] after boosts and decays.

        `columns` has a column of n values (None: missing) for each of `attributes`.
        """
        before = np.asarray(relevance, np.float64)
        factor = np.ones(len(before))
        for one in self._factors:
            factor = factor * one.factors(columns[one.attribute])
        # r' = f r / (1 - r + f r): the odds times f. In this form 0 and 1 need no logarithm.
        lifted = factor * before
        total = 1.0 - before + lifted
        return np.divide(lifted, total, out=np.zeros_like(before), where=total > 0)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `modifiers_from_json` reads it back."""
        return {
            "boosts": [
                {"attribute": one.attribute, "in": list(one.values), "factor": one.factor}
                for one in self.boosts
            ],
            "decays": [vars(one).copy() for one in self.decays],
            "pinned": dict(self.pinned),
            "buried": sorted(self.buried),
        }


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _kinded(value: object) -> tuple[str, object] | None:
    """A value with its kind: Python holds True == 1, a shop does not."""
    if isinstance(value, bool):
        return "truth", value
    if isinstance(value, int | float):
        return "number", value
    return ("text", value) if isinstance(value, str) else None
