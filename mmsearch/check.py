"""Whether catalog, vectors and index agree, and mending what can be mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo, Space
from mmsearch.catalog.spaces import Batch
from mmsearch.errors import CorruptionError
from mmsearch.layout import Layout
from mmsearch.types import MODALITIES

_PAGE = 1000


@dataclass(frozen=True)
class CheckReport:
    """Problems found, what was done about them, and those that are left."""

    problems: tuple[str, ...]
    repaired: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()


def check(catalog: Catalog, layout: Layout) -> CheckReport:
    """Look, change nothing."""
    problems = _problems(catalog, layout)
    return CheckReport(problems, remaining=problems)


def repair(catalog: Catalog, layout: Layout, save_snapshots: Callable[[], None]) -> CheckReport:
    """Forget damaged vectors and rebuild the index snapshots. The caller holds the lock.

    Settings of the indexes that cannot be read are set aside first: the snapshots follow them.
    The files of forgotten vectors are encoded again by the next `index`, or, in a space that does
    not answer queries, by the next `reindex`. Types that attributes had once are forgotten as well.
    """
    catalog.forget_types()
    problems = _problems(catalog, layout)
    if not problems:
        return CheckReport(())
    repaired = []
    if _settings_are_damaged(layout):
        aside = layout.set_index_settings_aside()
        repaired.append(f"index settings set aside as {aside.name}: the defaults hold")
    for space in catalog.spaces.all():
        bad = [batch.seq for batch in _damaged(space.encoder, catalog, layout)]
        if bad:
            lost = catalog.spaces.drop_batches(space.encoder.fingerprint, bad)
            cure = "run `mmsearch index` on their folders"
            if space.state != "current":
                cure = f"`mmsearch reindex` to {space.encoder.name} encodes them again"
            repaired.append(f"{lost} vectors forgotten: {cure}")
    if catalog.words_are_astray():
        catalog.make_words_anew()
        repaired.append("words of all items indexed anew")
    info = catalog.encoder()
    if info is not None:
        for modality in MODALITIES:
            layout.snapshots(info, modality).clear()
        save_snapshots()
        repaired.append("index snapshots rebuilt from the catalog")
    return CheckReport(problems, tuple(repaired), _problems(catalog, layout))


def _problems(catalog: Catalog, layout: Layout) -> tuple[str, ...]:
    problems = []
    if (verdict := catalog.integrity()) != "ok":
        problems.append(f"catalog: {verdict}")
    if catalog.words_are_astray():
        problems.append("the words that are searched are not those of the items")
    if _settings_are_damaged(layout):
        problems.append(f"the index settings, {layout.index_settings.name}, cannot be read")
    for space in catalog.spaces.all():
        problems += [
            f"vectors {batch.first_row} to {batch.first_row + batch.rows - 1}{_of(space)} "
            "are damaged or cut off"
            for batch in _damaged(space.encoder, catalog, layout)
        ]
    info = catalog.encoder()
    if info is not None:
        problems += [f"{key} has no vector" for key in _without_vector(info, catalog)]
        problems += [
            f"the {modality} index snapshot is missing or damaged"
            for modality in MODALITIES
            if layout.snapshots(info, modality).load(catalog.seq()) is None
        ]
    return tuple(problems)


def _settings_are_damaged(layout: Layout) -> bool:
    try:
        layout.require_index_settings()
    except CorruptionError:
        return True
    return False


def _of(space: Space) -> str:
    return "" if space.state == "current" else f" of {space.encoder.name}"


def _damaged(encoder: EncoderInfo, catalog: Catalog, layout: Layout) -> list[Batch]:
    vectors = layout.vector_file(encoder)
    bad = []
    for batch in catalog.spaces.batches(encoder.fingerprint):
        try:
            sound = vectors.checksum(batch.first_row, batch.rows) == batch.checksum
        except CorruptionError:
            sound = False
        if not sound:
            bad.append(batch)
    return bad


def _without_vector(info: EncoderInfo, catalog: Catalog) -> list[str]:
    keys: list[str] = []
    after = 0
    while part := catalog.spaces.pending(info.fingerprint, after, _PAGE):
        after = part[-1].id
        keys += [item.key for item in part]
    return sorted(keys)
