"""Every VectorIndex answers as brute force does, ties allowed for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsearch.catalog.vectors import VectorFile
from mmsearch.index import faiss_index, products
from mmsearch.index.brute import BruteForceIndex
from mmsearch.index.engine import Plan
from mmsearch.index.faiss_index import FaissIndex
from mmsearch.index.snapshots import Snapshots
from mmsearch.ranking.ranked import score
from mmsearch.types import VectorIndex

DIM = 8


def unit(count: int, seed: int) -> np.ndarray:
    """Unit rows exactly representable in float16 storage, with many equal rows among them."""
    rows = np.random.default_rng(seed).integers(-2, 3, (count, DIM)).astype(np.float32)
    rows[:, 0] += 0.5  # no zero row
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32)


def make(kind: str) -> VectorIndex:
    return FaissIndex(DIM) if kind == "faiss" else BruteForceIndex(DIM)


@pytest.fixture(params=["brute", "faiss"])
def new(request: pytest.FixtureRequest) -> Callable[[], VectorIndex]:
    return lambda: make(request.param)


def test_empty_index_answers_with_nothing(new: Callable[[], VectorIndex]) -> None:
    scores, ids = new().search(unit(2, 0), 5)
    assert scores.shape == ids.shape == (2, 0)


def test_all_items_come_back_when_k_is_larger_than_the_index(
    new: Callable[[], VectorIndex],
) -> None:
    index = new()
    index.add(np.array([4, 2, 9]), unit(3, 1))
    _, ids = index.search(unit(1, 2), 100)
    assert sorted(ids[0]) == [2, 4, 9]


def test_added_again_an_id_stands_for_its_new_vector(new: Callable[[], VectorIndex]) -> None:
    index = new()
    first, second = unit(2, 3)[:1], -unit(2, 3)[:1]
    index.add(np.array([1]), first)
    index.add(np.array([1]), second)
    scores, ids = index.search(second, 5)
    assert (len(index), ids.tolist()) == (1, [[1]])
    assert scores[0, 0] == pytest.approx(1, abs=1e-3)


def test_removing_an_unknown_id_is_no_error(new: Callable[[], VectorIndex]) -> None:
    index = new()
    index.remove(np.array([7]))
    index.add(np.array([1]), unit(1, 0))
    index.remove(np.array([7]))
    assert len(index) == 1


@settings(max_examples=150)
@given(
    changes=st.lists(
        st.tuples(st.booleans(), st.lists(st.integers(0, 30), unique=True, max_size=12)),
        max_size=6,
    ),
    allowed=st.none() | st.lists(st.integers(0, 40), unique=True),
    k=st.integers(1, 40),
    seed=st.integers(0, 1000),
    max_copied=st.sampled_from([0, 5, faiss_index.MAX_COPIED]),
    fewest=st.sampled_from([1, products.FEWEST]),
)
def test_faiss_equals_brute_force_after_any_history(
    changes: list[tuple[bool, list[int]]],
    allowed: list[int] | None,
    k: int,
    seed: int,
    max_copied: int,
    fewest: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:  # each way to search has its turn
        patch.setattr(faiss_index, "MAX_COPIED", max_copied)
        patch.setattr(products, "FEWEST", fewest)
        compare_with_brute_force(changes, allowed, k, seed)


def compare_with_brute_force(
    changes: list[tuple[bool, list[int]]], allowed: list[int] | None, k: int, seed: int
) -> None:
    brute, index = BruteForceIndex(DIM), FaissIndex(DIM)
    for number, (adding, chosen) in enumerate(changes):
        ids = np.array(chosen, np.int64)
        for one in (brute, index):
            if adding:
                one.add(ids, unit(len(ids), seed + number))
            else:
                one.remove(ids)
    only = None if allowed is None else np.array(allowed, np.int64)
    queries = unit(3, seed + 99)
    expected, _ = brute.search(queries, k, only)
    scores, ids = index.search(queries, k, only)
    np.testing.assert_allclose(scores, expected, atol=2e-3)
    there = set(brute._rows) if allowed is None else set(brute._rows) & set(allowed)
    assert index.plan(only).candidates == len(there)
    assert scores.shape[1] == min(k, len(there))
    for query, row, found in zip(queries, ids, scores, strict=True):
        # Those of equal vectors are equal, so they are the same to the last bit.
        np.testing.assert_array_equal(index.scores(query, row[::-1]), found[::-1])
    every, every_id = brute.search(queries, len(brute) or 1)
    for query in range(len(queries)):
        truth = dict(zip(every_id[query].tolist(), every[query].tolist(), strict=True))
        assert len(set(ids[query].tolist())) == len(ids[query])
        for item, value in zip(ids[query].tolist(), scores[query].tolist(), strict=True):
            assert truth[item] == pytest.approx(value, abs=2e-3)
            assert only is None or item in only


def test_all_ways_to_honour_candidates_give_the_same_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = FaissIndex(DIM)
    index.add(np.arange(10, 70), unit(60, 1))
    few, queries = np.array([12, 69, 40, 12, 5, 10**9, -1]), unit(3, 2)
    assert index.plan(few) == Plan("copied", 3, 60)
    assert index.plan(np.arange(1000)) == index.plan(None) == Plan("all", 60, 60)
    assert index.plan(np.array([], np.int64)) == Plan("copied", 0, 60)
    copied = index.search(queries, 10, few)
    monkeypatch.setattr(faiss_index, "MAX_COPIED", 0)
    assert index.plan(few) == Plan("bitmap", 3, 60)
    picked = index.search(queries, 10, few)
    np.testing.assert_array_equal(copied[0], picked[0])
    np.testing.assert_array_equal(copied[1], picked[1])


def test_a_query_has_the_same_answer_alone_as_among_many() -> None:
    rows = np.random.default_rng(1).normal(size=(5_000, 48)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = FaissIndex(48)
    index.add(np.arange(5_000) * 3, rows)
    queries = np.ascontiguousarray(rows[:150] + rows[150:300])
    scores, ids = index.search(queries, 60)
    for query, own_scores, own_ids in zip(queries, scores, ids, strict=True):
        (alone,), (those,) = index.search(query[None], 60)
        np.testing.assert_array_equal(own_scores, alone)
        np.testing.assert_array_equal(own_ids, those)


def test_scores_are_those_of_the_vectors_one_by_one() -> None:
    """Not those of whichever scan found them, whose last bits differ from machine to machine."""
    index = FaissIndex(48)
    rows = np.random.default_rng(2).normal(size=(3_000, 48)).astype(np.float32)
    index.add(np.arange(3_000), rows / np.linalg.norm(rows, axis=1, keepdims=True))
    query = rows[7] / np.linalg.norm(rows[7])
    for allowed in (None, np.arange(500), np.arange(2_900)):
        (scores,), (ids,) = index.search(query[None], 40, allowed)
        np.testing.assert_array_equal(scores, score(index.vectors(ids), query))


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("k", [5, 2_000])
def test_lanes_of_a_product_find_together_what_one_finds(
    monkeypatch: pytest.MonkeyPatch, lanes: int, k: int
) -> None:
    monkeypatch.setattr(products, "lanes", lambda: lanes)
    draw = np.random.default_rng(3)
    halves = draw.normal(size=(2_500, 16)).astype(np.float16)
    queries = draw.normal(size=(70, 16)).astype(np.float32)
    scores, rows = products.nearest(halves, queries, k)
    every = queries @ halves.astype(np.float32).T
    np.testing.assert_allclose(scores, -np.sort(-every, axis=1)[:, :k], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        np.take_along_axis(every, rows, axis=1), scores, rtol=1e-5, atol=1e-5
    )


def exact(count: int, dim: int, seed: int) -> np.ndarray:
    """Unit rows whose products have no rounding, where `dim` is a power of 4."""
    rows = np.random.default_rng(seed).integers(0, 2, (count, dim)).astype(np.float32)
    return (2 * rows - 1) / np.float32(dim**0.5)


@pytest.mark.parametrize("queries", [1, products.FEWEST])
@pytest.mark.parametrize("max_copied", [0, 700, faiss_index.MAX_COPIED])
@pytest.mark.parametrize("k", [1, 6, 199, 480, 2_400])
def test_of_many_equal_vectors_the_smallest_ids_are_taken(
    monkeypatch: pytest.MonkeyPatch, queries: int, max_copied: int, k: int
) -> None:
    monkeypatch.setattr(faiss_index, "MAX_COPIED", max_copied)
    brute, index = BruteForceIndex(16), FaissIndex(16)
    draw = np.random.default_rng(k)
    vectors = exact(4, 16, 1)[draw.integers(0, 4, 2_500)]
    ids, again = draw.permutation(2_500), draw.integers(0, 2_500, 50)
    for one in (brute, index):
        one.add(ids, vectors)
        one.remove(again)
        one.add(np.unique(again), vectors[: len(np.unique(again))])
    asked = exact(queries, 16, k)
    for allowed in (None, np.arange(0, 2_500, 4), np.arange(1, 2_500)):
        scores, found = index.search(asked, k, allowed)
        expected, truth = brute.search(asked, k, allowed)
        np.testing.assert_array_equal(scores, expected)
        np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("dim", [7, 48, 100])
def test_among_many_queries_equal_vectors_are_cut_as_alone(dim: int) -> None:
    draw = np.random.default_rng(dim)
    rows = draw.normal(size=(300, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = FaissIndex(dim)
    index.add(draw.permutation(6_000), rows[draw.integers(0, 300, 6_000)])  # each some 20 times
    for k in (10, 31, 200, 1_500):
        scores, ids = index.search(rows[:40], k)
        for query, own_scores, own_ids in zip(rows, scores, ids, strict=False):
            (every,), (names,) = index.search(query[None], 6_000)
            np.testing.assert_array_equal(own_scores, every[:k])
            np.testing.assert_array_equal(own_ids, names[:k])


def test_snapshot_returns_the_index_it_was_taken_of(tmp_path: Path) -> None:
    index = FaissIndex(DIM, seq=0)
    index.add(np.array([3, 5]), unit(2, 1))
    index.seq = 12
    snapshots = Snapshots(tmp_path / "index", "x", VectorFile(tmp_path / "x.f16", DIM))
    snapshots.save(index)
    loaded = snapshots.load(12)
    assert loaded is not None
    assert (loaded.seq, len(loaded)) == (12, 2)
    np.testing.assert_array_equal(loaded.search(unit(1, 4), 2)[1], index.search(unit(1, 4), 2)[1])


def test_snapshot_cut_short_or_ahead_of_the_catalog_is_no_snapshot(tmp_path: Path) -> None:
    index = FaissIndex(DIM)
    index.add(np.array([3, 5]), unit(2, 1))
    index.seq = 12
    snapshots = Snapshots(tmp_path / "index", "x", VectorFile(tmp_path / "x.f16", DIM))
    snapshots.save(index)
    assert snapshots.load(11) is None
    (path,) = (tmp_path / "index").iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    assert snapshots.load(12) is None


def test_snapshot_from_before_the_switch_to_its_encoder_is_no_snapshot(tmp_path: Path) -> None:
    index = FaissIndex(DIM)
    index.add(np.array([3, 5]), unit(2, 1))
    index.seq = 12
    Snapshots(tmp_path / "index", "x", VectorFile(tmp_path / "x.f16", DIM)).save(index)
    later = Snapshots(tmp_path / "index", "x", VectorFile(tmp_path / "x.f16", DIM), oldest=13)
    assert later.load(20) is None
    assert later.newest_seq() == 0
    same = Snapshots(tmp_path / "index", "x", VectorFile(tmp_path / "x.f16", DIM), oldest=12)
    assert same.load(20) is not None
    assert same.newest_seq() == 12
