"""Texts that were encoded before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.encoders.text_cache import TextCache
from tests.support import ColourEncoder


@given(st.lists(st.lists(st.sampled_from("abcdefg")), max_size=8), st.integers(1, 5))
def test_cache_of_any_size_gives_what_the_encoder_gives(
    batches: Sequence[Sequence[str]], size: int
) -> None:
    cache = TextCache(ColourEncoder(), size)
    for texts in batches:
        rows = cache.encode_texts(texts)
        assert rows.shape == (len(texts), cache.dim)
        if texts:
            assert np.allclose(rows, ColourEncoder().encode_texts(texts), atol=1e-6)


def test_known_text_is_not_encoded_again() -> None:
    encoder = ColourEncoder()
    cache = TextCache(encoder, 2)
    cache.encode_texts(["a", "b", "a"])
    cache.encode_texts(["b", "a"])
    assert encoder.encoded_texts == cache.misses == 2
    assert cache.hits == 3


def test_longest_unused_text_goes_first() -> None:
    encoder = ColourEncoder()
    cache = TextCache(encoder, 2)
    for text in ("a", "b", "a", "c", "a"):
        cache.encode_texts([text])
    assert encoder.encoded_texts == 3
    cache.encode_texts(["b"])
    assert encoder.encoded_texts == 4
