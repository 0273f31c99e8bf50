"""From a ranking to the order that is shown: cut, boosted, sorted or made diverse, in groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.ranking.ranked import Ranked
from mmsearch.search.rank import Block

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.ranking.modifiers import Modifiers
    from mmsearch.types import Ids, Sort, Vectors

PICKED = 16  # choices at a time: each costs a look at all candidates

Values = Callable[[str, "Ids"], Sequence[object]]


class Stream:
    """Blocks, of which no more are computed than somebody asks for; each is computed once."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = iter(blocks)
        self._taken: list[Block] = []

    def __iter__(self) -> Iterator[Block]:
        """All blocks from the first one on."""
        number = 0
        while number < len(self._taken) or self._take():
            yield self._taken[number]
            number += 1

    def upto(self, count: int) -> Block:
        """The first `count` rows, fewer only where the ranking ends."""
        while sum(len(block.ids) for block in self._taken) < count and self._take():
            pass
        return joined(self._taken).take(np.s_[:count])

    def all(self) -> Block:
        return joined(list(self))

    def head(self) -> Block:
        """The first block; an empty one where nothing is found."""
        return next(iter(self), joined([]))

    def taken(self) -> Block:
        """What was computed so far."""
        return joined(self._taken)

    def _take(self) -> bool:
        block = next(self._blocks, None)
        if block is not None:
            self._taken.append(block)
        return block is not None


@dataclass(frozen=True, eq=False)
class Shown:
    """The order that is shown, as far as it was asked for: ids, their scores, and for each the
    number of items that it stands for (None where items were not grouped)."""

    ranking: Ranked
    variants: tuple[int, ...] | None = None


def joined(blocks: Sequence[Block]) -> Block:
    """Blocks one after another; `lists` are the deepest block's."""
    if not blocks:
        return Block(np.empty(0, np.int64), np.empty(0), np.empty(0))
    judged = [block.relevance for block in blocks if block.relevance is not None]
    return Block(
        np.concatenate([block.ids for block in blocks]),
        np.concatenate([block.scores for block in blocks]),
        np.concatenate(judged) if len(judged) == len(blocks) else None,
        blocks[0].least,
        blocks[-1].lists,
    )


def without(blocks: Iterable[Block], ids: Iterable[int]) -> Iterator[Block]:
    """The blocks without these items."""
    gone = np.array(sorted(ids), np.int64)
    for block in blocks:
        left = block.take(~np.isin(block.ids, gone)) if len(gone) else block
        if len(left.ids):  # an empty block is the end to whoever judges it
            yield left


def at_the_end(
    blocks: Iterable[Block], ids: Sequence[int], everything: Callable[[], Block]
) -> Iterator[Block]:
    """The blocks, and behind them those of these items that are in the whole ranking."""
    yield from blocks
    whole = everything()
    yield from without([whole], np.setdiff1d(whole.ids, ids).tolist())


def of_other_groups(
    blocks: Iterable[Block],
    taken: npt.NDArray[np.int64],
    groups: Callable[[Ids], npt.NDArray[np.int64]],
    left_out: Counter[int | None],
) -> Iterator[Block]:
    """The blocks without items of these groups; how many of each were left out is counted."""
    for block in blocks:
        found = groups(block.ids)
        gone = np.isin(found, taken)
        left_out.update(found[gone].tolist())
        yield from without([block], block.ids[gone].tolist())


def relevant(blocks: Iterable[Block], least: float) -> Iterator[Block]:
    """What is relevant at least so much; the first block without any ends it."""
    for block in blocks:
        assert block.relevance is not None
        kept = block.take(block.relevance >= least)
        if not len(kept.ids):
            return
        yield kept


def boosted(blocks: Iterable[Block], modifiers: Modifiers, values: Values) -> Iterator[Block]:
    """Each block by its relevance after boosts and decays, which is the score from there on.

    Where relevance is not known, 0.5 falls with the rank as reciprocal rank fusion has it.
    """
    place = 0
    for block in blocks:
        before = block.relevance
        if before is None:
            ranks = place + np.arange(1, len(block.ids) + 1)
            before = 0.5 * 61 / (60 + ranks)
        place += len(block.ids)
        columns = {name: values(name, block.ids) for name in modifiers.attributes}
        after = modifiers.apply(before, columns)
        # Stable: equal relevances stay in the order of the ranking.
        order = np.argsort(-after, kind="stable")
        judged = None if block.relevance is None else after[order]
        yield replace(block.take(order), scores=after[order], relevance=judged)


def sorted_by(block: Block, keys: Sequence[Sort], values: Values) -> Block:
    """The block by attributes, the first key first; equal ones stay in rank order."""
    from mmsearch.ranking.order import by_attribute

    for key in reversed(keys):
        ranking = Ranked(block.ids, block.scores)
        column = values(key.attribute, block.ids)
        block = block.take(by_attribute(ranking, column, descending=key.descending))
    return block


def diverse(
    blocks: Iterable[Block], diversity: float, vectors: Callable[[Ids], Vectors]
) -> Iterator[Block]:
    """The rows of the first block as different from each other as is asked for, some at a time."""
    from mmsearch.ranking.diversity import mmr

    rest = iter(blocks)
    for block in rest:
        low, high = float(block.scores.min()), float(block.scores.max())
        worth = (block.scores - low) / max(high - low, 1e-9)
        if block.relevance is not None:
            # Many of the best are equally relevant, and some below them more: the scores tell the
            # ones apart, and with ever less diversity the order becomes that of the ranking.
            worth = (worth + np.minimum.accumulate(block.relevance)) / 2
        ranks = np.arange(len(block.ids))
        chosen = mmr(worth, vectors(block.ids), ranks, balance=1 - diversity)
        while some := list(islice(chosen, PICKED)):
            yield block.take(np.array(some))
        break
    yield from rest


def grouped(stream: Stream, groups: Callable[[Ids], npt.NDArray[np.int64]], count: int) -> Shown:
    """The first `count` groups, each by its best item; items of a negative group are alone."""
    from mmsearch.ranking.group import best_groups

    def fetch(depth: int) -> Ranked:
        block = stream.upto(depth)
        return Ranked(block.ids, block.scores)

    def label(ranking: Ranked) -> list[int | None]:
        return [None if group < 0 else group for group in groups(ranking.ids).tolist()]

    found = best_groups(fetch, label, count).groups
    ids = np.array([group.id for group in found], np.int64)
    scores = np.array([group.score for group in found], np.float64)
    return Shown(Ranked(ids, scores), tuple(group.seen for group in found))


def placed(shown: Shown, pinned: Mapping[int, int], variants: Mapping[int, int]) -> Shown:
    """With pinned items, which may not be in `shown`, at their places (from 1).

    `variants`: for how many items each of them stands.
    """
    if not pinned:
        return shown
    rows: list[tuple[int, float, int]] = list(
        zip(
            shown.ranking.ids.tolist(),
            shown.ranking.scores.tolist(),
            shown.variants or [1] * len(shown.ranking),
            strict=True,
        )
    )
    for item, place in sorted(pinned.items(), key=lambda pair: pair[1]):
        rows.insert(
            min(place - 1, len(rows)),
            (item, rows[min(place, len(rows)) - 1][1] if rows else 0.0, variants[item]),
        )
    return Shown(
        Ranked(
            np.array([row[0] for row in rows], np.int64),
            np.array([row[1] for row in rows], np.float64),
        ),
        None if shown.variants is None else tuple(row[2] for row in rows),
    )
