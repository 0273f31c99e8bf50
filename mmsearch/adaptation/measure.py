"""How well held-out texts find their pictures, and how far the texts have moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mmsearch.adaptation.examples import Examples, Side
    from mmsearch.adaptation.features import Floats

_ROWS = 1024  # queries ranked at a time


@dataclass(frozen=True)
class Measures:
    """hit@k: the share of queries with a right answer among the first k (the "R@k" of CLIP papers).
    MRR: the mean of 1 / rank of the first right answer.

    Texts ask for the held-out pictures, pictures for the held-out texts. Ties count against the
    model: an answer of equal score counts as better than the right one.
    """

    text_to_image_hit_1: float
    text_to_image_hit_10: float
    image_to_text_hit_1: float
    image_to_text_hit_10: float
    text_to_image_mrr: float
    image_to_text_mrr: float
    texts: int
    pictures: int

    @property
    def score(self) -> float:
        """What early stopping looks at: the MRR of both directions, which moves with every rank
        where hit@k of a few pictures stands still."""
        return (self.text_to_image_mrr + self.image_to_text_mrr) / 2


def measure(side: Side, images: Floats, texts: Floats) -> Measures:
    """Rank the pictures and texts of `side`: images (n, d) and texts (m, d) are all unit rows."""
    image_rows, text_rows = np.unique(side.images), np.unique(side.texts)
    right = np.zeros((len(image_rows), len(text_rows)), bool)
    right[np.searchsorted(image_rows, side.images), np.searchsorted(text_rows, side.texts)] = True
    gallery, queries = images[image_rows], texts[text_rows]
    by_text = _best_ranks(queries, gallery, right.T)
    by_image = _best_ranks(gallery, queries, right)
    return Measures(
        text_to_image_hit_1=_share(by_text, 1),
        text_to_image_hit_10=_share(by_text, 10),
        image_to_text_hit_1=_share(by_image, 1),
        image_to_text_hit_10=_share(by_image, 10),
        text_to_image_mrr=float((1 / by_text).mean()),
        image_to_text_mrr=float((1 / by_image).mean()),
        texts=len(queries),
        pictures=len(gallery),
    )


def text_geometry_change(before: Floats, after: Floats) -> float:
    """Mean absolute change of the cosine between two different texts, in [0, 2].

    before, after: (m, d) unit rows of the same texts; at most the first 1,000 are compared.
    """
    old, new = before[:1000], after[:1000]
    above = np.triu_indices(len(old), 1)
    return float(np.abs((new @ new.T) - (old @ old.T))[above].mean()) if len(old) > 1 else 0.0


def base_measures(examples: Examples) -> Measures:
    return measure(examples.held_out, examples.images, examples.texts)


def _best_ranks(
    queries: Floats, gallery: Floats, right: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(q,) rank from 1 of each query's best right answer. right: (q, g)."""
    ranks = []
    for start in range(0, len(queries), _ROWS):
        part = slice(start, start + _ROWS)
        scores = queries[part] @ gallery.T  # (b, g)
        best = np.where(right[part], scores, -np.inf).max(axis=1, keepdims=True)
        ranks.append(1 + ((scores >= best) & ~right[part]).sum(axis=1))
    return np.concatenate(ranks)


def _share(ranks: np.ndarray[tuple[int], np.dtype[np.int64]], k: int) -> float:
    return float((ranks <= k).mean())
