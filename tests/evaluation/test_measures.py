"""Known answers, and equality with trec_eval on random graded runs full of ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsearch.errors import InputError, UsageError
from mmsearch.evaluation.evaluate import evaluate_embeddings, evaluate_run, rank_embeddings
from mmsearch.evaluation.measures import (
    DEFAULT_MEASURES,
    DEFINITIONS,
    Measure,
    parse_measure,
    per_query,
    precision_at_recall,
)
from mmsearch.evaluation.ranks import Judgements, Ranker, ranks_in_run, tie_order
from mmsearch.evaluation.reference import trec_measures
from mmsearch.evaluation.result import MEDIAN_RANK, Evaluation
from mmsearch.evaluation.task import Subject, Task
from mmsearch.evaluation.trec import as_run, ranked

ALL = (
    *DEFAULT_MEASURES,
    *(parse_measure(m) for m in ("nDCG", "nDCG@3", "AP@3", "P@20", "recall@20")),
)
SUBJECT = Subject("model", "f00d")


def values(qrels: dict[str, dict[str, int]], run: dict[str, dict[str, float]]) -> dict[str, float]:
    found = ranks_in_run(qrels, ranked(run), list(qrels))
    return {name: float(one[0]) for name, one in per_query(found, ALL).items()}


def test_hand_made_ranking_has_the_figures_worked_out_by_hand() -> None:
    # Relevant at ranks 1, 3 and, of grade 2, never: R = 3.
    got = values(
        {"q": {"a": 1, "c": 2, "lost": 2, "b": 0}},
        {"q": {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}},
    )
    assert got["hit@1"] == 1
    assert got["recall@5"] == pytest.approx(2 / 3)
    assert got["precision@5"] == pytest.approx(2 / 5)
    assert got["AP"] == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert got["AP@3"] == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert got["RR"] == 1
    assert got["R-precision"] == pytest.approx(2 / 3)
    dcg = 1 / np.log2(2) + 2 / np.log2(4)
    ideal = 2 / np.log2(2) + 2 / np.log2(3) + 1 / np.log2(4)
    assert got["nDCG@10"] == pytest.approx(dcg / ideal)
    assert got[MEDIAN_RANK] == 1


def test_ap_under_a_cut_off_still_divides_by_all_relevant_items() -> None:
    run = {"q": {name: -float(rank) for rank, name in enumerate("abcdef")}}
    got = values({"q": dict.fromkeys("adef", 1)}, run)
    assert got["AP@3"] == pytest.approx(1 / 4)


def test_equal_scores_are_broken_by_descending_id() -> None:
    run = {"q": {"a": 0.5, "b": 0.5, "c": 0.5}}
    assert [values({"q": {item: 1}}, run)[MEDIAN_RANK] for item in "abc"] == [3, 2, 1]


def test_scores_that_a_32_bit_float_cannot_tell_apart_are_equal() -> None:
    got = values({"q": {"a": 1}}, {"q": {"a": 0.5 + 1e-12, "b": 0.5}})
    assert got[MEDIAN_RANK] == 2
    assert (
        trec_measures({"q": {"a": 1}}, {"q": {"a": 0.5 + 1e-12, "b": 0.5}}, ["q"], ALL)["RR"] == 0.5
    )


def random_case(
    seed: int,
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Graded judgements (some negative-only, some of absent items) and a run with many ties."""
    random = np.random.default_rng(seed)
    items = [f"d{number}" for number in range(random.integers(2, 40))]
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    for query in range(random.integers(1, 6)):
        judged = random.choice(items, random.integers(1, len(items) + 1), replace=False)
        qrels[f"q{query}"] = {str(item): int(random.integers(0, 4)) for item in judged}
        if random.random() < 0.9:
            returned = random.choice(items, random.integers(1, len(items) + 1), replace=False)
            run[f"q{query}"] = {str(i): float(random.integers(-3, 4)) / 7 for i in returned}
    return qrels, run


@pytest.mark.parametrize("seed", range(200))
def test_every_measure_equals_trec_eval_on_random_graded_runs_with_ties(seed: int) -> None:
    qrels, run = random_case(seed)
    found = ranks_in_run(qrels, ranked(run), list(qrels))
    ours = per_query(found, ALL)
    theirs = trec_measures(qrels, run, list(qrels), ALL)
    assert set(theirs) == set(ours) - {MEDIAN_RANK}
    for name, reference in theirs.items():
        np.testing.assert_allclose(ours[name], reference, rtol=0, atol=1e-9, err_msg=name)


def test_interpolated_precision_equals_trec_evals() -> None:
    import ir_measures

    levels = {ir_measures.IPrec @ (level / 10): level for level in range(11)}
    for seed in range(40):
        qrels, run = random_case(seed)
        answered = {query: run.get(query, {}) for query in qrels}
        if not any(answered.values()):
            continue
        reference = np.zeros(11)
        judged = {query: qrels[query] for query in qrels}
        for metric in ir_measures.pytrec_eval.iter_calc(
            list(levels), judged, {q: r for q, r in answered.items() if r}
        ):
            reference[levels[metric.measure]] += metric.value / len(qrels)
        ours = precision_at_recall(ranks_in_run(qrels, ranked(run), list(qrels)))
        np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_ranks_from_vectors_equal_sorting_pairs_of_score_and_id(seed: int, same: bool) -> None:
    random = np.random.default_rng(seed)
    q, g = random.integers(1, 6), random.integers(1, 30)
    # Small whole numbers: products are exact, so equal scores are truly equal.
    gallery = random.integers(-1, 2, (g, 3)).astype(np.float32)
    queries = random.integers(-1, 2, (q, 3)).astype(np.float32)
    items = [f"i{n}" for n in random.permutation(g)]
    own = [random.permutation(g)[: random.integers(0, 3)] for _ in range(q)] if same else None
    qrels = {
        str(row): {
            str(i): 1 for i in random.choice(items, random.integers(0, g + 1), replace=False)
        }
        for row in range(q)
    }
    names = list(qrels)
    ranker = Ranker(queries, gallery, items, own)
    judgements = Judgements.of(qrels, names, items)
    found = ranker.ranks(judgements)
    order, _ = ranker.top(7)
    for row in range(q):
        exact = {
            item: float(score) for item, score in zip(items, gallery @ queries[row], strict=True)
        }
        mine = [] if own is None else [items[i] for i in own[row]]
        exact |= dict.fromkeys(mine, -np.inf)
        ranking = sorted(exact, key=lambda item: (exact[item], item), reverse=True)
        wanted = sorted(ranking.index(item) + 1 for item in qrels[names[row]])
        got = found.ranks[found.starts[row] : found.starts[row + 1]].tolist()
        shown = [items[i] for i in order[row] if i >= 0]
        # Relevant items other than the query itself.
        others = [r for r in wanted if ranking[r - 1] not in mine]
        assert [r for r in got if r in others] == others
        assert len(got) == len(wanted)
        assert not set(mine) & set(shown)
        clean = [item for item in ranking if exact[item] != -np.inf][:7]
        assert shown == clean


def test_all_ways_to_the_same_ranking_have_the_same_figures() -> None:
    random = np.random.default_rng(3)
    gallery = random.normal(size=(60, 8)).astype(np.float32)
    queries = random.normal(size=(20, 8)).astype(np.float32)
    items = tuple(f"i{n}" for n in range(60))
    names = tuple(f"q{n}" for n in range(20))
    qrels = {q: {items[i]: int(random.integers(0, 3)) for i in range(0, 60, 7)} for q in names}
    task = Task("random", None, "text to image", names, items, qrels)
    direct = evaluate_embeddings(task, queries, gallery, SUBJECT, measures=ALL)
    run = as_run(rank_embeddings(task, queries, gallery, 60))
    exported = evaluate_run(task, run, SUBJECT, measures=ALL)
    for name, one in direct.measures.items():
        np.testing.assert_allclose(one, exported.measures[name], rtol=0, atol=1e-9, err_msg=name)
    for mine, theirs in zip(direct.best, exported.best, strict=True):
        assert [one.id for one in mine.results] == [one.id for one in theirs.results]
        assert [(one.id, one.rank) for one in mine.relevant] == [
            (one.id, one.rank) for one in theirs.relevant
        ]
    assert direct.worst[0].value == min(direct.measures["AP"])


def test_means_lie_between_0_and_1_and_grow_with_k() -> None:
    for seed in range(30):
        qrels, run = random_case(seed)
        got = per_query(ranks_in_run(qrels, ranked(run), list(qrels)), ALL)
        for name, one in got.items():
            if name != MEDIAN_RANK:
                assert ((one >= 0) & (one <= 1)).all(), name
        assert (got["hit@1"] <= got["hit@5"]).all()
        assert (got["recall@5"] <= got["recall@10"]).all()
        assert (got["AP@10"] <= got["AP"] + 1e-12).all()


def test_queries_without_results_count_as_zero_and_are_stated() -> None:
    qrels = {"q1": {"a": 1}, "q2": {"a": 1}}
    task = Task("d", None, "run", ("q1", "q2"), (), qrels)
    got = evaluate_run(task, {"q1": {"a": 1.0}}, SUBJECT)
    assert got.figure("hit@1") == 0.5
    assert any("does not answer 1 of 2 queries" in one for one in got.warnings)
    assert got.figure(MEDIAN_RANK) == np.inf


def test_gallery_that_lacks_relevant_items_is_stated_and_never_flatters() -> None:
    vectors = np.eye(2, dtype=np.float32)
    qrels = {"q1": {"a": 1, "gone": 1}, "q2": {"b": 1}}
    task = Task("d", None, "text to image", ("q1", "q2"), ("a", "b"), qrels)
    got = evaluate_embeddings(task, vectors, vectors, SUBJECT)
    assert got.measures["AP"].tolist() == [0.5, 1.0]
    assert any("lacks 1 of 3 relevant items" in one for one in got.warnings)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Task("d", None, "x", ("q",), ("a",), {"other": {"a": 1}}), "no query has a relevant item"),
        (Task("d", None, "x", ("q",), ("a",), {"q": {"z": 1}}), "none of the relevant items"),
        (Task("d", None, "x", (), ("a",), {"q": {"a": 1}}), "no query to evaluate"),
        (Task("d", None, "x", ("q",), (), {"q": {"a": 1}}), "the gallery is empty"),
    ],
)
def test_what_cannot_be_measured_is_an_error(task: Task, message: str) -> None:
    rows = np.ones((1, 2), np.float32)
    with pytest.raises(InputError, match=message):
        evaluate_embeddings(task, rows[: len(task.queries)], rows[: len(task.items)], SUBJECT)


def test_vectors_with_nan_are_an_error() -> None:
    rows = np.array([[np.nan, 1]], np.float32)
    task = Task("d", None, "x", ("q",), ("a",), {"q": {"a": 1}})
    with pytest.raises(InputError, match="NaN"):
        evaluate_embeddings(task, rows, np.ones((1, 2), np.float32), SUBJECT)


def test_repeated_item_ids_are_an_error() -> None:
    with pytest.raises(InputError, match="twice"):
        tie_order(["a", "b", "a"])


@pytest.mark.parametrize(
    ("text", "measure"),
    [("ndcg@10", "nDCG@10"), ("MAP", "AP"), ("mrr", "RR"), ("P@5", "precision@5")],
)
def test_measures_are_named_in_any_case(text: str, measure: str) -> None:
    assert str(parse_measure(text)) == measure


@pytest.mark.parametrize("text", ["", "hit", "hit@0", "RR@3", "ndgc@10", "accuracy", "hit@x"])
def test_unknown_measures_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        parse_measure(text)


def test_every_measure_is_defined_with_formula_convention_and_source() -> None:
    for one in DEFINITIONS.values():
        assert one.formula
        assert one.convention
        assert one.source
    assert Measure("AP", 10).mean_name == "mAP@10"


def test_evaluation_survives_json() -> None:
    import json

    vectors = np.eye(3, dtype=np.float32)
    task = Task(
        "d", "test", "text to image", ("q1", "q2", "q3"), ("a", "b", "c"),
        {"q1": {"a": 1}, "q2": {"gone": 2, "b": 1}, "q3": {"gone": 1}},
    )  # fmt: skip
    made = evaluate_embeddings(task, vectors, vectors, SUBJECT)
    back = Evaluation.from_json(json.loads(json.dumps(made.to_json(), allow_nan=False)))
    assert json.dumps(back.to_json()) == json.dumps(made.to_json())
    assert back.figure(MEDIAN_RANK) == made.figure(MEDIAN_RANK)
    assert np.isinf(back.first_relevant[2])
    with pytest.raises(InputError, match="without its queries"):
        Evaluation.from_json(made.to_json(per_query=False))
    with pytest.raises(InputError, match="not an evaluation"):
        Evaluation.from_json({})
