"""Which kind of index fits so many vectors and the goals, by figures measured once; it says why.

`mmsearch tune` measures the same on the user's own vectors and machine. HNSW is no choice: it is
quickest where a recall of 0.95 will do, but did not reach 0.99 for texts among real pictures, takes
25 times the memory, and cannot take removals (docs/index.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmsearch.errors import UsageError
from mmsearch.index.engine import KindName
from mmsearch.index.goals import Goals, Tuned

# ns a number of a vector, of one query on one thread (AMD EPYC with AVX2, faiss 1.15, 2026-11; the
# codes of a million on an Intel with AVX-512: fewer fit into its caches and take 0.012 each).
EXACT_NS = 0.2
CODES_NS = 0.02
RESCORE_MS = 0.5  # of some hundred candidates
# Bytes an item beside its code of d / 8: id, row.
OVERHEAD_BYTES = 8 + 8
# Twice as many lists take twice as long to fill. With half as many, those of a million made vectors
# in 2,000 clusters were so uneven that a query read nine times the codes (2026-11).
VECTORS_PER_LIST = 500
# Below this a list has too few vectors to train its centroid (faiss, Clustering.h).
VECTORS_PER_CENTROID = 39
# An index trained for so many times fewer or more vectors is built anew when it is next written.
GROWTH = 4
# One that holds so many times what it was measured with is measured anew.
DRIFT = 1.25
NAMES: dict[KindName, str] = {
    "exact": "exact float16",
    "codes": "short codes, refined",
    "ivf": "IVF of short codes, refined",
}


@dataclass(frozen=True)
class Choice:
    """One kind of index, and in words why it is this one."""

    kind: KindName
    lists: int
    why: str


def memory_bytes(kind: KindName, count: int, dim: int) -> int:
    """What an index of `count` vectors of `dim` numbers takes of a process's own memory, at most.

    The stored vectors are memory-mapped: their pages are the system's to give and take.
    """
    if kind == "exact":
        return count * (2 * dim + 16)
    lists = lists_for(kind, count)
    return count * (math.ceil(dim / 8) + OVERHEAD_BYTES) + lists * dim * 4 + dim * dim * 4


def latency_ms(kind: KindName, count: int, dim: int) -> float:
    """What one query may take on one thread."""
    if kind == "exact":
        return count * dim * EXACT_NS / 1e6
    read = count if kind == "codes" else count / 16
    return read * dim * CODES_NS / 1e6 + RESCORE_MS


def lists_for(kind: KindName, count: int) -> int:
    """1, or a power of two near one list per VECTORS_PER_LIST."""
    if kind != "ivf":
        return 1
    wanted = max(count / VECTORS_PER_LIST, 1)
    lists = 1 << round(math.log2(wanted))
    most = max(1, count // VECTORS_PER_CENTROID)
    return int(min(lists, 1 << int(math.log2(most))))


def choose(count: int, dim: int, goals: Goals, tuned: Tuned | None = None) -> Choice:
    """The simplest kind that meets the goals, or the tuned one while it was measured on as many.

    Where none fits into the memory it is the smallest, and says so: a collection that has grown is
    searched all the same.
    """
    if tuned is not None and tuned.size / GROWTH <= count <= tuned.size * GROWTH:
        why = tuned.why
        if tuned.kind != "exact":  # whose effort and time were those of another index
            why = f"{NAMES[tuned.kind]}, as chosen for {tuned.size:,} vectors"
        return Choice(tuned.kind, lists_for(tuned.kind, count), why)
    try:
        kinds = possible(count, dim, goals)
    except UsageError as error:
        kind = _smallest(count, dim, goals)
        return Choice(kind, lists_for(kind, count), str(error))
    quick = [kind for kind in kinds if latency_ms(kind, count, dim) <= goals.latency_ms]
    kind = quick[0] if quick else kinds[-1]
    took, needs = latency_ms(kind, count, dim), memory_bytes(kind, count, dim)
    said = [f"{NAMES[kind]}: about {took:.1f} ms a query, {in_bytes(needs)}"]
    said += [
        f"{NAMES[slower]} would take about {latency_ms(slower, count, dim):.0f} ms"
        for slower in kinds[: kinds.index(kind)]
    ]
    return Choice(kind, lists_for(kind, count), f"{'; '.join(said)}; {_of(count, dim, goals)}")


def possible(count: int, dim: int, goals: Goals) -> list[KindName]:
    """The kinds that fit into the memory, the simplest first. Raises UsageError for none."""
    limit = math.inf if goals.memory_bytes is None else goals.memory_bytes
    kinds = _sensible(count, goals)
    fitting = [kind for kind in kinds if memory_bytes(kind, count, dim) <= limit]
    if fitting:
        return fitting
    least = _smallest(count, dim, goals)
    raise UsageError(
        f"{count:,} vectors of {dim} numbers do not fit into {in_bytes(int(limit))}"
        + (" at a recall of 1" if goals.recall == 1 else "")
        + f": the smallest index that there is for them, {NAMES[least]}, needs "
        f"{in_bytes(memory_bytes(least, count, dim))}; give it that much"
        + (", or ask for a recall below 1" if goals.recall == 1 else "")
    )


def _sensible(count: int, goals: Goals) -> list[KindName]:
    if goals.recall == 1:
        return ["exact"]
    return ["exact", "codes", "ivf"] if lists_for("ivf", count) > 1 else ["exact", "codes"]


def _smallest(count: int, dim: int, goals: Goals) -> KindName:
    return min(_sensible(count, goals), key=lambda kind: memory_bytes(kind, count, dim))


def outgrown(built_for: int, count: int) -> bool:
    """Whether an index that was trained for `built_for` vectors should be trained again."""
    return not built_for / GROWTH <= count <= built_for * GROWTH


def drifted(measured_for: int, count: int) -> bool:
    """Whether the effort of an index that was found for so many vectors should be found again."""
    return count > measured_for * DRIFT


def in_bytes(size: int) -> str:
    """Decimal, rounded up so that what is printed is enough."""
    if size < 1_000_000:
        return f"{math.ceil(size / 1e2) / 10:.1f} kB"
    return f"{math.ceil(size / 1e5) / 10:,.1f} MB"


def _of(count: int, dim: int, goals: Goals) -> str:
    memory = "" if goals.memory_bytes is None else f", {in_bytes(goals.memory_bytes)}"
    return (
        f"for {count:,} vectors of {dim} numbers, recall {goals.recall:g} within "
        f"{goals.latency_ms:g} ms{memory}"
    )
