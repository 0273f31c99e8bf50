"""What others search by, for index_choice.py: signs and graphs; and which are installed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import faiss
import numpy as np

from mmsearch.catalog.vectors import VectorFile
from mmsearch.index.build import TRAINING_PER_LIST, spaced
from mmsearch.index.kinds import threads
from mmsearch.index.planner import lists_for

PEERS = ("rabitq", "hnsw", "usearch", "hnswlib")
Search = Callable[[np.ndarray, int], np.ndarray]  # (n, d), k -> ids (n, k)


def missing(names: list[str]) -> list[str]:
    return [name for name in names if name in ("usearch", "hnswlib") and not find_spec(name)]


def peers(
    names: list[str], store: VectorFile, size: int
) -> Iterator[tuple[str, str, Search, float]]:
    rows = np.arange(size)
    if "rabitq" in names:
        # Signs of the turned numbers, each code with two factors (Gao and Long 2024).
        started = time.perf_counter()
        lists = lists_for("ivf", size)  # as ours
        coarse = faiss.IndexFlatL2(store.dim)
        metric = faiss.METRIC_INNER_PRODUCT
        codes = faiss.IndexIVFRaBitQFastScan(coarse, store.dim, lists, metric)
        codes.qb = 8  # bits of a number of the query, as many as its tables can tell apart
        turned = faiss.IndexPreTransform(faiss.RandomRotationMatrix(store.dim, store.dim), codes)
        halves = faiss.ScalarQuantizer.QT_fp16
        refine = faiss.IndexScalarQuantizer(store.dim, halves, metric)
        signs = faiss.IndexRefine(turned, refine)
        signs.train(store.read(spaced(rows, lists * TRAINING_PER_LIST)))
        for start in range(0, size, 50_000):
            signs.add(store.read(rows[start : start + 50_000]))
        built = time.perf_counter() - started
        for probes, factor in ((8, 40), (64, 80), (128, 160)):

            def search(q: np.ndarray, k: int, p: int = probes, f: int = factor) -> np.ndarray:
                codes.nprobe, signs.k_factor = p, f
                ids: np.ndarray = signs.search(q, k)[1]
                return ids

            yield "faiss IVF RaBitQ", f"{probes}/{lists}, {factor * 10}", search, built
        del signs
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
