"""Codes of vectors in lists around centroids, and the FAISS index of them that is searched.

FAISS would find each vector's list itself, by its own matrix product (see centroids.py); its plain
layout, and no other, takes codes that were made elsewhere. So that is filled, and turned into the
layout of FastScan at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from mmsearch.index.centroids import Nearest, half_squares, k_means
from mmsearch.index.quantizer import BITS, GROUP, Quantizer

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids, Vectors

    Bytes = npt.NDArray[np.uint8]


class Codes:
    """Codes in `lists` lists; what they are like is learned from `training` (n, d) and from the
    queries `asked` (see Quantizer).

    Lists are chosen by distance: by inner product some would be near to everything (recall 0.88 in
    place of 0.99, 2026-11).
    """

    def __init__(self, lists: int, training: Vectors, asked: Sequence[Vectors]) -> None:
        centroids = training.mean(axis=0, keepdims=True) if lists == 1 else k_means(training, lists)
        residuals = training - centroids[Nearest(centroids)(training)]
        self._quantizer = Quantizer(residuals, asked)
        self.axes = self._quantizer.axes  # (d, D) float32
        self._centroids = centroids @ self.axes
        self._nearest = Nearest(self._centroids)
        dim = self.axes.shape[1]
        self._coarse = faiss.IndexFlatL2(dim)
        self._coarse.add(self._centroids)
        metric = faiss.METRIC_INNER_PRODUCT
        self._plain = faiss.IndexIVFPQ(self._coarse, dim, lists, dim // GROUP, BITS, metric)
        faiss.copy_array_to_vector(self._quantizer.codebooks.ravel(), self._plain.pq.centroids)
        self._plain.is_trained = True

    def encode(self, vectors: Vectors) -> Bytes:
        """(n, bytes of a code) for `add`, of vectors (n, d). Threads may do it at once."""
        turned = vectors @ self.axes
        lists = self._nearest(turned)
        turned -= self._centroids[lists]
        codes = self._quantizer.encode(turned)
        # FAISS's form: the list's number, in as few bytes as hold it, least first; then the code.
        numbers = lists.astype("<i8").view(np.uint8).reshape(-1, 8)
        return np.hstack([numbers[:, : self._plain.coarse_code_size()], codes])

    def add(self, ids: Ids, codes: Bytes) -> None:
        self._plain.add_sa_codes(codes, np.ascontiguousarray(ids, np.int64))

    def searchable(self) -> Any:
        """An IndexIVFPQFastScan of the codes added, on its own."""
        codes = faiss.IndexIVFPQFastScan(self._plain)
        codes.referenced_objects = [self._coarse]  # and not the plain codes, a copy of these
        return codes


def without_lists(centroids: Vectors, codebooks: Vectors) -> Any:
    """An IndexIVFPQFastScan of nothing, around centroids (m, D): see Quantizer.codebooks."""
    dim = centroids.shape[1]
    coarse = faiss.IndexFlatL2(dim)
    coarse.add(np.ascontiguousarray(centroids))
    metric = faiss.METRIC_INNER_PRODUCT
    codes = faiss.IndexIVFPQFastScan(coarse, dim, len(centroids), dim // GROUP, BITS, metric)
    faiss.copy_array_to_vector(np.ascontiguousarray(codebooks).ravel(), codes.pq.centroids)
    codes.is_trained = codes.by_residual = True
    codes.referenced_objects = [coarse]
    return codes


def centroids_of(codes: Any) -> Vectors:
    """(m, D) float32, a view."""
    coarse = faiss.downcast_index(codes.quantizer)
    flat: Vectors = faiss.rev_swig_ptr(coarse.get_xb(), codes.nlist * codes.d)
    return flat.reshape(codes.nlist, codes.d)


def codebooks_of(codes: Any) -> Vectors:
    """(D / GROUP, 2^BITS, GROUP) float32."""
    books: Vectors = faiss.vector_to_array(codes.pq.centroids)
    return books.reshape(codes.pq.M, -1, GROUP)


class Probe:
    """Searches an IndexIVFPQFastScan in the lists nearest to each query."""

    def __init__(self, codes: Any) -> None:
        self._codes = codes
        self._centroids = centroids_of(codes)
        self._half = half_squares(self._centroids)

    def __call__(self, turned: Vectors, depth: int, probes: int, selector: Any = None) -> Ids:
        """(n, depth) ids by their estimated scores, best first; -1 where the lists hold less.

        `turned` (n, D) are queries times the axes; `selector` picks ids.
        """
        parameters = faiss.IVFSearchParameters()
        parameters.nprobe = probes = min(probes, self._codes.nlist)
        if selector is not None:
            parameters.sel = selector
        # The nearest by distance; FAISS adds their inner products to its estimates.
        products = turned @ self._centroids.T
        lists = np.argpartition(products - self._half, -probes, axis=1)[:, -probes:]
        scores = products[np.arange(len(products))[:, None], lists]
        found = np.empty((len(turned), depth), np.int64)
        estimates = np.empty(found.shape, np.float32)
        # The wrapper of FAISS for Python passes no parameters on.
        arrays = [np.ascontiguousarray(array) for array in (turned, lists, scores)]
        queries, lists, scores = map(faiss.swig_ptr, arrays)
        self._codes.search_preassigned_c(
            len(turned),
            queries,
            depth,
            lists,
            scores,
            faiss.swig_ptr(estimates),
            faiss.swig_ptr(found),
            False,
            parameters,
        )
        return found
