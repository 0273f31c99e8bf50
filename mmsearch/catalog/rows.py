"""Which rows of the vector file stand for which items."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog.catalog import Catalog

if TYPE_CHECKING:
    from mmsearch.types import Ids, Modality


def live_rows(catalog: Catalog, fingerprint: str, modality: Modality) -> tuple[Ids, Ids]:
    """Ids, ascending, and vector rows, (n,) int64 each, of all items with such a vector."""
    parts = [
        np.fromiter(chain.from_iterable(chunk), np.int64)
        for chunk in catalog.vector_rows(modality, fingerprint)
    ]
    return _columns(np.concatenate([np.empty(0, np.int64), *parts]))


def live(chunk: Iterable[tuple[int, int | None]]) -> tuple[Ids, Ids]:
    """Ids and rows, (n,) each, of the items of a chunk of changes that can be found."""
    pairs = np.array([(item, row) for item, row in chunk if row is not None], np.int64)
    return _columns(pairs)


def _columns(pairs: Ids) -> tuple[Ids, Ids]:
    ids, rows = pairs.reshape(-1, 2).T
    return np.ascontiguousarray(ids), np.ascontiguousarray(rows)
