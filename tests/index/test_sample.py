"""What an index is measured with: users ask by words, whatever the collection holds."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pytest

import mmsearch
from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo
from mmsearch.catalog.rows import live_rows
from mmsearch.catalog.vectors import VectorFile
from mmsearch.index import build as build_module
from mmsearch.index.build import Sample, build, calibrate, measure_again, with_margin
from mmsearch.index.coded_index import CodedIndex
from mmsearch.index.engine import EngineIndex
from mmsearch.index.goals import Goals
from mmsearch.index.planner import Choice, drifted
from mmsearch.layout import Layout
from mmsearch.search.bank import TYPICAL_QUERIES
from mmsearch.search.sample import SAMPLE, sample_queries
from mmsearch.types import TextEncoder
from tests.index.worlds import clustered
from tests.support import ColourEncoder

if TYPE_CHECKING:
    from mmsearch.types import Ids, Vectors

SIZE = 6_000
DIM = 32
GOALS = Goals(recall=0.95)


class FarWords(ColourEncoder):
    """A text "7" is the seventh of many clustered vectors; words lie outside of all clusters."""

    def __init__(self) -> None:
        super().__init__(dim=DIM)
        self._vectors = clustered(SIZE, DIM)

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([self._one(text) for text in texts], np.float32)

    def _one(self, text: str) -> npt.NDArray[np.float32]:
        if text.isdigit():
            known: npt.NDArray[np.float32] = self._vectors[int(text)]
            return known
        row = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(DIM)
        return (row / np.linalg.norm(row)).astype(np.float32)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    path = tmp_path_factory.mktemp("numbers") / ".mmsearch"
    with mmsearch.open(path, create=True, encoder=FarWords()) as opened:
        opened.upsert([{"key": str(n), "text": str(n)} for n in range(SIZE)])
    return Layout(path)


def sampled(layout: Layout, tower: TextEncoder | None) -> Sample:
    with closing(Catalog(layout.catalog)) as catalog:
        info = catalog.encoder()
        assert info is not None
        rows = live_rows(catalog, info.fingerprint, "text")[1]
        return sample_queries(catalog, info, layout.vector_file(info), "text", rows, tower)


def recall_of_words(layout: Layout, sample: Sample) -> float:
    """Of everyday words that no sample holds, in lists that were measured with `sample`."""
    with closing(Catalog(layout.catalog)) as catalog:
        info = catalog.encoder()
        assert info is not None
        ids, rows = live_rows(catalog, info.fingerprint, "text")
    store = layout.vector_file(info)
    words = FarWords().encode_texts([f"{words}, seen again" for words in TYPICAL_QUERIES])
    index = build(Choice("ivf", 64, ""), ids, rows, store, GOALS, sample)
    assert index.kind == "ivf"
    return recall(index, words, ids, store.read(rows))


def test_an_index_finds_what_words_ask_for_though_it_holds_nothing_like_them(
    layout: Layout,
) -> None:
    sample = sampled(layout, FarWords())
    assert [len(group) for group in sample.groups] == [SAMPLE, len(TYPICAL_QUERIES)]
    assert recall_of_words(layout, Sample(sample.groups[:1])) < 0.8
    assert recall_of_words(layout, sample) >= GOALS.recall


def test_no_model_is_loaded_for_it(layout: Layout) -> None:
    assert [len(group) for group in sampled(layout, None).groups] == [SAMPLE]


class Odd(FarWords):
    """Gives or raises what it is told to, for words."""

    def __init__(self, rows: Any) -> None:
        super().__init__()
        self._rows = rows

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if isinstance(self._rows, Exception):
            raise self._rows
        return cast("npt.NDArray[np.float32]", self._rows)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (RuntimeError("429 too many requests"), "429 too many requests"),
        (NotImplementedError(), "NotImplementedError"),
        (np.full((len(TYPICAL_QUERIES), DIM), np.nan), "no vectors"),
        (np.zeros((len(TYPICAL_QUERIES), DIM)), "no vectors"),
        (np.ones((len(TYPICAL_QUERIES), DIM + 1)), "no vectors"),
        (np.ones(DIM), "no vectors"),
    ],
    ids=["its own error", "no texts", "nan", "zeros", "another length", "one row"],
)
def test_an_encoder_that_fails_leaves_its_words_out_and_says_so(
    layout: Layout, caplog: pytest.LogCaptureFixture, rows: Any, said: str
) -> None:
    assert [len(group) for group in sampled(layout, Odd(rows)).groups] == [SAMPLE]
    assert said in caplog.text


def test_rows_of_words_are_made_unit(layout: Layout) -> None:
    rows = 30 * FarWords().encode_texts(TYPICAL_QUERIES)
    words = sampled(layout, Odd(rows)).groups[1]
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1, rtol=1e-5)


def test_an_index_that_has_grown_by_other_things_is_measured_again(tmp_path: Path) -> None:
    near, far = clustered(SIZE, DIM), clustered(SIZE, DIM, seed=9) * np.float32(-1)
    store = VectorFile(tmp_path / "v.f16", DIM)
    store.append(0, near)
    store.append(SIZE, far[: SIZE // 2])
    old, every = np.arange(SIZE), np.arange(SIZE + SIZE // 2)
    choice = Choice("ivf", 64, "lists")
    index = build(choice, old, old, store, GOALS, Sample((near[:128],)))
    assert isinstance(index, CodedIndex)
    index.add_rows(every[SIZE:], every[SIZE:])
    queries = far[SIZE // 2 :][:300]
    before = recall(index, queries, every, store.read(every))
    assert drifted(index.measured_for, len(index))
    assert measure_again(index, choice, store, GOALS, Sample((near[:128], far[:128])))
    assert not drifted(index.measured_for, len(index))
    assert before < GOALS.recall <= recall(index, queries, every, store.read(every))


def test_more_candidates_are_tried_until_the_whole_margin_is_found(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def found(*arguments: Any) -> dict[int, float]:
        most = arguments[-1]
        tried.append(most)
        return {most: {400: 0.9955, 1200: 0.9980, 3200: 1.0}[most]}

    monkeypatch.setattr(build_module, "found_by_depth", found)
    index = cast("CodedIndex", SimpleNamespace(lists=1))
    sample = Sample((clustered(8, DIM),))
    store = layout.vector_file(EncoderInfo("", "f", DIM))
    assert calibrate(index, store, sample, np.zeros(8, np.float32), 0.99)[0].candidates == 1200
    assert tried == [400, 1200]
    assert with_margin(0.99, 1) == pytest.approx(0.995)
    assert with_margin(0.99, 0.992) == pytest.approx(0.991)


def recall(index: EngineIndex, queries: Vectors, ids: Ids, vectors: Vectors) -> float:
    truth = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    found = index.search(queries, 10)[1]
    return float(
        np.mean([np.isin(one, ids[best]).mean() for one, best in zip(found, truth, strict=True)])
    )
