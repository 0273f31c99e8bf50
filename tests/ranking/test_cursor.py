"""Walking pages shows everything once, and damaged or foreign cursors are errors."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.errors import UsageError
from mmsearch.ranking.cursor import Cursor, cursor_at, decode, page, query_digest
from mmsearch.ranking.ranked import Ranked, ranked

DIGEST = query_digest({"text": "boots", "filter": "price < 50"})
SCORES = st.lists(st.sampled_from([0.1, 0.2, 0.30000000000000004, -1.0]), max_size=40)


def world(scores: list[float]) -> Ranked:
    ids = np.random.default_rng(3).permutation(1000)[: len(scores)].astype(np.int64)
    return ranked(np.array(scores, float), ids)


def walk(ranking: Ranked, size: int) -> list[int]:
    """The ids of all pages, each cursor sent as text."""
    shown: list[int] = []
    text: str | None = None
    while True:
        after = None if text is None else decode(text, DIGEST)
        assert after is None or after.shown == len(shown)
        part = page(ranking, size, seq=5, after=after)
        assert not part.changed
        shown += ranking.ids[part.start : part.stop].tolist()
        cursor = cursor_at(ranking, part.stop, DIGEST, seq=5)
        if cursor is None:
            return shown
        text = cursor.encode()


@given(SCORES, st.integers(1, 9))
def test_walking_pages_shows_every_item_once(scores: list[float], size: int) -> None:
    ranking = world(scores)
    assert walk(ranking, size) == ranking.ids.tolist()


@given(SCORES, st.integers(1, 9))
def test_any_deterministic_order_can_be_walked(scores: list[float], size: int) -> None:
    best = world(scores)
    order = np.argsort(best.ids)  # as by a price: the scores do not fall
    by_attribute = Ranked(best.ids[order], best.scores[order])
    assert walk(by_attribute, size) == by_attribute.ids.tolist()


@given(SCORES.filter(lambda scores: len(scores) > 3), st.data())
def test_pages_go_on_after_an_item_that_is_gone_and_say_so(
    scores: list[float], data: st.DataObject
) -> None:
    ranking = world(scores)
    stop = data.draw(st.integers(1, len(ranking) - 1))
    cursor = cursor_at(ranking, stop, DIGEST, seq=5)
    assert cursor is not None
    kept = ranking.ids != cursor.id
    fewer = Ranked(ranking.ids[kept], ranking.scores[kept])
    part = page(fewer, 100, seq=6, after=cursor)
    assert part.changed
    assert fewer.ids[part.start :].tolist() == ranking.ids[stop:].tolist()


@given(
    st.integers(0, 2**62),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 10**6),
    st.integers(0, 2**62),
)
def test_a_cursor_comes_back_to_the_last_bit(item: int, score: float, shown: int, seq: int) -> None:
    cursor = Cursor(item, score, shown, DIGEST, seq)
    text = cursor.encode()
    assert decode(text, DIGEST) == cursor
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_damaged_cursor_is_an_error(place: int, flip: int) -> None:
    text = Cursor(7, 0.25, 10, DIGEST, 5).encode()
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[place % len(raw)] ^= flip
    with pytest.raises(UsageError, match="not a cursor"):
        decode(base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("="), DIGEST)


@given(st.text(max_size=60))
def test_any_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(UsageError, match="not a cursor"):
        decode(text, DIGEST)


def test_a_cursor_of_another_query_is_an_error() -> None:
    text = Cursor(7, 0.25, 10, DIGEST, 5).encode()
    with pytest.raises(UsageError, match="another query"):
        decode(text, query_digest({"text": "shoes"}))


def test_the_digest_does_not_depend_on_the_order_of_the_fields() -> None:
    assert query_digest({"a": 1, "b": [2]}) == query_digest({"b": [2], "a": 1})
    assert query_digest({"a": 1}) != query_digest({"a": "1"})


def test_a_page_holds_at_least_one_item() -> None:
    with pytest.raises(UsageError, match="at least one"):
        page(world([0.1]), 0, seq=1)
