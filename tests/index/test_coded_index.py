"""Codes find what brute force finds, after any history and under any filter, with exact scores."""

from __future__ import annotations

import tempfile
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsearch.catalog.vectors import VectorFile
from mmsearch.index import coded_index
from mmsearch.index.brute import BruteForceIndex
from mmsearch.index.build import Sample, build, coded
from mmsearch.index.coded_index import CodedIndex, Effort
from mmsearch.index.codes import Codes
from mmsearch.index.engine import Plan
from mmsearch.index.goals import Goals
from mmsearch.index.planner import Choice
from mmsearch.index.stored import nearest, scores_of
from tests.index.worlds import Stored, clustered, store_of

DIM = 32
KINDS = [Choice("codes", 1, "one list"), Choice("ivf", 16, "lists")]
SIZE = 5_000


def empty(choice: Choice, store: VectorFile, effort: Effort) -> CodedIndex:
    """A trained index of nothing."""
    training = clustered(700, DIM)
    codes = Codes(choice.lists, training, [training[:50]])
    return CodedIndex(store, codes.searchable(), codes.axes, effort)


def large(choice: Choice, folder: Path, recall: float = 0.99) -> tuple[CodedIndex, BruteForceIndex]:
    """An index of SIZE items with the ids 7, 10, 13 and so on, and the truth."""
    vectors = clustered(SIZE, DIM)
    ids = np.arange(SIZE) * 3 + 7
    store, goals = store_of(folder, vectors), Goals(recall=recall)
    sample = Sample((clustered(100, DIM, seed=5),))
    index = build(choice, ids, np.arange(SIZE), store, goals, sample)
    assert isinstance(index, CodedIndex)
    brute = BruteForceIndex(DIM)
    brute.add(ids, vectors)
    return index, brute


def recall(index: CodedIndex, brute: BruteForceIndex, allowed: np.ndarray | None = None) -> float:
    """recall@10 on queries that no sample held; every score must be exact."""
    queries = clustered(60, DIM, seed=77)
    expected, truth = brute.search(queries, 10, allowed)
    scores, ids = index.search(queries, 10, allowed)
    assert ids.shape == truth.shape
    for number, row in enumerate(ids):
        own = np.array([brute._rows[item] for item in row.tolist()])
        np.testing.assert_allclose(scores[number], own @ queries[number], atol=1e-6)
        assert len(set(row.tolist())) == len(row)
        assert allowed is None or set(row.tolist()) <= set(allowed.tolist())
    return float(np.mean(scores >= expected[:, -1:] - 1e-6))


@pytest.mark.parametrize("choice", KINDS, ids=lambda one: one.kind)
def test_a_built_index_finds_as_much_as_was_asked_for(choice: Choice, tmp_path: Path) -> None:
    index, brute = large(choice, tmp_path)
    assert (index.kind, len(index)) == (choice.kind, SIZE)
    assert recall(index, brute) >= 0.98
    assert index.effort.depth(10) * coded_index.LEAST_GAIN < SIZE  # by its codes, not by a scan
    assert "recall@10" in index.why


@pytest.mark.parametrize("choice", KINDS, ids=lambda one: one.kind)
def test_more_is_found_with_more_effort(choice: Choice, tmp_path: Path) -> None:
    index, brute = large(choice, tmp_path)
    index.effort = Effort(1, 10)
    little = recall(index, brute)
    index.effort = Effort(index.lists, 600)
    assert little < 0.9 < 0.995 < recall(index, brute)


@pytest.mark.parametrize("choice", KINDS, ids=lambda one: one.kind)
@pytest.mark.parametrize("share", [2, 10, 100, 2_000])
def test_a_filter_gets_its_k(
    choice: Choice, share: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coded_index, "MAX_COPIED", 100)
    monkeypatch.setattr(coded_index, "CODES_PER_VECTOR", SIZE)
    monkeypatch.setattr(coded_index, "LEAST_GAIN", 1)
    index, brute = large(choice, tmp_path)
    allowed = index.ids[::share]
    assert index.plan(allowed).way == ("bitmap" if share < 50 else "copied")
    assert recall(index, brute, allowed) >= (0.97 if share < 50 else 1)


def test_a_filter_of_lists_that_are_not_near_gets_its_k(tmp_path: Path) -> None:
    index, brute = large(KINDS[1], tmp_path)
    index.effort = Effort(1, 20)
    query = clustered(1, DIM, seed=77)
    far = brute.search(query, SIZE)[1][0, -4_500:]  # not one of the nearest lists' items
    scores, ids = index.search(query, 30, far)
    assert index.plan(far).way == "bitmap"
    assert ids.shape == (1, 30)
    assert np.isfinite(scores).all()
    assert set(ids[0].tolist()) <= set(far.tolist())


@pytest.mark.parametrize("choice", KINDS, ids=lambda one: one.kind)
def test_changes_are_found_at_once(choice: Choice, tmp_path: Path) -> None:
    index, brute = large(choice, tmp_path)
    gone, moved = index.ids[::4], index.ids[1::4][:300]
    new = clustered(300, DIM, seed=21)
    Stored(index, VectorFile(tmp_path / "vectors.f16", DIM)).add(moved, new)
    index.remove(np.concatenate([gone, gone, [10**9, -1, 0]]))
    brute.add(moved, new)
    brute.remove(gone)
    assert len(index) == len(brute)
    assert recall(index, brute) >= 0.98
    index.effort = Effort(index.lists, 400)
    scores, ids = index.search(new[:50], 1)
    np.testing.assert_allclose(scores[:, 0], 1, atol=1e-3)
    assert np.isin(ids, moved).mean() > 0.9  # equal vectors are not likely, but allowed
    np.testing.assert_array_equal(index.vectors(moved), new)
    np.testing.assert_array_equal(index.scores(new[7], ids[7]), scores[7])


@pytest.mark.parametrize("count", [3, 5, 97, 1003, 9_001])
@pytest.mark.parametrize("queries", [1, 5, 8])
def test_equal_vectors_score_equally_wherever_they_stand(
    count: int, queries: int, tmp_path: Path
) -> None:
    store = store_of(tmp_path, np.repeat(clustered(1, 100), count, axis=0))
    asked, places = clustered(queries, 100, seed=3), np.arange(count)
    refined = scores_of(store, asked, np.tile(places, (queries, 1)), places)
    np.testing.assert_array_equal(refined, np.repeat(refined[:, :1], count, axis=1))
    k = count // 2 + 1
    scores, ids = nearest(store, asked, places, places, k)
    np.testing.assert_array_equal(scores, refined[:, :k])
    np.testing.assert_array_equal(ids, np.tile(places[:k], (queries, 1)))


def test_equal_vectors_come_by_ascending_id(tmp_path: Path) -> None:
    store = store_of(tmp_path, np.repeat(clustered(3, DIM), 50, axis=0))
    choice = KINDS[0]
    sample = Sample((clustered(4, DIM),))
    index, _ = coded(choice, np.arange(150)[::-1] + 5, np.arange(150), store, sample)
    assert index.kind == "codes"
    scores, ids = index.search(clustered(1, DIM), 60)
    for score in np.unique(scores):
        same = ids[0][scores[0] == score]
        assert same.tolist() == sorted(same.tolist())
    # Of fifty equal ones at the end of the answer the first ten are there.
    assert ids[0, -10:].tolist() == sorted(ids[0, -10:].tolist())


@settings(deadline=None, max_examples=60)
@given(
    changes=st.lists(
        st.tuples(st.booleans(), st.lists(st.integers(0, 30), unique=True, max_size=12)),
        max_size=6,
    ),
    allowed=st.none() | st.lists(st.integers(-2, 40), unique=True),
    k=st.integers(1, 40),
    seed=st.integers(0, 1000),
    choice=st.sampled_from(KINDS),
    max_copied=st.sampled_from([0, 5, coded_index.MAX_COPIED]),
)
def test_codes_equal_brute_force_after_any_history(
    changes: list[tuple[bool, list[int]]],
    allowed: list[int] | None,
    k: int,
    seed: int,
    choice: Choice,
    max_copied: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(coded_index, "MAX_COPIED", max_copied)
        patch.setattr(coded_index, "CODES_PER_VECTOR", SIZE)
        patch.setattr(coded_index, "LEAST_GAIN", 0)  # always through the codes
        store = VectorFile(Path(folder) / "vectors.f16", DIM)
        index = Stored(empty(choice, store, Effort(choice.lists, 100)), store)
        brute = BruteForceIndex(DIM)
        for number, (adding, chosen) in enumerate(changes):
            ids = np.array(chosen, np.int64)
            vectors = clustered(len(ids), DIM, seed=seed + number)
            for one in (index, brute):
                if adding:
                    one.add(ids, vectors)
                else:
                    one.remove(ids)
        only = None if allowed is None else np.array(allowed, np.int64)
        queries = clustered(3, DIM, seed=seed + 99)
        expected, truth = brute.search(queries, k, only)
        scores, ids = index.search(queries, k, only)
        np.testing.assert_allclose(scores, expected, atol=1e-6)
        assert sorted(map(sorted, ids.tolist())) == sorted(map(sorted, truth.tolist()))
        assert index.index.plan(only).candidates == truth.shape[1] or truth.shape[1] == k


def test_plans_say_how_candidates_are_honoured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, _ = large(KINDS[1], tmp_path)
    assert index.plan(None) == index.plan(np.arange(10**5)) == Plan("all", SIZE, SIZE)
    assert index.plan(np.array([7, 7, 10, 11])) == Plan("copied", 2, SIZE)
    monkeypatch.setattr(coded_index, "MAX_COPIED", 0)
    monkeypatch.setattr(coded_index, "CODES_PER_VECTOR", SIZE)
    assert index.plan(np.array([7, 10])) == Plan("bitmap", 2, SIZE)


def test_a_recall_that_codes_cannot_reach_is_reached_exactly(tmp_path: Path) -> None:
    # Sixteen numbers in random directions: their signs say too little.
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((4_000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = (vectors + 50 * np.eye(16, dtype=np.float32)[0]).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store = store_of(tmp_path, vectors)
    ids = np.arange(4_000)
    sample = Sample((-vectors[:50],))
    choice = Choice("codes", 1, "codes")
    exact = build(choice, ids, ids, store, Goals(recall=0.99999), sample)
    if exact.kind == "exact":
        assert "codes reach a recall of" in exact.why
    small = build(choice, ids, ids, store, Goals(recall=0.99999, memory_bytes=100_000), sample)
    assert small.kind == "codes"
    assert ("only" in small.why) == (exact.kind == "exact")


@pytest.mark.parametrize("count", [1, 64])
def test_a_search_leaves_faiss_the_threads_that_it_had(count: int, tmp_path: Path) -> None:
    index, _ = large(KINDS[1], tmp_path)
    usual = faiss.omp_get_max_threads()
    index.search(clustered(count, DIM, seed=77), 5)
    assert faiss.omp_get_max_threads() == usual
