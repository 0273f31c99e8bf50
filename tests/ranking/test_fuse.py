"""Fusion equals its formulas, item by item, and its parts add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.errors import UsageError
from mmsearch.ranking.fuse import Fused, Source, reciprocal_rank, weighted
from mmsearch.ranking.ranked import Ranked, ranked

Scored = dict[int, float]
SCORES = st.dictionaries(st.integers(0, 12), st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=8)
LISTS = st.lists(SCORES, min_size=1, max_size=4)
WEIGHTS = st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=4, max_size=4)


def ranking(scored: Scored) -> Ranked:
    return ranked(np.array(list(scored.values()), float), np.array(list(scored), np.int64))


def sources(lists: list[Scored], weights: list[float]) -> list[Source]:
    return [
        Source(f"list {n}", ranking(one), weight)
        for n, (one, weight) in enumerate(zip(lists, weights, strict=False))
    ]


def rank_in(scored: Scored, item: int) -> int:
    """The obvious way: how many come before, ties by id."""
    return 1 + sum((-s, i) < (-scored[item], item) for i, s in scored.items())


@given(LISTS, WEIGHTS)
def test_reciprocal_rank_fusion_is_its_formula(lists: list[Scored], weights: list[float]) -> None:
    fused = reciprocal_rank(sources(lists, weights))
    wanted = {
        item: sum(
            w / (60 + rank_in(s, item)) for s, w in zip(lists, weights, strict=False) if item in s
        )
        for item in set().union(*lists)
    }
    assert dict(zip(fused.ids.tolist(), fused.scores.tolist(), strict=True)) == pytest.approx(
        wanted
    )
    check_parts(fused, lists)


@given(LISTS, WEIGHTS, st.sampled_from([0.0, 0.1]))
def test_weighted_fusion_is_its_formula(
    lists: list[Scored], weights: list[float], missing: float
) -> None:
    fused = weighted(sources(lists, weights), missing)
    used = weights[: len(lists)]
    wanted = {
        item: sum(w * s.get(item, missing) for s, w in zip(lists, used, strict=True)) / sum(used)
        for item in set().union(*lists)
    }
    assert dict(zip(fused.ids.tolist(), fused.scores.tolist(), strict=True)) == pytest.approx(
        wanted
    )
    check_parts(fused, lists)


def check_parts(fused: Fused, lists: list[Scored]) -> None:
    pairs = list(zip(fused.scores.tolist(), fused.ids.tolist(), strict=True))
    assert pairs == sorted(pairs, key=lambda pair: (-pair[0], pair[1]))
    for row, (score, item) in enumerate(pairs):
        parts = fused.explain(row)
        assert sum(part.contribution for part in parts) == pytest.approx(score)
        for part, scored in zip(parts, lists, strict=True):
            assert part.rank == (rank_in(scored, item) if item in scored else None)
            assert part.score == scored.get(item)


@given(LISTS, st.permutations(range(4)))
def test_the_order_of_the_lists_does_not_matter(lists: list[Scored], order: list[int]) -> None:
    straight = reciprocal_rank(sources(lists, [1.0] * 4))
    shuffled = reciprocal_rank(sources([lists[n] for n in order if n < len(lists)], [1.0] * 4))
    assert dict(zip(straight.ids.tolist(), straight.scores.tolist(), strict=True)) == pytest.approx(
        dict(zip(shuffled.ids.tolist(), shuffled.scores.tolist(), strict=True))
    )


def test_an_item_that_both_lists_like_beats_the_first_of_one() -> None:
    words = Source("words", ranking({1: 9.0, 2: 8.0}))
    vectors = Source("vectors", ranking({3: 0.4, 2: 0.3}))
    assert reciprocal_rank([words, vectors]).ids.tolist() == [2, 1, 3]


def test_no_list_and_bad_weights_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        reciprocal_rank([])
    for weight in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="'words'"):
            weighted([Source("words", ranking({1: 1.0}), weight)])
    with pytest.raises(UsageError, match="constant"):
        reciprocal_rank([Source("words", ranking({1: 1.0}))], constant=-1)


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(UsageError, match="item 7"):
        ranking({3: 1.0, 7: float("nan")})


def test_lists_without_items_fuse_to_nothing() -> None:
    fused = reciprocal_rank([Source("words", ranking({})), Source("vectors", ranking({}))])
    assert len(fused.ranking) == 0
