"""What the catalog keeps of its items beside the items themselves."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsearch.catalog.catalog import Catalog, Write

COUNTED = """SELECT
    count(*) FILTER (WHERE state = 'live' AND picture_of IS NULL) AS items,
    count(image_digest) FILTER (WHERE state = 'live' AND picture_of IS NULL) AS images,
    count(text_digest) FILTER (WHERE state = 'live' AND picture_of IS NULL) AS texts,
    count(*) FILTER (WHERE state = 'missing' AND picture_of IS NULL) AS missing,
    count(*) FILTER (WHERE state = 'live' AND picture_of IS NOT NULL) AS further_pictures
    FROM items"""
digests = st.none() | st.sampled_from([b"a", b"b"])
writes = st.lists(
    st.tuples(
        st.sampled_from(["put", "live", "missing", "removed"]), st.integers(1, 6), digests, digests
    ),
    max_size=20,
)


def row(number: int, image: bytes | None, text: bytes | None) -> dict[str, Any]:
    empty = ("origin", "group", "path", "text", "size_bytes", "mtime_ns")
    return {
        "key": f"k{number}",
        "state": "live",
        "attributes": {},
        "picture_of": "k1" if number > 4 and image else None,
        "image_digest": image,
        "text_digest": text,
        **dict.fromkeys(empty),
    }


@settings(max_examples=20, deadline=None)
@given(writes)
def test_counts_are_those_of_the_items_whatever_was_written(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, Any, Any]]
) -> None:
    path = tmp_path_factory.mktemp("counts") / "catalog.sqlite3"
    catalog = Catalog(path, create=True)
    for what, number, image, text in steps:
        known = catalog.item(f"k{number}")
        if what == "put":
            new = row(number, image, text) | {"id": known.id if known else None}
            catalog.commit(Write(items=[new]))
        elif known is not None:
            catalog.commit(Write(states={what: [known.id]}))
    counts = catalog.counts()
    catalog.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        expected = dict(connection.execute(COUNTED).fetchone())
    assert counts == expected | {"failures": 0}
