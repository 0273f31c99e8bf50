"""k groups whenever k exist, each by its best member."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.errors import UsageError
from mmsearch.ranking.group import best_groups, collapse
from mmsearch.ranking.ranked import Ranked

LABELS = st.lists(st.one_of(st.none(), st.sampled_from("abcdef")), max_size=60)


def world(labels: Sequence[object]) -> Ranked:
    n = len(labels)
    return Ranked(np.arange(n, dtype=np.int64), np.linspace(1, 0, n))


@given(LABELS, st.integers(1, 10), st.integers(0, 3))
def test_k_groups_come_back_whenever_k_exist(labels: list[str | None], k: int, others: int) -> None:
    ranking = world(labels)
    asked: list[int] = []

    def fetch(depth: int) -> Ranked:
        asked.append(depth)
        return ranking.head(depth)

    found = best_groups(fetch, lambda part: [labels[i] for i in part.ids], k, others)
    firsts = [i for i, label in enumerate(labels) if label is None or labels.index(label) == i]
    assert [group.id for group in found.groups] == firsts[:k]
    assert asked == sorted(set(asked))
    for group in found.groups:
        members = [i for i, x in enumerate(labels) if x is not None and x == labels[group.id]]
        members = members or [group.id]
        assert group.others == tuple(members[1:])[: len(group.others)]
        assert len(group.others) == min(others, group.seen - 1)
        assert group.seen <= len(members)
        if found.exhausted:
            assert group.seen == len(members)


def test_items_without_a_group_stand_for_themselves() -> None:
    groups = collapse(world([None, "a", None, "a"]), [None, "a", None, "a"], 10)
    assert [(group.label, group.id, group.seen) for group in groups] == [
        (None, 0, 1),
        ("a", 1, 2),
        (None, 2, 1),
    ]


def test_a_label_is_not_taken_for_the_id_of_a_lone_item() -> None:
    assert len(collapse(world([None, "x"]), [None, 0], 10)) == 2


def test_one_huge_group_does_not_hide_the_second() -> None:
    labels = ["a"] * 5000 + ["b"]
    found = best_groups(world(labels).head, lambda part: [labels[i] for i in part.ids], 2)
    assert [group.label for group in found.groups] == ["a", "b"]
    assert found.groups[0].seen == 5000


def test_no_groups_cannot_be_asked_for() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        best_groups(world([]).head, lambda _: [], 0)
