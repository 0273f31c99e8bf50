"""Recall of an index is counted against exact search, ties found, on any index and every kind."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsearch.errors import InputError, UsageError
from mmsearch.evaluation import ground_truth
from mmsearch.evaluation.ground_truth import IndexCurve, exact_threshold, measure_index
from mmsearch.index.brute import BruteForceIndex
from mmsearch.index.faiss_index import FaissIndex
from mmsearch.index.kinds import Kind, Setting, build_settings, kinds_for
from mmsearch.types import Progress


def unit(count: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def eye(dim: int) -> np.ndarray:
    return np.eye(dim, dtype=np.float32)


def answering(answers: list[list[int]], family: str = "fixed") -> Setting:
    """A setting that gives `answers`, one row a query, whatever it is asked."""
    table = np.array(answers, np.int64)

    def search(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        ids = table[: len(queries), :k]
        return np.zeros(ids.shape, np.float32), ids

    return Setting(family, search)


@pytest.fixture(scope="module")
def curve() -> IndexCurve:
    """All kinds on 900 vectors in clusters, asked a little beside them."""
    centres = unit(30, 32, 1)
    random = np.random.default_rng(2)
    rows = np.repeat(centres, 30, axis=0) + 0.1 * random.normal(size=(900, 32))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    queries = rows[::18] + 0.05 * random.normal(size=(50, 32)).astype(np.float32)
    return measure_index(rows, queries, k=5)


@pytest.mark.parametrize("index", [BruteForceIndex(16), FaissIndex(16)])
def test_exact_indexes_behind_the_protocol_find_everything(
    index: BruteForceIndex | FaissIndex,
) -> None:
    rows = unit(80).astype(np.float16).astype(np.float32)
    names = np.arange(1000, 1080)[::-1].copy()
    index.add(names, rows)
    setting = Setting.of(index, "exact", bytes_per_vector=64)
    (point,) = measure_index(rows, unit(20, seed=9), 7, settings=[setting], ids=names).points
    assert (point.recall, point.label, point.bytes_per_vector) == (1, "exact", 64)
    assert 0 < point.p50_ms <= point.p95_ms


def test_items_that_tie_with_the_last_neighbour_count_as_found() -> None:
    rows = eye(4)[[0, 1, 1, 1, 2]]
    query = np.array([[0.8, 0.6, 0, 0]], np.float32)
    for answer in ([0, 1], [0, 2], [3, 0]):
        (point,) = measure_index(rows, query, 2, settings=[answering([answer])]).points
        assert point.recall == 1, answer
    (point,) = measure_index(rows, query, 2, settings=[answering([[0, 4]])]).points
    assert point.recall == 0.5


def test_an_answer_given_twice_or_not_at_all_is_not_two_found() -> None:
    rows, query = eye(3), np.array([[0.9, 0.4, 0.1]], np.float32)
    for answer in ([0, 0], [0, -1]):
        (point,) = measure_index(rows, query, 2, settings=[answering([answer])]).points
        assert point.recall == 0.5, answer


def test_an_answer_that_is_no_id_is_refused() -> None:
    with pytest.raises(UsageError, match="fixed answered 7, which is no id of the 3 vectors"):
        measure_index(eye(3), eye(3)[:1], 1, settings=[answering([[7]])])


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(2, 40),
    k=st.integers(1, 50),
    block=st.integers(1, 50),
    seed=st.integers(0, 10_000),
)
def test_recall_without_ties_is_the_overlap_of_two_sets(
    count: int, k: int, block: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    rows, queries = unit(count, 8, seed), unit(3, 8, seed + 1)
    cut = min(k, count)
    answers = np.array([random.permutation(count)[:cut] for _ in queries])
    exact = np.argsort(-(queries @ rows.T), axis=1)[:, :cut]
    overlap = [
        len(set(a) & set(b)) / cut for a, b in zip(answers.tolist(), exact.tolist(), strict=True)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ground_truth, "QUERIES_AT_ONCE", 2)
        patch.setattr(ground_truth, "VECTORS_AT_ONCE", block)
        (point,) = measure_index(rows, queries, k, settings=[answering(answers.tolist())]).points
    assert point.recall == pytest.approx(np.mean(overlap))


def test_threshold_is_the_kth_largest_inner_product() -> None:
    rows, queries = unit(100), unit(6, seed=3)
    expected = np.sort(queries.astype(np.float64) @ rows.T.astype(np.float64), axis=1)[:, -4]
    np.testing.assert_allclose(exact_threshold(rows, queries, 4), expected, atol=1e-12)


def test_every_kind_is_measured_and_more_effort_never_costs_recall(curve: IndexCurve) -> None:
    families: dict[str, list[float]] = {}
    for point in curve.points:
        families.setdefault(point.family, []).append(point.recall)
        assert 0 <= point.recall_low <= point.recall <= point.recall_high <= 1
        assert 0 < point.p50_ms <= point.p95_ms
        assert point.bytes_per_vector is not None
        assert point.build_s is not None
    assert list(families) == [
        "exact float16",
        "exact 8 bit",
        "HNSW32 float16",
        "IVF23 float16",
        "RaBitQ + float16",
    ]
    for family, recalls in families.items():
        assert recalls == sorted(recalls), family
        assert recalls[-1] >= 0.95, family
    assert families["exact float16"][0] >= 0.99
    assert families["IVF23 float16"][0] < 1  # one list of 23 does lose something here


def test_sizes_are_those_of_the_codes(curve: IndexCurve) -> None:
    sizes = {point.family: point.bytes_per_vector or 0 for point in curve.points}
    assert sizes["exact float16"] == pytest.approx(2 * 32, abs=1)
    assert sizes["exact 8 bit"] == pytest.approx(32, abs=1)
    assert sizes["HNSW32 float16"] > 2 * 32 + 2 * 32 * 4  # and 64 links of 4 bytes at the ground


def test_too_few_vectors_leave_ivf_out_with_a_note() -> None:
    kinds, (note, *_) = kinds_for(100, 8)
    assert "IVF" not in "".join(kind.factory for kind in kinds)
    assert note == "IVF is left out: 100 vectors cannot train 4 lists (156 could)"
    curve = measure_index(unit(100, 8), unit(5, 8, 1), 3)
    assert curve.notes == (note,)
    assert note in curve.table()


def test_progress_names_each_kind_when_it_is_begun_and_done() -> None:
    seen: list[Progress] = []
    kinds = [Kind("a", "SQfp16"), Kind("b", "SQ8")]
    built = list(build_settings(unit(50), kinds, seen.append))
    assert [setting.label for setting in built] == ["a", "b"]
    assert seen == [
        Progress("measuring a", 0, 2),
        Progress("measuring a", 1, 2),
        Progress("measuring b", 1, 2),
        Progress("measuring b", 2, 2),
    ]


def test_kind_that_faiss_does_not_know_is_refused() -> None:
    with pytest.raises(UsageError, match="FAISS cannot build 'Magic' on 50 vectors"):
        list(build_settings(unit(50), [Kind("x", "Magic")]))
    with pytest.raises(UsageError, match="'speed' is no search parameter"):
        list(build_settings(unit(50), [Kind("x", "SQ8", "speed", (1,))]))


def test_curve_survives_json(curve: IndexCurve) -> None:
    assert IndexCurve.from_json(json.loads(json.dumps(curve.to_json()))) == curve
    with pytest.raises(InputError, match="format None, expected 1"):
        IndexCurve.from_json({})
    with pytest.raises(InputError, match="lacks or distorts 'points'"):
        IndexCurve.from_json({k: v for k, v in curve.to_json().items() if k != "points"})


def test_tables_have_a_row_for_each_setting(curve: IndexCurve) -> None:
    lines = curve.table().splitlines()
    assert lines[0].startswith("900 vectors of 32 numbers, 50 queries, k = 5, ")
    assert " ".join(lines[1].split()) == "index recall@5 95 % CI p50 ms p95 ms B/vector build s"
    assert len(lines) == len(curve.points) + 2
    rows = [line for line in curve.markdown().splitlines() if line.startswith("| ")]
    assert len(rows) == len(curve.points) + 2
    assert {row.count("|") for row in rows} == {8}


@pytest.mark.parametrize(
    ("vectors", "queries", "k", "message"),
    [
        (eye(3), eye(3), 0, "k is 0"),
        (np.empty((0, 3)), eye(3), 1, "vectors have shape"),
        (eye(3), eye(3)[0], 1, "queries have shape"),
        (eye(3), eye(4), 1, "different encoders"),
        (np.full((2, 2), np.nan), eye(2), 1, "not finite"),
    ],
)
def test_input_that_cannot_be_searched_is_refused(
    vectors: np.ndarray, queries: np.ndarray, k: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        measure_index(vectors, queries, k)


def test_ids_and_settings_must_fit() -> None:
    one = answering([[0]])
    with pytest.raises(UsageError, match="2 ids for 3 vectors"):
        measure_index(eye(3), eye(3)[:1], 1, settings=[one], ids=np.arange(2))
    with pytest.raises(UsageError, match="no index to measure"):
        measure_index(eye(3), eye(3)[:1], 1, settings=[])
