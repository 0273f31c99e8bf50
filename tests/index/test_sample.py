"""What an index is measured with: users ask by words, whatever the collection holds."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import closing

import numpy as np
import numpy.typing as npt
import pytest

import mmsearch
from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.rows import live_rows
from mmsearch.errors import ModelError
from mmsearch.index.build import Sample, build
from mmsearch.index.goals import Goals
from mmsearch.index.planner import Choice
from mmsearch.layout import Layout
from mmsearch.search.bank import TYPICAL_QUERIES
from mmsearch.search.sample import SAMPLE, sample_queries
from mmsearch.types import TextEncoder
from tests.index.worlds import clustered
from tests.support import ColourEncoder

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


def sampled(layout: Layout, encoder: TextEncoder | None) -> Sample:
    """None: a model that cannot be loaded."""

    def load() -> TextEncoder:
        if encoder is None:
            raise ModelError("its file is gone")
        return encoder

    with closing(Catalog(layout.catalog)) as catalog:
        info = catalog.encoder()
        assert info is not None
        rows = live_rows(catalog, info.fingerprint, "text")[1]
        return sample_queries(catalog, info, layout.vector_file(info), "text", rows, load)


def recall_of_words(layout: Layout, sample: Sample) -> float:
    """Of everyday words that no sample holds, in lists that were measured with `sample`."""
    with closing(Catalog(layout.catalog)) as catalog:
        info = catalog.encoder()
        assert info is not None
        ids, rows = live_rows(catalog, info.fingerprint, "text")
    store = layout.vector_file(info)
    words = FarWords().encode_texts([f"{words}, seen again" for words in TYPICAL_QUERIES])
    truth = np.argsort(-(words @ store.read(rows).T), axis=1)[:, :10]
    index = build(Choice("ivf", 64, ""), ids, rows, store, GOALS, sample)
    assert index.kind == "ivf"
    found = index.search(words, 10)[1]
    return float(
        np.mean([np.isin(one, ids[best]).mean() for one, best in zip(found, truth, strict=True)])
    )


def test_an_index_finds_what_words_ask_for_though_it_holds_nothing_like_them(
    layout: Layout,
) -> None:
    sample = sampled(layout, FarWords())
    assert [len(group) for group in sample.groups] == [SAMPLE, len(TYPICAL_QUERIES)]
    assert recall_of_words(layout, Sample(sample.groups[:1])) < 0.8
    assert recall_of_words(layout, sample) >= GOALS.recall


def test_a_model_that_cannot_be_loaded_leaves_its_words_out_and_says_so(
    layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    assert [len(group) for group in sampled(layout, None).groups] == [SAMPLE]
    assert "not measured with typical words: its file is gone" in caplog.text
