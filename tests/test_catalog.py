"""What the catalog keeps of its items beside the items themselves."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsearch.catalog import database, schema
from mmsearch.catalog.catalog import Catalog, Write
from mmsearch.catalog.records import EncoderInfo, NewVectors
from mmsearch.errors import CorruptionError, NoCollectionError

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


@settings(max_examples=20)
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


ANEW = (
    schema.WORD_TABLES[0].replace("TABLE words", "TABLE temp.anew"),
    """INSERT INTO temp.anew (rowid, text, names, "key")
    SELECT id, searchable(text), searchable_attributes(attributes), searchable("key")
    FROM items WHERE state = 'live' AND picture_of IS NULL""",
    "CREATE VIRTUAL TABLE temp.of_anew USING fts5vocab(temp, anew, 'instance')",
)
TYPES = """SELECT DISTINCT each.key, each.type FROM items, json_each(items.attributes) AS each
    WHERE items.state = 'live'"""
JSON_TYPES = {"text": "string", "array": "list", "integer": "number", "real": "number"} | {
    "true": "boolean",
    "false": "boolean",
}
values: st.SearchStrategy[Any] = st.sampled_from(
    ["Rød", "rod", "https://x.org", ["a", 1, "皮靴"], 1, 2.5, True, None, {}]
)
attributes = st.dictionaries(st.sampled_from(["p", "q"]), values)
contents = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "set", "live", "missing", "removed"]),
            st.integers(1, 6),
            st.none() | st.sampled_from(["Red shoe", "red shoe", "Café"]),
            attributes,
        ),
        min_size=1,
        max_size=4,
    ),
    max_size=8,
)


@settings(max_examples=30)
@given(contents)
def test_words_and_types_are_those_of_the_items_whatever_was_written(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, int, Any, Any]]]
) -> None:
    path = tmp_path_factory.mktemp("words") / "catalog.sqlite3"
    catalog = Catalog(path, create=True)
    types: set[tuple[str, str]] = set()
    for batch in batches:
        known = catalog.by_key(f"k{number}" for _, number, _, _ in batch)
        ids = {key: item.id for key, item in known.items()}
        puts = {number: (text, given) for what, number, text, given in batch if what == "put"}
        write = Write(
            items=[
                row(number, b"a", b"b" if text else None)
                | {"id": ids.get(f"k{number}"), "text": text, "attributes": given}
                for number, (text, given) in puts.items()
            ]
        )
        for what, number, _, _ in batch:
            if what not in ("put", "set") and f"k{number}" in ids and number not in puts:
                write.states.setdefault(what, []).append(ids.pop(f"k{number}"))
        catalog.commit(write)
        types |= _types(path)
        given = {ids[f"k{n}"]: new for what, n, _, new in batch if what == "set" and f"k{n}" in ids}
        if given:
            catalog.set_attributes(given)
        types |= _types(path)
    with catalog._database.reading() as connection:
        for statement in ANEW:
            connection.exec_driver_sql(statement)
        for kept, anew in (("postings", "of_anew"), ("words_docsize", "anew_docsize")):
            stored = connection.exec_driver_sql(f"SELECT * FROM {kept}").all()
            assert stored == connection.exec_driver_sql(f"SELECT * FROM {anew}").all()
        connection.exec_driver_sql("INSERT INTO words (words) VALUES ('integrity-check')")
    known_types = {(name, one) for name, some in catalog.attribute_types().items() for one in some}
    catalog.close()
    assert known_types == types


def with_words_of_another_unicode(path: Path) -> Catalog:
    """Two items, the words of the first folded as this Python would not."""
    catalog = Catalog(path, create=True)
    rows = [row(n, None, None) | {"id": None, "text": f"shoe {n}"} for n in (1, 2)]
    catalog.commit(Write(items=rows))
    with catalog._database.writing() as connection:
        forget = 'INSERT INTO words (words, rowid, text, names, "key") VALUES (?, ?, ?, ?, ?)'
        connection.exec_driver_sql(forget, ("delete", 1, "shoe 1", "", "k1"))
        keep = 'INSERT INTO words (rowid, text, names, "key") VALUES (?, ?, ?, ?)'
        connection.exec_driver_sql(keep, (1, "shoo 1", "", "k1"))
        connection.exec_driver_sql("UPDATE meta SET value = '1.1' WHERE name = 'words_unicode'")
    return catalog


def test_words_that_another_unicode_folded_are_forgotten(tmp_path: Path) -> None:
    catalog = with_words_of_another_unicode(tmp_path / "c.sqlite3")
    assert [item for item, _ in catalog.lexical_search("shoo", 9)] == [1]
    catalog.commit(Write(states={"removed": [1]}))
    assert not catalog.words_are_astray()
    for _ in range(2):  # FTS5's own answer, and that of the postings in memory
        assert [item for item, _ in catalog.lexical_search("shoe", 9)] == [2]
    catalog.close()


def test_words_without_an_item_are_told_and_made_anew(tmp_path: Path) -> None:
    catalog = with_words_of_another_unicode(tmp_path / "c.sqlite3")
    with catalog._database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE meta SET value = unicode_version() WHERE name = 'words_unicode'"
        )
    catalog.commit(Write(states={"removed": [1]}))
    assert catalog.words_are_astray()
    for _ in range(2):
        with pytest.raises(CorruptionError, match="check --repair"):
            catalog.lexical_search("shoo", 9)
    catalog.make_words_anew()
    assert not catalog.words_are_astray()
    assert [item for item, _ in catalog.lexical_search("shoe", 9)] == [2]
    catalog.close()


def test_an_empty_file_is_no_catalog_until_something_is_indexed(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    path.touch()
    with pytest.raises(NoCollectionError, match="run `mmsearch index PATH`"):
        Catalog(path)
    Catalog(path, create=True).close()
    Catalog(path).close()


@pytest.mark.parametrize("count", [1, 2, 3, 700, 3_500, 5_000])
def test_any_number_of_rows_is_written_once(tmp_path: Path, count: int) -> None:
    catalog = Catalog(tmp_path / "c.sqlite3", create=True)
    rows = [
        {
            **row(number, None, b"t"),
            "id": None,
            "text": f"word{number}",
            "size_bytes": 0,
            "mtime_ns": 0,
        }
        for number in range(count)
    ]
    catalog.commit(Write(items=rows))
    assert [item.key for item in catalog.stored()] == [one["key"] for one in rows]
    assert [item for item, _ in catalog.lexical_search(f"word{count - 1}", 10)] == [count]
    catalog.close()


def test_an_item_that_waits_for_its_vector_changes_when_another_brings_it(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "c.sqlite3", create=True)
    catalog.spaces.begin(EncoderInfo("a", "aa", 2))
    first = Write(items=[row(1, None, b"t") | {"id": None}, row(2, b"p", None) | {"id": None}])
    first.vectors = NewVectors("aa", 0, (("text", b"t"), ("image", b"p")), b"sum")
    seq = catalog.commit(first)
    (batch,) = catalog.spaces.batches("aa")
    assert catalog.spaces.drop_batches("aa", [batch.seq]) == 2
    assert [item.id for item in catalog.spaces.pending("aa", 0, 9)] == [1, 2]
    repaired = catalog.seq()
    again = Write(items=[row(3, None, b"t") | {"id": None}])
    again.vectors = NewVectors("aa", 2, (("text", b"t"),), b"sum")
    catalog.commit(again)
    assert list(catalog.changes(seq, "text", "aa")) == [[(1, 2), (2, None), (3, 2)]]
    assert list(catalog.changes(repaired, "text", "aa")) == [[(1, 2), (3, 2)]]
    catalog.close()


def test_an_item_without_a_vector_in_the_new_space_changes_when_it_comes(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "c.sqlite3", create=True)
    catalog.spaces.begin(EncoderInfo("a", "aa", 2))
    first = Write(items=[row(1, None, b"t") | {"id": None}, row(2, None, b"u") | {"id": None}])
    first.vectors = NewVectors("aa", 0, (("text", b"t"), ("text", b"u")), b"sum")
    catalog.commit(first)
    catalog.spaces.begin(EncoderInfo("b", "bb", 2))
    catalog.spaces.commit(NewVectors("bb", 0, (("text", b"t"),), b"sum"))
    catalog.spaces.switch("bb")
    switched = catalog.seq()
    catalog.commit(Write(vectors=NewVectors("bb", 1, (("text", b"u"),), b"sum")))
    assert list(catalog.changes(switched, "text", "bb")) == [[(2, 1)]]
    catalog.close()


def _types(path: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return {(name, JSON_TYPES.get(one, one)) for name, one in connection.execute(TYPES)}


def test_a_catalog_whose_creation_was_cut_short_is_made_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.sqlite3"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(database, "set_fact", killed)  # all tables are made by then
        with pytest.raises(KeyboardInterrupt):
            Catalog(path, create=True)
    with closing(Catalog(path, create=True)) as catalog:
        assert catalog.counts()["items"] == 0
    assert tables(path) == tables_of_a_new_catalog(tmp_path)


def test_many_may_create_a_catalog_at_once(tmp_path: Path) -> None:
    for number in range(10):
        path = tmp_path / f"{number}.sqlite3"
        together = threading.Barrier(3)

        def create(path: Path = path, together: threading.Barrier = together) -> None:
            together.wait()
            Catalog(path, create=True).close()

        with ThreadPoolExecutor(3) as threads:
            for done in [threads.submit(create) for _ in range(3)]:
                done.result()


def tables(path: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return set(connection.execute("SELECT type, name FROM sqlite_master"))


def tables_of_a_new_catalog(folder: Path) -> set[tuple[str, str]]:
    Catalog(folder / "new.sqlite3", create=True).close()
    return tables(folder / "new.sqlite3")


def test_a_folder_may_have_the_signs_of_an_address_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "what? 100% #1"
    folder.mkdir()
    Catalog(folder / "catalog.sqlite3", create=True).close()
    assert [path.name for path in tmp_path.rglob("*")] == [folder.name, "catalog.sqlite3"]
