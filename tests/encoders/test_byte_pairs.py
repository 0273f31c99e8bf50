"""Merging pairs as its definition says, and in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from mmsearch.encoders.byte_pairs import merged

Rank = Callable[[str, str], int | None]


def obvious(parts: Sequence[str], rank: Rank) -> list[str]:
    """Sennrich, Haddow and Birch 2016, one merge at a time."""
    kept = list(parts)
    while True:
        found = [(rank(*kept[at : at + 2]), at) for at in range(len(kept) - 1)]
        known = [(best, at) for best, at in found if best is not None]
        if not known:
            return kept
        _, at = min(known)
        kept[at : at + 2] = [kept[at] + kept[at + 1]]


@given(
    st.text("ab", max_size=30),
    st.lists(
        st.tuples(st.text("ab", min_size=1, max_size=4), st.text("ab", min_size=1, max_size=4)),
        unique=True,
    ),
)
def test_merges_are_those_of_the_definition(word: str, merges: list[tuple[str, str]]) -> None:
    ranks = {pair: rank for rank, pair in enumerate(merges)}

    def rank(left: str, right: str) -> int | None:
        return ranks.get((left, right))

    assert merged(list(word), rank) == obvious(list(word), rank)


def test_very_long_word_is_no_burden() -> None:
    started = time.process_time()
    parts = merged("a" * 100_000, lambda left, right: len(left + right) if len(left) < 4 else None)
    assert "".join(parts) == "a" * 100_000
    assert time.process_time() - started < 10  # each merge by a look at all of them: minutes
