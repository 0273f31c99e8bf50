"""Which items a query may find, for as long as what items hold stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.catalog.catalog import Catalog, Write
from mmsearch.search.candidates import Candidates
from mmsearch.types import Query

if TYPE_CHECKING:
    from mmsearch.types import Ids

EMPTY = ("text", "group", "origin", "path", "image_digest", "text_digest", "size_bytes", "mtime_ns")


def row(key: str, **attributes: Any) -> dict[str, Any]:
    one = {"id": None, "key": key, "state": "live", "attributes": attributes}
    return {**one, **dict.fromkeys(EMPTY)}


def test_a_filter_has_the_same_array_until_what_items_hold_changes(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite3", create=True)
    catalog.commit(Write(items=[row("a", price=1), row("b", price=2)]))
    candidates = Candidates(catalog)

    def cheap() -> Ids | None:
        candidates.refresh(catalog.seq())
        return candidates.allowed(Query((), where="price < 2"), lambda _: candidates.every, [])

    cheap()  # by SQL
    first = cheap()
    assert first is not None
    assert first.tolist() == [1]
    catalog.commit(Write(recovered=["a failure that there never was"]))
    assert cheap() is first  # what indexes and rankings made of it is of use again
    catalog.set_attributes({2: {"price": 0}})
    after = cheap()
    assert after is not None
    assert after.tolist() == [1, 2]
    catalog.close()
