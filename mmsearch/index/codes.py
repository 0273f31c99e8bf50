"""One-bit codes of vectors, made in several threads, and the FAISS index that is searched.

FAISS would find each vector's list itself, by its own matrix product (see centroids.py); its plain
layout, and no other, takes codes that were made elsewhere. So that is filled, and turned into the
layout of FastScan at the end, which is read twice as fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from mmsearch.index.centroids import Nearest, k_means

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids, Vectors

    Bytes = npt.NDArray[np.uint8]

QUERY_BITS = 8  # of a number of the query, as FAISS takes them for FastScan


class Codes:
    """Codes of rotated vectors, in `lists` lists around the centroids of `turned` (n, d).

    Lists are chosen by distance: by inner product some would be near to everything (recall 0.88 in
    place of 0.99, 2026-11).
    """

    def __init__(self, lists: int, turned: Vectors) -> None:
        dim = turned.shape[1]
        centroids = turned.mean(axis=0, keepdims=True) if lists == 1 else k_means(turned, lists)
        self._nearest = Nearest(centroids)
        self._quantizer = faiss.IndexFlatL2(dim)
        self._quantizer.add(centroids)
        metric = faiss.METRIC_INNER_PRODUCT
        self._plain = faiss.IndexIVFRaBitQ(self._quantizer, dim, lists, metric)
        self._plain.train(turned[:lists])  # which only looks whether there are centroids

    def encode(self, turned: Vectors) -> Bytes:
        """(n, bytes of a code) for `add`, of rotated vectors (n, d). Threads may do it at once."""
        faiss.omp_set_num_threads(1)  # of this thread alone: the others are at work
        turned = np.ascontiguousarray(turned)
        lists = self._nearest(turned)
        codes = np.empty((len(turned), self._plain.sa_code_size()), np.uint8)
        pointers = [faiss.swig_ptr(array) for array in (turned, lists, codes)]
        self._plain.encode_vectors(len(turned), *pointers, True)
        return codes

    def add(self, ids: Ids, codes: Bytes) -> None:
        self._plain.add_sa_codes(codes, np.ascontiguousarray(ids, np.int64))

    def searchable(self) -> Any:
        """An IndexIVFRaBitQFastScan of the codes added, on its own."""
        codes = faiss.IndexIVFRaBitQFastScan(self._plain)
        codes.qb = QUERY_BITS
        codes.referenced_objects = [self._quantizer]  # and not the plain codes, a copy of these
        return codes
