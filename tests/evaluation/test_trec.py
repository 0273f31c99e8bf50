"""TREC files: what is written is read back, what is wrong is an error that names the line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mmsearch.errors import InputError, StorageError, UsageError
from mmsearch.evaluation.evaluate import evaluate_embeddings, evaluate_run, rank_embeddings
from mmsearch.evaluation.files import write_lines
from mmsearch.evaluation.request import Request, measure_run_file
from mmsearch.evaluation.result import RankedRun
from mmsearch.evaluation.task import Subject, Task
from mmsearch.evaluation.trec import (
    is_qrels,
    ranked,
    read_qrels,
    read_run,
    write_qrels,
    write_run,
)
from tests.evaluation import worlds

QRELS = "q1 0 a 1\nq1 0 b 0\nq2 0 c 2\n"
RUN = "q1 Q0 a 1 0.5 tag\nq1 Q0 b 2 0.25 tag\nq2 Q0 a 1 0.5 tag\n"


def test_exported_run_and_qrels_give_the_same_figures_when_read_back(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    vectors = random.integers(-2, 3, (30, 4)).astype(np.float32)  # many ties
    items = tuple(f"i{n}" for n in range(30))
    judged = random.integers(0, 30, (9, 3)).tolist()
    qrels = {f"q{n}": {items[i]: 1 + n % 2 for i in rows} for n, rows in enumerate(judged)}
    task = Task("d", None, "image to image", tuple(qrels), items, qrels)
    direct = evaluate_embeddings(task, vectors[:9], vectors, Subject("m", "f"))
    write_run(tmp_path / "a.run", rank_embeddings(task, vectors[:9], vectors, 30), "a model")
    write_qrels(tmp_path / "a.qrels", qrels)
    request = Request(tmp_path / "a.qrels")
    again = measure_run_file(request, tmp_path / "a.run")
    assert again.index_kind == "run file"
    for name, values in direct.measures.items():
        np.testing.assert_allclose(values, again.measures[name], atol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no judgements"),
        ("q1 0 a\n", ":1: 3 columns where 4"),
        ("q1 0 a x\n", ":1: the grade 'x'"),
        ("q1 0 a 1\nq1 0 a 1\n", ":2: 'a' was already judged"),
    ],
)
def test_bad_qrels_are_errors(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "qrels").write_text(text)
    with pytest.raises(InputError, match=message):
        read_qrels(tmp_path / "qrels")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the run is empty"),
        ("q1 Q0 a 1 0.5\n", ":1: 5 columns where 6"),
        ("q1 Q0 a 1 high tag\n", ":1: the score 'high'"),
        ("q1 Q0 a 1 nan tag\n", ":1: the score is NaN"),
        ("q1 Q0 a 1 0.5 t\nq1 Q0 a 2 0.4 t\n", ":2: 'a' was already returned"),
    ],
)
def test_bad_runs_are_errors(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run").write_text(text)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path / "run")


def test_files_that_are_missing_or_no_text_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_run(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_qrels(tmp_path / "binary")
    assert not is_qrels(tmp_path / "binary")


def test_byte_order_mark_is_no_part_of_the_first_id(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text(QRELS, encoding="utf-8-sig")
    (tmp_path / "run").write_text(RUN, encoding="utf-8-sig")
    assert is_qrels(tmp_path / "qrels")
    assert list(read_qrels(tmp_path / "qrels")) == list(read_run(tmp_path / "run")) == ["q1", "q2"]


def test_ids_that_are_not_utf_8_cannot_be_exported(tmp_path: Path) -> None:
    order, scores = np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32)
    with pytest.raises(InputError, match=r"'caf\\udce9.jpg' holds bytes that are not UTF-8"):
        write_run(tmp_path / "run", RankedRun(("q",), ("caf\udce9.jpg",), order, scores), "m")
    with pytest.raises(InputError, match="not UTF-8"):
        write_qrels(tmp_path / "qrels", {"q": {"caf\udce9.jpg": 1}})


def test_ids_with_blanks_cannot_be_exported(tmp_path: Path) -> None:
    run = RankedRun(("a query",), ("i",), np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32))
    with pytest.raises(UsageError, match="blank"):
        write_run(tmp_path / "run", run, "m")
    with pytest.raises(StorageError, match="cannot write"):
        write_qrels(tmp_path / "no" / "folder", {"q": {"i": 1}})


def test_rankings_of_any_length_take_no_more_room_than_their_items() -> None:
    long = {f"i{n}": -float(n) for n in range(500)}
    run = {"long": long, **{f"q{n}": {"i7": 0.5, "i8": 0.5, "i3": 1.0} for n in range(9)}}
    lists = ranked(run)
    assert len(lists.order) == len(lists.scores) == 500 + 9 * 3
    start, stop = lists.starts[1:3].tolist()
    assert [lists.items[item] for item in lists.order[start:stop].tolist()] == ["i3", "i8", "i7"]
    qrels = {"long": {"i499": 1}, "q4": {"i8": 1}}
    task = Task("d", None, "run", tuple(qrels), (), qrels)
    got = evaluate_run(task, run, Subject("m", ""))
    assert got.first_relevant.tolist() == [500, 2]
    shown = {detail.id: [one.id for one in detail.results] for detail in got.best + got.worst}
    assert shown == {"long": [f"i{n}" for n in range(10)], "q4": ["i3", "i8", "i7"]}


def test_score_that_is_no_number_names_its_query() -> None:
    with pytest.raises(InputError, match="a NaN score for query 'b'"):
        ranked({"a": {"x": 1.0, "y": 0.0}, "b": {"x": math.nan}, "c": {"x": 1.0}})


def test_file_stays_as_it_was_where_its_new_lines_end_early(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("whole\n")

    def lines() -> Iterator[str]:
        yield "half\n"
        raise UsageError("no more")

    with pytest.raises(UsageError, match="no more"):
        write_lines(path, lines())
    assert path.read_text() == "whole\n"
    assert list(tmp_path.iterdir()) == [path]


def test_run_with_ids_of_something_else_is_an_error_or_stated(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text(QRELS)
    (tmp_path / "run").write_text(RUN.replace("q1", "x1").replace("q2", "x2"))
    with pytest.raises(InputError, match="answers none of the queries"):
        measure_run_file(Request(tmp_path / "qrels"), tmp_path / "run")
    (tmp_path / "run").write_text(RUN.replace("q2", "x2"))
    got = measure_run_file(Request(tmp_path / "qrels"), tmp_path / "run")
    assert any("1 queries of the run have no judgements" in text for text in got.warnings)
    assert any("does not answer 1 of 2" in text for text in got.warnings)
    assert got.figure("hit@1") == 0.5


def test_items_outside_a_known_gallery_count_as_wrong_and_are_stated() -> None:
    task = Task("d", None, "run", ("q",), ("a", "b"), {"q": {"a": 1}})
    got = evaluate_run(task, {"q": {"stranger": 2.0, "a": 1.0}}, Subject("m", ""))
    assert got.figure("RR") == 0.5
    assert any("not in the gallery ('stranger')" in text for text in got.warnings)


def test_run_file_is_judged_against_a_dataset(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    path = worlds.table(tmp_path / "shop.jsonl")
    (tmp_path / "run").write_text("red.png#0 Q0 red.png 1 0.9 tag\n")
    got = measure_run_file(Request(path), tmp_path / "run")
    assert got.direction == "text to image"
    assert got.measures["hit@1"].sum() == 1
    (tmp_path / "run").write_text("nothing Q0 red.png 1 0.9 tag\n")
    with pytest.raises(InputError, match="name one with --direction"):
        measure_run_file(Request(path), tmp_path / "run")
