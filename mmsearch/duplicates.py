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

# Measured with `benchmarks/shop_commands.py` on the bundled model 6432b3ae of 2026-11-25, on 500
# photographs of Flickr8k and the 160 pictures of sample_data. At or above this cosine are all
# copies that were saved again at quality 80 or made 20 % brighter, 88 and 100 % of those with 5 %
# cut off and 67 and 97 % of those with 10 % cut off, but 5 % of the photographs made smaller than
# what the model looks at (250 pixels). Of the 137,470 pairs of different ones there is none: the
# most alike have 0.92. Packets of one brand are more alike, up to 0.97.
THRESHOLD = 0.95

Kind = Literal["exact", "near"]
_Identity = tuple[int, int] | Path  # device and inode; a path where there is no file


@dataclass(frozen=True)
class Member:
    """One item of a group. `similarity` is its cosine with the first one of the group.

    `size` is (width, height) in pixels; None in an exact group, for a text, and for a picture
    whose file cannot be opened now. `file` is what was compared: the picture, or the file of a
    text; None for a row of a table without it, and for a text that came with a picture.
    `by_chain`: it is less like the first one than the threshold asks, and only others of the
    group join the two; so it is not what could go.
    """

    key: str
    file: Path | None
    text: str | None
    size: tuple[int, int] | None
    size_bytes: int
    similarity: float
    by_chain: bool = False


@dataclass(frozen=True)
class Duplicates:
    """Two or more items that are the same, or joined by such; the first is the one to keep."""

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
    So the first of each group may be kept and all others go that are like it (see `to_drop`),
    whatever the groups share. A file that has several paths (links) is there once, by the path
    that is no link.

    Compares each with each: memory grows with n, time with n^2 (see ranking.duplicates); with
    `exact_only` by digests, and no vector is read.
    Raises NoCollectionError, CorruptionError, UsageError for a threshold outside (0, 1].
    """
    from mmsearch.ranking.duplicates import duplicate_groups, like_first

    if exact_only:
        world = _World(collection.sharing_vectors(modality), collection.base, modality)
        return _exact(_by_digest(world), world)
    items, vectors = collection.vectors(modality)
    world = _World(items, collection.base, modality)
    same = _by_digest(world)
    found = _exact(same, world)
    distinct = np.array([rows[0] for rows in same], np.int64)
    for group in duplicate_groups(vectors[distinct], distinct, threshold):
        if modality == "image":
            for row in group.ids:
                file = _file(items[row], world)
                world.sizes[row] = None if file is None else _size(file)
        best_first = sorted(group.ids, key=lambda row: _worth(row, world))
        cosines, alike = like_first(vectors[best_first], threshold)
        by_chain = np.logical_not(alike)
        found.append(_group("near", best_first, cosines.tolist(), by_chain.tolist(), world))
    return found


def to_drop(groups: Iterable[Duplicates]) -> list[Member]:
    """The members that are like the first of their group, each once.

    None that a chain alone joins to it, and none whose file a kept one needs.
    """
    members = {member.key: member for group in groups for member in group.members}
    others = {
        member.key: member
        for group in groups
        for member in group.members[1:]
        if not member.by_chain
    }
    kept = [member.file for key, member in members.items() if key not in others]
    named = {_identity(file) for file in kept if file is not None}
    dropped = []
    for member in others.values():
        if member.file is not None:
            file = _identity(member.file)
            if file in named:
                continue
            named.add(file)
        dropped.append(member)
    return dropped


@dataclass(frozen=True)
class _World:
    """Items by row, and the pixels of those whose files were looked at."""

    items: Sequence[StoredItem]
    base: Path
    modality: Modality
    sizes: dict[int, tuple[int, int] | None] = field(default_factory=dict)


def _by_digest(world: _World) -> list[list[int]]:
    """The rows of each digest, the oldest file first; each file once."""
    by_digest: dict[bytes | None, list[int]] = {}
    for row, item in enumerate(world.items):
        digest = item.image_digest if world.modality == "image" else item.text_digest
        by_digest.setdefault(digest, []).append(row)
    for rows in by_digest.values():
        rows.sort(key=lambda row: (world.items[row].stamp.mtime_ns, world.items[row].id))
    return [_without_links(rows, world) for rows in by_digest.values()]


def _exact(same: Sequence[Sequence[int]], world: _World) -> list[Duplicates]:
    """The groups of `_by_digest`, whose members have one vector."""
    return [
        _group("exact", rows, [1.0] * len(rows), [False] * len(rows), world)
        for rows in same
        if len(rows) > 1
    ]


def _without_links(rows: Sequence[int], world: _World) -> list[int]:
    """`rows` without those that have the file of another one by another path.

    Of the paths of one file the first with fewest symbolic links on its way stays. Rows of one path
    all stay: they are several items.
    """
    if len(rows) == 1:
        return list(rows)
    files = {row: _file(world.items[row], world) for row in rows}
    paths: dict[_Identity, Path] = {}
    for file in sorted(filter(None, files.values()), key=_links):
        paths.setdefault(_identity(file), file)
    return [row for row, file in files.items() if file is None or paths[_identity(file)] == file]


def _identity(file: Path) -> _Identity:
    """The same for all paths of one file, links among them; the path where there is none now."""
    try:
        found = file.stat()
    except OSError:
        return file
    return found.st_dev, found.st_ino


def _links(file: Path) -> int:
    """How many symbolic links are on the way to it; those above the collection are in all ways."""
    return sum(part.is_symlink() for part in (file, *file.parents))


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


def _group(
    kind: Kind,
    rows: Sequence[int],
    cosines: Sequence[float],
    by_chain: Sequence[bool],
    world: _World,
) -> Duplicates:
    members = []
    for row, cosine, chained in zip(rows, cosines, by_chain, strict=True):
        item = world.items[row]
        members.append(
            Member(
                item.key,
                _file(item, world),
                item.text,
                world.sizes.get(row),
                item.stamp.size_bytes,
                round(cosine, 4),
                chained,
            )
        )
    return Duplicates(kind, tuple(members))
