"""FAISS indexes of other kinds, built on given vectors to see what each would cost and lose.

The engine itself searches exactly (faiss_index.py). `mmsearch evaluate --index` builds these beside
it, so that a choice of another kind rests on the user's own vectors and not on a public benchmark.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from mmsearch.errors import UsageError
from mmsearch.types import Progress

if TYPE_CHECKING:
    from mmsearch.types import Ids, OnProgress, VectorIndex, Vectors

Search = Callable[["Vectors", int], "tuple[Vectors, Ids]"]

# FAISS's own limit, Clustering.h: below 39 vectors a centroid k-means warns that it is ill-trained.
VECTORS_PER_CENTROID = 39
EF_SEARCH = (16, 32, 64, 128, 256)
REFINE_FACTORS = (1, 2, 4, 8, 16, 32)
NPROBE_LIMIT = 256


@dataclass(frozen=True)
class Setting:
    """One way to search: `search(queries (n, d), k)` gives scores and ids, (n, k), -1 for no hit.

    Points of one `family` are one curve, `value` of `parameter` goes along it.
    `bytes_per_vector` is the whole index divided by its vectors; None: unknown.
    """

    family: str
    search: Search
    bytes_per_vector: float | None = None
    parameter: str | None = None
    value: int | None = None
    build_s: float | None = None

    @property
    def label(self) -> str:
        tail = "" if self.parameter is None else f", {self.parameter}={self.value}"
        return self.family + tail

    @classmethod
    def of(
        cls, index: VectorIndex, family: str, *, bytes_per_vector: float | None = None
    ) -> Setting:
        """Any index behind the VectorIndex protocol, as it stands."""
        return cls(family, index.search, bytes_per_vector)


@dataclass(frozen=True)
class Kind:
    """A FAISS index by its factory string, and the search parameter that trades time for recall."""

    family: str
    factory: str
    parameter: str | None = None
    values: tuple[int, ...] = ()


def kinds_for(count: int, dim: int) -> tuple[tuple[Kind, ...], tuple[str, ...]]:
    """The kinds that make sense for `count` vectors of `dim` numbers, and why others are left out.

    IVF has 4 sqrt(count) lists, the lower end of what FAISS advises for under a million vectors
    (github.com/facebookresearch/faiss/wiki/Guidelines-to-choose-an-index), and fewer when k-means
    would lack training vectors. RaBitQ (Gao and Long 2024, arXiv:2405.12497) keeps one bit a number
    after a random rotation; its candidates, k times k_factor, are scored again on float16.
    """
    notes = []
    kinds = [
        Kind("exact float16", "SQfp16"),
        Kind("exact 8 bit", "SQ8"),
        Kind("HNSW32 float16", "HNSW32,SQfp16", "efSearch", EF_SEARCH),
    ]
    lists = min(round(4 * math.sqrt(count)), count // VECTORS_PER_CENTROID)
    if lists >= 4:
        steps = range(int(math.log2(min(lists, NPROBE_LIMIT))) + 1)
        probes = tuple(2**step for step in steps)
        kinds.append(Kind(f"IVF{lists} float16", f"IVF{lists},SQfp16", "nprobe", probes))
    else:
        notes.append(
            f"IVF is left out: {count} vectors cannot train 4 lists "
            f"({4 * VECTORS_PER_CENTROID} could)"
        )
    factory = f"RR{dim},RaBitQ,Refine(SQfp16)"
    kinds.append(Kind("RaBitQ + float16", factory, "k_factor", REFINE_FACTORS))
    return tuple(kinds), tuple(notes)


def build_settings(
    vectors: Vectors, kinds: Sequence[Kind], on_progress: OnProgress | None = None
) -> Iterator[Setting]:
    """The settings of each kind in turn, built on `vectors` (n, d) when the iterator gets there.

    Ids are row numbers. An index lives as long as its settings do: who takes them one by one has
    two at most in memory, the last and the one being built. Raises UsageError for a factory string
    that FAISS does not accept.
    """
    rows = np.ascontiguousarray(vectors, np.float32)
    for number, kind in enumerate(kinds):
        if on_progress:  # before, too: of hundreds of thousands of vectors one kind takes minutes
            on_progress(Progress(f"measuring {kind.family}", number, len(kinds)))
        started = time.perf_counter()
        try:
            index = faiss.index_factory(rows.shape[1], kind.factory, faiss.METRIC_INNER_PRODUCT)
            index.train(rows)
            index.add(rows)
        except RuntimeError as error:
            raise UsageError(
                f"FAISS cannot build {kind.factory!r} on {len(rows)} vectors of {rows.shape[1]} "
                f"numbers: {error}; leave this kind out"
            ) from error
        seconds = time.perf_counter() - started
        share = _size_bytes(index) / len(rows)
        for value in kind.values or (None,):
            yield Setting(
                family=kind.family,
                search=_search(index, kind.parameter, value),
                bytes_per_vector=share,
                parameter=kind.parameter,
                value=value,
                build_s=seconds,
            )
        del index
        if on_progress:
            on_progress(Progress(f"measuring {kind.family}", number + 1, len(kinds)))


def threads() -> int:
    """How many threads FAISS may use for one search."""
    return int(faiss.omp_get_max_threads())


def _search(index: Any, parameter: str | None, value: int | None) -> Search:
    parameters: Any = None
    if parameter == "efSearch":
        parameters = faiss.SearchParametersHNSW(efSearch=value)
    elif parameter == "nprobe":
        parameters = faiss.SearchParametersIVF(nprobe=value)
    elif parameter == "k_factor":
        parameters = faiss.IndexRefineSearchParameters(k_factor=value)
    elif parameter is not None:
        raise UsageError(
            f"{parameter!r} is no search parameter; there are efSearch, nprobe and k_factor"
        )

    def search(queries: Vectors, k: int) -> tuple[Vectors, Ids]:
        scores, ids = index.search(np.ascontiguousarray(queries), k, params=parameters)
        return scores, ids

    return search


def _size_bytes(index: Any) -> int:
    """The size of `index` as a file, without keeping a copy of it."""
    total = 0

    def count(block: bytes) -> None:
        nonlocal total
        total += len(block)

    faiss.write_index(index, faiss.PyCallbackIOWriter(count))
    return total
