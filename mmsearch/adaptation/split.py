"""Which pairs are kept for the measurement, so that nothing measured was ever seen in training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mmsearch.errors import TrainingError

# Fewer texts than a third of the pictures are class labels: to hold out a label would be to hold
# out its whole class, and the measurement would no longer be about what was trained.
LABELS_AT_MOST = 1 / 3
# Captions that many pictures share tie nearly everything together; above this share of the
# pictures a cut along the texts leaves too little on one of its sides.
LARGEST_AT_MOST = 1 / 2

# Each validation ranks every held-out picture for every held-out text.
HELD_OUT_AT_MOST = 5000

Rule = Literal["group", "picture and text", "picture"]


@dataclass(frozen=True)
class Link:
    """One pair as the split sees it: the picture's digest, the text and its groups, if any."""

    image: bytes
    text: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """Positions of the pairs on either side, each in their order, and the rule that cut them.

    "group": no group on both sides. "picture and text": no picture and no text on both sides.
    "picture": no picture on both sides, but texts, because they are few or tie everything together.
    A picture is never on both sides.
    """

    train: tuple[int, ...]
    held_out: tuple[int, ...]
    rule: Rule


def split(links: Sequence[Link], held_out: float) -> Split:
    """A cut that holds out about the share `held_out` of the pictures.

    The same links give the same cut, in whatever order they come: parts are taken by the hash of
    their content until the share is reached. Raises TrainingError when all pairs hang together.
    """
    rule, parts = _parts(links)
    if len(parts) < 2:
        raise TrainingError(
            f"all {len(links)} pairs belong to one {rule}, so nothing can be held out to measure "
            "on; add other pictures, or leave the group column out"
        )
    wanted = min(max(1, round(held_out * _images(links, range(len(links))))), HELD_OUT_AT_MOST)
    ordered = sorted(parts, key=lambda part: _hash(links, part))
    kept: list[int] = []
    left = wanted
    for part in ordered:
        if (size := _images(links, part)) <= left:
            kept += part
            left -= size
    if not kept:  # every part is larger than what was asked for
        kept = min(ordered, key=lambda part: _images(links, part))
    chosen = set(kept)
    train = tuple(at for at in range(len(links)) if at not in chosen)
    return Split(train, tuple(sorted(kept)), rule)


def _parts(links: Sequence[Link]) -> tuple[Rule, list[list[int]]]:
    if any(link.groups for link in links):
        return "group", _connected(_tags(link, with_text=False) for link in links)
    images = _images(links, range(len(links)))
    by_picture = _connected(_tags(link, with_text=False) for link in links)
    if len({link.text for link in links}) <= images * LABELS_AT_MOST:
        return "picture", by_picture
    by_both = _connected(_tags(link, with_text=True) for link in links)
    largest = max(_images(links, part) for part in by_both)
    if largest > images * LARGEST_AT_MOST:
        return "picture", by_picture
    return "picture and text", by_both


def _images(links: Sequence[Link], part: Iterable[int]) -> int:
    return len({links[at].image for at in part})


def _tags(link: Link, *, with_text: bool) -> list[tuple[str, str | bytes]]:
    tags: list[tuple[str, str | bytes]] = [("image", link.image)]
    tags += [("group", group) for group in link.groups]
    if with_text:
        tags.append(("text", link.text))
    return tags


def _connected(tags_of: Iterable[Sequence[tuple[str, str | bytes]]]) -> list[list[int]]:
    """Positions that share a tag, directly or through others (union-find with path halving)."""
    parent: dict[tuple[str, str | bytes], tuple[str, str | bytes]] = {}

    def root(tag: tuple[str, str | bytes]) -> tuple[str, str | bytes]:
        while parent.setdefault(tag, tag) != tag:
            parent[tag] = tag = parent[parent[tag]]
        return tag

    anchors = []
    for tags in tags_of:
        anchors.append(tags[0])
        for tag in tags[1:]:
            parent[root(tag)] = root(tags[0])
    parts: dict[tuple[str, str | bytes], list[int]] = {}
    for position, anchor in enumerate(anchors):
        parts.setdefault(root(anchor), []).append(position)
    return list(parts.values())


def _hash(links: Sequence[Link], part: Sequence[int]) -> bytes:
    """The smallest hash of the part's pictures: no order of the links changes it."""
    return min(hashlib.sha256(links[at].image).digest() for at in part)
