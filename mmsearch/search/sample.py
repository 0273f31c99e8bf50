"""Queries as users may ask them, to measure an index with."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.index.build import Sample, spaced
from mmsearch.search.bank import TYPICAL_QUERIES

if TYPE_CHECKING:
    from mmsearch.catalog.catalog import Catalog
    from mmsearch.catalog.records import EncoderInfo
    from mmsearch.catalog.vectors import VectorFile
    from mmsearch.types import Ids, Modality, TextEncoder, Vectors

SAMPLE = 128  # queries of each modality

log = logging.getLogger("mmsearch")


def sample_queries(
    catalog: Catalog,
    info: EncoderInfo,
    vectors: VectorFile,
    modality: Modality,
    rows: Ids,
    text_tower: TextEncoder | None,
) -> Sample:
    """Some of the index's own vectors, of those of the other modality, if any, and typical words.

    A text among pictures lies outside their distribution, where an index loses most: one of lists
    that was measured with pictures alone found 0.75 of what texts have nearest in place of 0.995,
    of a million pictures (`mini`, 2026-11). Of the other modality the oldest items are taken:
    reading one part of the catalog and not all of it.

    `text_tower` is one that is at hand; None leaves the words out, for what a query does beside its
    answer must neither load a model nor fetch one.
    """
    groups = [vectors.read(spaced(rows, SAMPLE))]
    other: Modality = "text" if modality == "image" else "image"
    if oldest := next(catalog.vector_rows(other, info.fingerprint), None):
        others = np.array([row for _, row in oldest], np.int64)
        groups.append(vectors.read(spaced(others, SAMPLE)))
    if text_tower is not None:
        words = _encoded(text_tower)
        if words is not None:
            groups.append(words)
    return Sample(tuple(groups))


def _encoded(tower: TextEncoder) -> Vectors | None:
    """(n, d) float32 unit rows of typical words; None where they are nothing of the kind."""
    try:
        rows = np.asarray(tower.encode_texts(TYPICAL_QUERIES), np.float32)
    except Exception as error:  # noqa: BLE001  an encoder of the user's may raise anything
        log.warning("an index is not measured with typical words: %r", error)
        return None
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    if rows.shape != (len(TYPICAL_QUERIES), tower.dim) or not (norms > 0).all():
        log.warning("an index is not measured with typical words: their rows are no vectors")
        return None
    unit: Vectors = rows / norms
    return unit
