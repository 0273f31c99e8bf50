"""Make an index of stored rows, and find out how far its searches must look."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mmsearch.blas import one_thread
from mmsearch.index.coded_index import CodedIndex, Effort, K
from mmsearch.index.codes import Codes
from mmsearch.index.engine import EngineIndex
from mmsearch.index.faiss_index import FaissIndex
from mmsearch.index.goals import Goals
from mmsearch.index.planner import NAMES, Choice, in_bytes, memory_bytes
from mmsearch.index.stored import ROUNDING, ROWS_AT_A_TIME, RowStore, scores_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.index.codes import Bytes
    from mmsearch.index.engine import Rows
    from mmsearch.types import Ids, Vectors

T = TypeVar("T")

TRAINING_PER_LIST = 24  # vectors that k-means sees; 39 find no more (2026-11)
TRAINING_PER_NUMBER = 20  # vectors that tell of the directions in which they differ
WORKERS = 2  # threads that read and encode while others are added
# Numbers of candidates to try: a quarter more costs a third more time. Texts searched in pictures
# need many, for all pictures are nearly as far from a text (docs/index.md).
CANDIDATES = (20, 30, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200)
TRIED = (400, 1200, 3200)  # each only where the one before is too few
# To read a list of codes takes as long as so many stored vectors: a few more lists than must be are
# worth it where fewer candidates do then.
CANDIDATES_PER_LIST = 5
MORE_STEPS = 2


@dataclass(frozen=True, eq=False)
class Sample:
    """Queries (n, d) as users may ask them, in groups whose recall counts apart, each not empty."""

    groups: tuple[Vectors, ...]

    @property
    def queries(self) -> Vectors:
        return np.ascontiguousarray(np.concatenate(self.groups), np.float32)

    def worst(self, found: npt.NDArray[np.float64]) -> float:
        """The mean of `found`, one number a query, in the group where it is least."""
        ends = np.cumsum([len(group) for group in self.groups])[:-1]
        return min(float(part.mean()) for part in np.split(found, ends))


class Truth:
    """The score of the K-th nearest vector of each query, of vectors that come in parts."""

    def __init__(self, sample: Sample) -> None:
        self._queries = sample.queries
        self._best = np.full((len(self._queries), K), -np.inf, np.float32)  # rows ascend

    def see(self, vectors: Vectors) -> None:
        for best, scores in zip(self._best, self._queries @ vectors.T, strict=True):
            better = scores[scores > best[0]]  # soon there are few
            if len(better):
                best[:] = np.sort(np.concatenate([best, better]))[-K:]

    @property
    def least(self) -> Vectors:
        """(n,) float32; -inf where there were fewer than K vectors."""
        return self._best[:, 0]


def build(
    choice: Choice, ids: Ids, rows: Rows, store: RowStore, goals: Goals, sample: Sample | None
) -> EngineIndex:
    """An index of the chosen kind over the items `ids`, whose vectors are `rows` of the store.

    Codes are searched as far as it takes to reach the goal's recall on `sample` (None: on its own
    vectors). Where they cannot, the index is exact if the memory allows that, and otherwise goes as
    far as it can and says so.
    """
    if choice.kind == "exact" or not len(ids):
        return _exact(choice.why, ids, rows, store)
    sample = sample or Sample((store.read(spaced(rows, 64)),))
    index, truth = coded(choice, ids, rows, store, sample)
    reached = _measure(index, choice, store, sample, truth, goals)
    if reached >= goals.recall:
        return index
    what = "lists of codes" if choice.kind == "ivf" else "codes"
    short = f"{what} reach a recall of {reached:.4f} only, not {goals.recall:g}"
    if choice.kind == "ivf":
        # What lists have not among their nearest, one list of all the codes may.
        one = Choice("codes", 1, f"{NAMES['codes']}, for {short}")
        return build(one, ids, rows, store, goals, sample)
    needs = memory_bytes("exact", len(ids), store.dim)
    if goals.memory_bytes is None or needs <= goals.memory_bytes:
        return _exact(f"{NAMES['exact']}, for {short}", ids, rows, store)
    index.why = f"{choice.why}; {short}, and exact search would need {in_bytes(needs)}"
    return index


def measure_again(
    index: CodedIndex, choice: Choice, store: RowStore, goals: Goals, sample: Sample
) -> bool:
    """Find the effort of an index anew that has grown since; whether it reaches the goal's recall.

    What comes in later is not alike to what it was trained for: of 140,000 photographs that grew to
    390,000 by products, 0.888 of a title's ten nearest were found where 0.99 was asked (2026-11).
    """
    ids = index.ids
    truth = Truth(sample)
    with one_thread():
        for vectors in _ahead(lambda part: store.read(index.rows[ids[part]]), _parts(len(ids))):
            truth.see(vectors)
    index.measured_for = len(ids)
    return _measure(index, choice, store, sample, truth, goals) >= goals.recall


def _measure(
    index: CodedIndex, choice: Choice, store: RowStore, sample: Sample, truth: Truth, goals: Goals
) -> float:
    """Set the effort of an index, and say what recall it reaches."""
    index.effort, reached = calibrate(index, store, sample, truth.least, goals.recall)
    index.why = f"{choice.why}; recall@{K} {reached:.4f} on {len(sample.queries)} queries"
    return reached


def coded(
    choice: Choice, ids: Ids, rows: Rows, store: RowStore, sample: Sample
) -> tuple[CodedIndex, Truth]:
    """The codes of all items, to be searched in full, and the truth for `sample`."""
    most = max(choice.lists * TRAINING_PER_LIST, store.dim * TRAINING_PER_NUMBER)
    codes = Codes(choice.lists, store.read(spaced(rows, most)), sample.groups)

    def encoded(part: slice) -> tuple[slice, Vectors, Bytes]:
        vectors = store.read(rows[part])
        return part, vectors, codes.encode(vectors)

    truth = Truth(sample)
    with one_thread():
        for part, vectors, some in _ahead(encoded, _parts(len(ids))):
            truth.see(vectors)
            codes.add(ids[part], some)
    row_of = np.full(int(ids.max(initial=-1)) + 1, -1, np.int64)
    row_of[ids] = rows
    index = CodedIndex(
        store,
        codes.searchable(),
        codes.axes,
        Effort(choice.lists, CANDIDATES[-1]),
        rows=row_of,
        size=len(ids),
        built_for=len(ids),
        measured_for=len(ids),
        why=choice.why,
    )
    return index, truth


def calibrate(
    index: CodedIndex, store: RowStore, sample: Sample, least: Vectors, recall: float
) -> tuple[Effort, float]:
    """The smallest effort that reaches `recall` with something to spare, and what it reaches.

    The sample is small, and other queries find less (0.994 where 0.995 was asked, 2026-11):
    three quarters of the allowed loss are kept in hand, or half of what all lists spare.
    """
    enough = most_margin(recall)
    for most in TRIED:
        found = found_by_depth(index, store, sample, least, index.lists, most)
        if found[max(found)] >= enough:
            break
    if found[max(found)] < recall:
        return Effort(index.lists, CANDIDATES[-1]), found[max(found)]
    enough = with_margin(recall, found[max(found)])
    steps = probe_steps(index.lists)
    seen = {index.lists: found}

    def found_in(probes: int) -> dict[int, float]:
        if probes not in seen:
            seen[probes] = found_by_depth(index, store, sample, least, probes, most)
        return seen[probes]

    low, high = 0, len(steps) - 1
    while low < high:
        middle = (low + high) // 2
        if max(found_in(steps[middle]).values()) >= enough:
            high = middle
        else:
            low = middle + 1
    efforts = [
        Effort(probes, depth)
        for probes in steps[high : high + 1 + MORE_STEPS]
        for depth, reached in found_in(probes).items()
        if reached >= enough
    ]
    effort = min(efforts, key=lambda one: one.probes * CANDIDATES_PER_LIST + one.candidates)
    return effort, seen[effort.probes][effort.candidates]


def with_margin(recall: float, most: float) -> float:
    """What a sample has to reach, so that other queries reach `recall`; `most` can be reached."""
    return min(most_margin(recall), (recall + most) / 2)


def most_margin(recall: float) -> float:
    """What to look for before one contents oneself with less."""
    return 1 - (1 - recall) / 4


def probe_steps(lists: int) -> list[int]:
    """Numbers of lists to try: 1, 2, 3, 4, 6, 8, 12 and so on, all of them last."""
    steps = {step << power for power in range(lists.bit_length()) for step in (2, 3)}
    return sorted({1, lists} | {step for step in steps if step < lists})


def found_by_depth(
    index: CodedIndex, store: RowStore, sample: Sample, least: Vectors, probes: int, most: int
) -> dict[int, float]:
    """Number of candidates, up to `most` -> recall@K with them, in the sample's worst group."""
    candidates = index.candidates(sample.queries, most, probes)
    scores = scores_of(store, sample.queries, candidates, index.rows)
    # An item as good as the k-th nearest counts as found.
    good = np.isfinite(scores) & (scores >= least[:, None] - ROUNDING)
    hits = np.minimum(np.cumsum(good, axis=1), K) / min(K, len(index))
    return {
        depth: sample.worst(hits[:, min(depth, most) - 1]) for depth in CANDIDATES if depth <= most
    }


def spaced(rows: Rows, count: int) -> Rows:
    """At most `count` of `rows`, evenly spaced."""
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + ROWS_AT_A_TIME) for start in range(0, count, ROWS_AT_A_TIME))


def _ahead(work: Callable[[slice], T], parts: Iterable[slice]) -> Iterator[T]:
    """What `work` makes of each part, in order, by WORKERS threads that stay a little ahead."""
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: deque[Future[T]] = deque()
        for part in parts:
            waiting.append(pool.submit(work, part))
            if len(waiting) > 2 * WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _exact(why: str, ids: Ids, rows: Rows, store: RowStore) -> FaissIndex:
    index = FaissIndex(store.dim, store=store, why=why)
    for part in _parts(len(ids)):
        index.add_rows(ids[part], rows[part])
    return index
