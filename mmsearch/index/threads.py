"""How many threads FAISS searches with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import faiss

# More threads are in the way of NumPy's, which look for work a while after the last product: a
# query over 128 lists of a million took 8 ms in place of 3.6. And where other work has a processor,
# all wait for the one that stands behind it: an exact query of 2.5 ms took 25 (2026-11).
QUERIES_PER_THREAD = 8


@contextmanager
def threads_for(queries: int) -> Iterator[None]:
    """As many as so many queries are worth in the block, for the caller's thread alone."""
    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(max(1, min(usual, queries // QUERIES_PER_THREAD)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(usual)
