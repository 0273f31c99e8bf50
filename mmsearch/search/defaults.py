"""What a collection answers with where a query leaves it open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmsearch.types import Modality, Mode, Ranking, Target

# Equal parts; docs/shop.md has what they give beside others.
WEIGHTS: dict[Ranking, float] = {"image": 0.5, "text": 0.5, "lexical": 1.0}


def modalities_of(to: Target) -> tuple[Modality, ...]:
    """Which vectors are compared."""
    # As types.MODALITIES, whose module takes a tenth of a quick query to import.
    return ("image", "text") if to == "both" else (to,)


@dataclass(frozen=True)
class Defaults:
    """What a collection answers with where the query leaves it open."""

    to: Target
    mode: Mode

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Defaults:
        """A shop, most of whose items have a picture and a text, is searched by both and by words;
        texts by meaning and by words; a folder of photos by what they show."""
        both = counts["images"] + counts["texts"] - counts["items"]
        if both and 2 * both >= counts["items"]:
            return cls("both", "hybrid")
        return cls("image", "vector") if counts["images"] else cls("text", "hybrid")
