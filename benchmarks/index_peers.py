"""Graphs that others search by, for index_choice.py, and which of them are installed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import faiss
import numpy as np

from mmsearch.catalog.vectors import VectorFile
from mmsearch.index.kinds import threads

PEERS = ("hnsw", "usearch", "hnswlib")
Search = Callable[[np.ndarray, int], np.ndarray]  # (n, d), k -> ids (n, k)


def missing(names: list[str]) -> list[str]:
    return [name for name in names if name != "hnsw" and find_spec(name) is None]


def peers(
    names: list[str], store: VectorFile, size: int
) -> Iterator[tuple[str, str, Search, float]]:
    rows = np.arange(size)
    if "hnsw" in names:
        started = time.perf_counter()
        graph = faiss.IndexHNSWFlat(store.dim, 32, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = 64
        graph.add(store.read(rows))
        built = time.perf_counter() - started
        for ef in (64, 256, 1024):
            parameters = faiss.SearchParametersHNSW(efSearch=ef)
            yield (
                "faiss IndexHNSWFlat",
                f"M=32 ef={ef}",
                lambda q, k, p=parameters: graph.search(q, k, params=p)[1],
                built,
            )
        del graph
    if "usearch" in names:
        from usearch.index import Index

        started = time.perf_counter()
        tree = Index(ndim=store.dim, metric="ip", dtype="f16", expansion_add=64)
        tree.add(rows, store.read(rows), threads=threads())
        built = time.perf_counter() - started
        for ef in (64, 256, 1024):

            def ask(q: np.ndarray, k: int, ef: int = ef) -> np.ndarray:
                tree.expansion_search = ef
                return np.asarray(tree.search(q[0], k).keys, np.int64)[None]

            yield "usearch f16", f"ef={ef}", ask, built
        del tree
    if "hnswlib" in names:
        import hnswlib

        started = time.perf_counter()
        lib = hnswlib.Index(space="ip", dim=store.dim)
        lib.init_index(size, M=32, ef_construction=64)
        lib.add_items(store.read(rows), rows, num_threads=threads())
        built = time.perf_counter() - started
        for ef in (64, 256, 1024):

            def look(q: np.ndarray, k: int, ef: int = ef) -> np.ndarray:
                lib.set_ef(ef)
                return np.asarray(lib.knn_query(q, k, num_threads=1)[0], np.int64)

            yield "hnswlib", f"M=32 ef={ef}", look, built
