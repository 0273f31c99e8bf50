"""A stored item as an answer."""

from __future__ import annotations

from typing import Any

from mmsearch.catalog.records import StoredItem
from mmsearch.types import Hit, Modality


def hit_of(rank: int, score: float, item: StoredItem, modality: Modality, **more: Any) -> Hit:
    """`item` as an answer; `more` are further fields of the hit."""
    return Hit(
        rank,
        round(score, 6) + 0.0,  # of -0.0 nobody knows what it means
        item.key,
        modality,
        item.path,
        item.text,
        item.group,
        item.attributes,
        **more,
    )
