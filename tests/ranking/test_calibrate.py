"""Relevances of a world with known concepts: ordered, in range, and low for what is not there."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest

from mmsearch.errors import UsageError
from mmsearch.ranking import calibrate
from mmsearch.ranking.calibrate import Background, fit

Array = npt.NDArray[np.float32]
D, CONCEPTS, EACH = 64, 40, 12


def unit(rows: npt.NDArray[np.floating]) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


class World:
    """Items around concepts, all shifted by one direction (as pictures of CLIP are), some of them
    near to every query; queries name a concept. The last ten concepts have no item."""

    def __init__(self, near_to_all: float = 1.0) -> None:
        self.random = np.random.default_rng(0)
        self.concepts = self.random.normal(size=(CONCEPTS, D))
        self.shift = 8 * self.random.normal(size=D) / np.sqrt(D)
        member = np.repeat(np.arange(CONCEPTS - 10), EACH)
        self.items = self.rows(member, 1.0) + self.shift
        self.hub = near_to_all * self.random.normal(size=D)
        self.items[::9] += self.hub
        self.items = unit(self.items)

    def rows(self, member: npt.NDArray[np.int64], noise: float) -> npt.NDArray[np.float64]:
        return self.concepts[member] + noise * self.random.normal(size=(len(member), D))

    def queries(self, low: int, high: int, n: int) -> Array:
        return unit(self.rows(self.random.integers(low, high, n), 0.9) + self.hub)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def background(world: World) -> Background:
    return fit(world.queries(0, CONCEPTS - 10, 300), world.items)


def best(query: Array, items: Array) -> tuple[Array, Array]:
    """Scores and vectors of all items, best first."""
    scores = items @ query
    order = np.argsort(-scores, kind="stable")
    return scores[order], items[order]


def top(background: Background, queries: Array, items: Array) -> npt.NDArray[np.float64]:
    return np.array([background.relevance(q, *best(q, items))[0] for q in queries])


def test_relevance_tells_the_absent_from_the_present_better_than_the_cosine(
    world: World, background: Background
) -> None:
    present, absent = world.queries(0, 30, 400), world.queries(30, 40, 400)
    here, gone = (top(background, queries, world.items) for queries in (present, absent))
    refused = (gone < background.least).mean()
    assert (here < background.least).mean() < 0.08
    cosine_here, cosine_gone = ((q @ world.items.T).max(axis=1) for q in (present, absent))
    by_cosine = (cosine_gone < np.quantile(cosine_here, 0.05)).mean()
    assert refused > by_cosine + 0.3
    assert np.median(here) > 0.5 > np.median(gone)


def test_relevance_falls_with_the_score_and_stays_in_range(
    world: World, background: Background
) -> None:
    for query in world.queries(0, 40, 20):
        scores, vectors = best(query, world.items)
        relevance = background.relevance(query, scores, vectors[: calibrate.DEPTH])
        assert ((relevance >= 0) & (relevance <= 1)).all()
        assert (np.diff(relevance) <= 0).all()


def test_all_but_a_twentieth_of_the_bank_reach_the_threshold(world: World) -> None:
    bank = world.queries(0, 30, 200)
    background = fit(bank, world.items)
    refused = (top(background, bank, world.items) < background.least).mean()
    assert refused == pytest.approx(calibrate.REFUSED, abs=0.011)


def test_evidence_is_its_formula(world: World, background: Background) -> None:
    query = world.queries(0, 30, 1)[0]
    _, vectors = best(query, world.items)
    c = [float(x @ (query - background.typical)) for x in vectors[:30]]
    wanted = np.log(sum(np.exp(2 * one / background.spread) for one in c) / 30) / 2
    assert background.evidence(query, vectors) == pytest.approx(wanted, abs=1e-3)


def test_fewer_candidates_are_less_evidence_and_none_is_no_relevance(
    world: World, background: Background
) -> None:
    query = world.queries(0, 30, 1)[0]
    scores, vectors = best(query, world.items)
    few = background.relevance(query, scores[:3], vectors[:3])
    assert few[0] < background.relevance(query, scores, vectors)[0]
    assert len(background.relevance(query, scores[:0], vectors[:0])) == 0
    assert background.evidence(query, vectors[:0]) == -np.inf


def test_one_item_that_is_just_right_is_a_match_among_many_that_are_not(
    world: World, background: Background
) -> None:
    query = world.queries(30, 40, 1)[0]
    before = top(background, query[None], world.items)[0]
    target = unit(query[None] + 0.3 * world.items.mean(axis=0))
    after = top(background, query[None], np.concatenate([world.items, target]))[0]
    assert after > before


def test_searches_within_one_modality_do_not_count_the_query_itself(world: World) -> None:
    own = np.arange(0, len(world.items), 3)
    without = fit(world.items[own], world.items, own)
    counted = fit(world.items[own], world.items)
    assert without.middle < counted.middle


def test_a_background_comes_back_from_json(background: Background) -> None:
    again = Background.from_json(json.loads(json.dumps(background.to_json())))
    assert again.to_json() == background.to_json()
    assert again.typical.dtype == np.float32


def test_the_order_of_the_bank_does_not_matter(world: World) -> None:
    bank = world.queries(0, 30, 100)
    one, two = fit(bank, world.items), fit(bank[::-1], world.items)
    assert one.middle == pytest.approx(two.middle, abs=1e-3)
    assert one.slope == pytest.approx(two.slope, rel=1e-2)


def test_blocks_do_not_change_the_result(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = world.queries(0, 30, 100)
    whole = fit(bank, world.items)
    monkeypatch.setattr(calibrate, "_BLOCK", 7)
    assert fit(bank, world.items).middle == pytest.approx(whole.middle, abs=1e-5)


def test_what_cannot_be_measured_is_refused(world: World) -> None:
    bank = world.queries(0, 30, 100)
    with pytest.raises(UsageError, match="too few"):
        fit(bank[:10], world.items)
    with pytest.raises(UsageError, match="too few"):
        fit(bank, world.items[:10])
    with pytest.raises(UsageError, match="score the same"):
        fit(np.tile(bank[:1], (50, 1)), world.items)
    hidden = World(near_to_all=3.0)
    with pytest.raises(UsageError, match="no more like them"):
        fit(hidden.queries(0, 30, 100), hidden.items)


@pytest.mark.parametrize("value", [{}, {"typical": "x"}, {"typical": [1.0], "spread": "wide"}])
def test_json_that_is_no_background_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="not a background"):
        Background.from_json(value)


def test_threshold_can_be_reached_where_the_answerable_stand_far_out() -> None:
    random = np.random.default_rng(3)
    corpus = np.eye(64, dtype=np.float32)[random.permutation(64)]
    noise = random.normal(size=(64, 64)).astype(np.float32) / 1e4
    bank = (corpus + noise) / np.linalg.norm(corpus + noise, axis=1, keepdims=True)
    background = fit(bank, corpus)
    assert background.least < 1
    assert Background.from_json({**background.to_json(), "least": 1.0}).least < 1
