"""Which items of a collection are the same: byte for byte, or nearly, by their stored vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mmsearch.errors import ImageError
from mmsearch.types import Modality

if TYPE_CHECKING:
    from mmsearch.catalog.records import StoredItem
    from mmsearch.collection import Collection
    from mmsearch.types import Vectors

# Measured with `benchmarks/shop_commands.py` on the bundled model 6432b3ae of 2026-11-25, on 500
# photographs of Flickr8k and the 160 pictures of sample_data. At or above this cosine are all
# copies that were saved again at quality 80 or made 20 % brighter, 88 and 100 % of those with 5 %
# cut off and 67 and 97 % of those with 10 % cut off, but 5 % of the photographs made smaller than
# what the model looks at (250 pixels). Of the 137,470 pairs of different ones there is none: the
# most alike have 0.92. Packets of one brand are more alike, up to 0.97.
THRESHOLD = 0.95

Kind = Literal["exact", "near"]


@dataclass(frozen=True)
class Member:
    """One item of a group. `similarity` is its cosine with the first one of the group.

    `size` is (width, height) in pixels; None in an exact group, for a text, and for a picture
    whose file cannot be opened now. `file` is what was compared: the picture, or the file of a
    text; None for a row of a table without it, and for a text that came with a picture.
    """

    key: str
    file: Path | None
    text: str | None
    size: tuple[int, int] | None
    size_bytes: int
    similarity: float


@dataclass(frozen=True)
class Duplicates:
    """Two or more items that are the same; the first is the one to keep."""

    kind: Kind
    members: tuple[Member, ...]


def find_duplicates(
    collection: Collection,
    modality: Modality = "image",
    *,
    threshold: float = THRESHOLD,
    exact_only: bool = False,
) -> list[Duplicates]:
    """The exact groups, then the near ones, each by the age of its oldest item.

    Exact: equal files (or texts); the oldest file comes first. Near: different ones that a chain
    of pairs with a cosine of at least `threshold` joins, of each exact group only its first; the
    picture with most pixels (the longest text) comes first, then the largest and the oldest file.
    So the first of each group may be kept and all others go, whatever the groups share.

    Compares each with each: memory grows with n, time with n^2 (see ranking.duplicates).
    Raises NoCollectionError, CorruptionError, UsageError for a threshold outside (0, 1].
    """
    from mmsearch.ranking.duplicates import duplicate_groups

    items, vectors = collection.vectors(modality)
    world = _World(items, vectors, collection.base, modality)
    by_digest: dict[bytes | None, list[int]] = {}
    for row, item in enumerate(items):
        digest = item.image_digest if modality == "image" else item.text_digest
        by_digest.setdefault(digest, []).append(row)
    for rows in by_digest.values():
        rows.sort(key=lambda row: (items[row].stamp.mtime_ns, items[row].id))
    found = [_group("exact", rows, world) for rows in by_digest.values() if len(rows) > 1]
    if exact_only:
        return found
    distinct = np.array([rows[0] for rows in by_digest.values()], np.int64)
    for group in duplicate_groups(vectors[distinct], distinct, threshold):
        if modality == "image":
            for row in group.ids:
                file = _file(items[row], world)
                world.sizes[row] = None if file is None else _size(file)
        best_first = sorted(group.ids, key=lambda row: _worth(row, world))
        found.append(_group("near", best_first, world))
    return found


def to_drop(groups: Iterable[Duplicates]) -> list[Member]:
    """All members but those to keep, each once, and none whose file a kept one needs."""
    groups = list(groups)
    others = {member.key: member for group in groups for member in group.members[1:]}
    first = {group.members[0].key: group.members[0] for group in groups}
    needed = {member.file for key, member in first.items() if key not in others}
    taken: set[Path] = set()
    dropped = []
    for member in others.values():
        if member.file is not None and (member.file in needed or member.file in taken):
            continue
        if member.file is not None:
            taken.add(member.file)
        dropped.append(member)
    return dropped


@dataclass(frozen=True)
class _World:
    """Items by row, their vectors (n, d), and the pixels of those whose files were looked at."""

    items: Sequence[StoredItem]
    vectors: Vectors
    base: Path
    modality: Modality
    sizes: dict[int, tuple[int, int] | None] = field(default_factory=dict)


def _worth(row: int, world: _World) -> tuple[int, int, int, int]:
    """A key that sorts the one to keep first."""
    item = world.items[row]
    if world.modality == "text":
        return -len(item.text or ""), 0, item.stamp.mtime_ns, item.id
    width, height = world.sizes.get(row) or (0, 0)
    return -width * height, -item.stamp.size_bytes, item.stamp.mtime_ns, item.id


def _size(file: Path) -> tuple[int, int] | None:
    """Pixels of a picture; None if it cannot be opened now: then it is not the one to keep."""
    from mmsearch.images import decode

    try:
        return decode(file, target=1).size
    except ImageError:
        return None


def _file(item: StoredItem, world: _World) -> Path | None:
    """The picture, or the file that is nothing but the item's text.

    None for a picture whose text was compared: pictures of one caption are not the same picture.
    """
    from mmsearch.scan import path_of

    if item.path is not None:
        return path_of(item.path, world.base) if world.modality == "image" else None
    file = path_of(item.key, world.base)
    # A row of a table may have the name of any file for its key.
    return file if item.origin is None and file.is_file() else None


def _group(kind: Kind, rows: Sequence[int], world: _World) -> Duplicates:
    cosines = np.minimum(world.vectors[list(rows)] @ world.vectors[rows[0]], 1.0)  # (len(rows),)
    members = []
    for row, cosine in zip(rows, cosines.tolist(), strict=True):
        item = world.items[row]
        members.append(
            Member(
                item.key,
                _file(item, world),
                item.text,
                world.sizes.get(row),
                item.stamp.size_bytes,
                round(cosine, 4),
            )
        )
    return Duplicates(kind, tuple(members))
