"""What a scan, or some rows, mean for the catalog, before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmsearch import collector
from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.prepared import to_json
from mmsearch.catalog.records import StoredItem
from mmsearch.errors import RootError
from mmsearch.ingest.attributes import merged
from mmsearch.ingest.known import Known, text_digest
from mmsearch.ingest.new_items import NewItems
from mmsearch.scan import Scan, key_of
from mmsearch.tables.files import is_table_name
from mmsearch.types import Failure, OnProgress, Progress, Source

# The origin of items that a program handed over: no folder tells of them, so none misses them.
HANDED_OVER = "upsert"


Todo = tuple[Source, StoredItem | None]  # with the item that has its key already


@dataclass
class Plan:
    """What to do with each source that was found, and with the items that were not."""

    todo: list[Todo] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)  # were missing and are back as they were
    unseen: list[StoredItem] = field(default_factory=list)
    unchanged: int = 0
    failures: list[Failure] = field(default_factory=list)
    old_failures: list[Failure] = field(default_factory=list)
    over: list[str] = field(default_factory=list)  # failures that stand in the way of nothing now


def plan_scan(
    scan: Scan,
    catalog: Catalog,
    stored: Mapping[str, StoredItem],
    known: Known,
    base: Path,
    plan: Plan,
    *,
    allow_empty: bool,
    on_progress: OnProgress,
) -> Iterator[Todo | NewItems]:
    """What is to do, as it is found; all else goes into `plan`, which is whole in the end.

    `stored`: the catalog's items by key. Raises RootError, in the end, where a root is suddenly
    empty.
    """
    failed = catalog.known_failures()
    everything_is_new = not stored and not failed
    seen: set[str] = set()
    origins: set[str] = set()
    retried: set[str] = set()
    failing: set[str | None] = set()
    coming: set[str | None] = set()  # their further pictures come in with them, not before
    shown: list[Path] = []  # pictures that rows of tables show
    for count, found in enumerate(scan.in_blocks(NewItems if everything_is_new else None), 1):
        if isinstance(found, Failure):
            plan.failures.append(found)
            continue
        if isinstance(found, NewItems):  # where nothing is stored yet, so nothing can be missing
            seen.update(found.keys)
            on_progress(Progress("scan", len(seen)))
            yield found
            continue
        if count % 1000 == 0:
            on_progress(Progress("scan", len(seen)))
        if found.key in seen:  # two roots that overlap
            continue
        if found.picture_of in failing:  # a picture of an item that is not there
            continue
        seen.add(found.key)
        origins.add(found.origin or found.key)
        if found.origin is not None and found.path is not None:
            shown.append(found.path)
        reason, stamp, _ = failed.get(found.key, ("", None, ""))
        if stamp == found.stamp:
            plan.old_failures.append(Failure(found.key, reason))
            failing.add(found.key)
        elif found.picture_of in coming or _is_due(found, stored.get(found.key), known, base, plan):
            old = stored.get(found.key)
            if old is None or not old.live:
                coming.add(found.key)
            if found.key in failed:
                retried.add(found.key)
            yield found, old
    on_progress(Progress("scan", len(seen)))
    prefixes = [key_of(root, base) for root in scan.roots]
    plan.unseen += [
        item for item in stored.values() if item.key not in seen and _belongs(item, prefixes)
    ]
    if not allow_empty:
        pictures = (key_of(path, base) for path in shown)
        _require_not_emptied(scan.roots, prefixes, plan.unseen, origins, pictures)
    here = retried.union(failure.key for failure in plan.failures + plan.old_failures)
    plan.over += [
        key
        for key, (_, _, origin) in failed.items()
        if key not in here and any(_is_under(origin, prefix) for prefix in prefixes)
    ]


@collector.paused()
def plan_items(sources: Sequence[Source], catalog: Catalog, known: Known, base: Path) -> Plan:
    """For items that a program hands over: no others are missed, and no failure is known yet."""
    plan = Plan()
    stored = catalog.by_key(source.key for source in sources)
    names = [name for item in stored.values() for name in item.digests]
    digests = (text_digest(source) for source in sources)
    known.look_up(names + [("text", digest) for digest in digests if digest])
    for source in sources:
        if _is_due(source, old := stored.get(source.key), known, base, plan):
            plan.todo.append((source, old))
    return plan


def _is_due(found: Source, old: StoredItem | None, known: Known, base: Path, plan: Plan) -> bool:
    """Whether there is something to do; the others are noted in `plan`."""
    if old is None or not _same(found, old, base) or not known.all_of(old):
        return True
    if old.live:
        plan.unchanged += 1
    else:
        plan.returned.append(old.id)
    return False


def _same(found: Source, old: StoredItem, base: Path) -> bool:
    return (
        _same_picture(found, old, base)
        and found.text == old.text
        and found.group == old.group
        and found.origin == old.origin
        and found.picture_of == old.picture_of
        and _same_attributes(found, old)
    )


def _same_attributes(found: Source, old: StoredItem) -> bool:
    if old.told_json is None and to_json(found.attributes) == old.attributes_json:
        return True  # as most are, and nothing had to be read
    attributes, told = told_and_given(found, old)
    # Not by ==, to which 1, 1.0 and True are the same.
    return repr(attributes) == repr(dict(old.attributes)) and repr(told) == repr(old.told)


def _same_picture(found: Source, old: StoredItem, base: Path) -> bool:
    if found.url is not None or old.url is not None:
        return found.url == old.url
    if found.path is None or old.path is None:  # the stamp is that of a file with many texts
        return found.path is None and old.path is None
    return found.stamp == old.stamp and key_of(found.path, base) == old.path


def has_own_key(key: str, origin: str | None) -> bool:
    """Whether an item is named by its row or by a program, not by where it stands."""
    return origin is not None and not key.startswith(f"{origin}#")


def told_and_given(
    found: Source, old: StoredItem | None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """See attributes.merged; an item that is new has what its row tells of."""
    if old is None:
        return dict(found.attributes), None
    return merged(found.attributes, old, insist=found.origin == HANDED_OVER)


def _require_not_emptied(
    roots: Sequence[Path],
    prefixes: Sequence[str],
    unseen: Sequence[StoredItem],
    origins: Iterable[str],
    shown: Iterable[str],
) -> None:
    """`unseen`: items that would go missing; one that another root has by now does not.

    `shown`: keys of pictures that belong to tables, which may have claimed all of a root.
    """
    pictures: list[str] | None = None
    for root, prefix in zip(roots, prefixes, strict=True):
        if any(_is_under(origin, prefix) for origin in origins):
            continue
        lost = sum(item.live and _belongs(item, [prefix]) for item in unseen)
        if lost:
            pictures = list(shown) if pictures is None else pictures
            if any(_is_under(picture, prefix) for picture in pictures):
                continue
            raise RootError(
                f"{root} holds nothing to index, but {lost} items came from it: "
                f"{'is a drive not mounted' if root.is_dir() else 'was it written over'}? Nothing "
                "was changed. If it is meant to be empty, say so with --allow-empty"
            )


def _belongs(item: StoredItem, prefixes: Sequence[str]) -> bool:
    if item.origin == HANDED_OVER:
        return False
    return any(_is_under(item.origin or item.key, prefix) for prefix in prefixes)


def _is_under(key: str, prefix: str) -> bool:
    if prefix == ".":
        return not key.startswith("/")
    if key == prefix or key.startswith(prefix.rstrip("/") + "/"):
        return True
    # A row of a table; "photos#2" is not in "photos".
    return is_table_name(prefix) and key.startswith(f"{prefix}#")
