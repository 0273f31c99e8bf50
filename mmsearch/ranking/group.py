"""One answer for each group of variants, and k groups whenever k exist."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmsearch.errors import UsageError

if TYPE_CHECKING:
    from mmsearch.ranking.ranked import Ranked

# The first request: with up to three variants of each group on average, one request is enough.
FIRST_FACTOR = 3
GROWTH = 4  # a request that was too short is repeated this much deeper


@dataclass(frozen=True)
class Group:
    """The best item of a group, and the next best of it.

    `label` None: an item without a group stands for itself. `others` are the next best members,
    best first; `seen` counts the members among the candidates that were looked at, so it is a
    lower bound of the group's matching size unless `Groups.exhausted`.
    """

    label: Hashable | None
    id: int
    score: float
    others: tuple[int, ...]
    seen: int


@dataclass(frozen=True)
class Groups:
    """At most k groups, best first. `exhausted`: every candidate that there is was looked at."""

    groups: tuple[Group, ...]
    exhausted: bool


def collapse(
    ranking: Ranked, labels: Sequence[Hashable | None], k: int, others: int = 3
) -> tuple[Group, ...]:
    """The best `k` groups of `ranking`, each at the place of its best member.

    `labels` (n,) are the groups of `ranking.ids`; None: no group.
    """
    members: dict[tuple[str, Hashable], list[int]] = {}
    for row, label in enumerate(labels):
        item = int(ranking.ids[row])
        key: tuple[str, Hashable] = ("item", item) if label is None else ("group", label)
        members.setdefault(key, []).append(row)
    return tuple(
        Group(
            label if kind == "group" else None,
            int(ranking.ids[rows[0]]),
            float(ranking.scores[rows[0]]),
            tuple(int(ranking.ids[row]) for row in rows[1 : 1 + others]),
            len(rows),
        )
        for (kind, label), rows in list(members.items())[:k]
    )


def best_groups(
    fetch: Callable[[int], Ranked],
    label: Callable[[Ranked], Sequence[Hashable | None]],
    k: int,
    others: int = 3,
) -> Groups:
    """The best `k` groups whenever k exist, asking for more candidates while groups collapse.

    `fetch(n)` gives the best n candidates, fewer only if there are no more; a deeper answer
    starts with the shallower one. `label(ranking)` gives their groups. The depth grows
    geometrically, so the whole costs at most 4/3 of the deepest request.

    Raises UsageError for k < 1.
    """
    if k < 1:
        raise UsageError(f"the number of groups must be at least 1, not {k}")
    depth = FIRST_FACTOR * k
    while True:
        ranking = fetch(depth)
        exhausted = len(ranking) < depth
        groups = collapse(ranking, label(ranking), k, others)
        if exhausted or len(groups) == k:
            return Groups(groups, exhausted)
        depth *= GROWTH
