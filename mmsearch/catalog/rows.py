"""Which rows of the vector file stand for which items."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog.catalog import Catalog

if TYPE_CHECKING:
    from mmsearch.types import Ids, Modality


def live_rows(catalog: Catalog, fingerprint: str, modality: Modality) -> tuple[Ids, Ids]:
    """Ids, ascending, and vector rows, (n,) int64 each, of all items with such a vector."""
    parts = [live(chunk) for chunk in catalog.changes(0, modality, fingerprint)]
    none = np.empty(0, np.int64)
    ids = np.concatenate([none, *(ids for ids, _ in parts)])
    rows = np.concatenate([none, *(rows for _, rows in parts)])
    return ids, rows


def live(chunk: Iterable[tuple[int, int | None]]) -> tuple[Ids, Ids]:
    """Ids and rows, (n,) each, of the items of a chunk of changes that can be found."""
    pairs = np.array([(item, row) for item, row in chunk if row is not None], np.int64)
    ids, rows = pairs.reshape(-1, 2).T
    return np.ascontiguousarray(ids), np.ascontiguousarray(rows)
