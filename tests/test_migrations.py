"""Collections that older versions made open, work, and have today's tables afterwards."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import mmsearch
from mmsearch.catalog import migrations, schema
from mmsearch.catalog.catalog import Catalog, Write
from mmsearch.types import Query, Term
from tests.support import ColourEncoder, shop

DATA = Path(__file__).parent / "data"


@pytest.fixture
def schema_1(tmp_path: Path) -> Path:
    """A collection as mmsearch 0.1 with schema 1 left it: see the rows in catalog.sql."""
    path = tmp_path / ".mmsearch"
    (path / "vectors").mkdir(parents=True)
    with closing(sqlite3.connect(path / "catalog.sqlite3")) as connection:
        connection.executescript((DATA / "schema-1" / "catalog.sql").read_text(encoding="utf-8"))
    vectors = (DATA / "schema-1" / "c0105.f16").read_bytes()
    (path / "vectors" / "c0105.f16").write_bytes(vectors)
    return path


def shape(path: Path) -> dict[str, set[tuple[object, ...]]]:
    """Table -> its columns (name, type, not null, primary key) and indexes (partial or not)."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        columns = 'SELECT name, type, "notnull", pk FROM pragma_table_info(?)'
        indexes = (
            'SELECT l.name, l."unique", l.partial, i.name FROM pragma_index_list(?) l, '
            "pragma_index_info(l.name) i WHERE l.origin = 'c'"
        )
        return {
            table: {*connection.execute(columns, [table]), *connection.execute(indexes, [table])}
            for table in tables
        }


def test_old_collection_answers_as_it_did(schema_1: Path) -> None:
    with mmsearch.open(schema_1, encoder=ColourEncoder()) as collection:
        query = Query((Term(text="red"),), to="image", k=3, mode="vector")  # as it was then
        hits = [(hit.key, hit.score) for hit in collection.search(query)]
        status = collection.status()
    assert hits == [
        ("photos/red.png", 0.999835),
        ("sku1", 0.999835),
        ("photos/blue.png", -0.138882),
    ]
    assert (status.items, status.images, status.texts, status.missing) == (6, 5, 4, 1)
    assert (status.model, status.fingerprint, status.dim) == ("colours", "c0105", 16)
    assert [space.state for space in status.spaces] == ["current"]
    assert status.last_run is not None


def test_old_collection_is_indexed_and_moved_like_a_new_one(schema_1: Path, tmp_path: Path) -> None:
    shop(tmp_path / "photos")
    with mmsearch.open(schema_1, create=True, encoder=ColourEncoder()) as collection:
        collection.check(repair=True)
        collection.index([tmp_path / "photos"])
        assert collection.reindex(ColourEncoder("0the2", name="other", seed=3)).switched
        assert collection.search("red", k=1)[0].key in ("photos/red.png", "sku1")
        assert collection.check().problems == ()


def test_attributes_that_old_photos_were_given_stay(schema_1: Path, tmp_path: Path) -> None:
    shop(tmp_path / "photos")
    with closing(sqlite3.connect(schema_1 / "catalog.sqlite3")) as connection:
        connection.execute(
            """UPDATE items SET attributes = '{"colour": "red"}' WHERE key = 'photos/red.png'"""
        )
        connection.commit()
    with mmsearch.open(schema_1, create=True, encoder=ColourEncoder()) as collection:
        collection.check(repair=True)
        for _ in range(2):
            collection.index([tmp_path / "photos"])
            item = collection._catalog.item("photos/red.png")
            assert item is not None
            assert item.attributes == {"colour": "red"}


def test_old_items_are_found_by_words_and_their_attributes_are_known(schema_1: Path) -> None:
    with closing(sqlite3.connect(schema_1 / "catalog.sqlite3")) as connection:
        attributes = """{"brand": "Acme", "price": 5, "tags": ["new"], "on": true, "none": null}"""
        connection.execute("UPDATE items SET attributes = ? WHERE key = 'sku1'", [attributes])
        connection.commit()
    catalog = Catalog(schema_1 / "catalog.sqlite3")
    for _ in range(2):  # FTS5's own answer, and that of the postings in memory
        assert [item for item, _ in catalog.lexical_search("SQUARE", 9)] == [3, 5]
        assert [item for item, _ in catalog.lexical_search("acme new", 9)] == [
            item.id for item in catalog.by_key(["sku1"]).values()
        ]
        assert catalog.lexical_search("black", 9) == []
    assert catalog.attribute_types() == {
        "brand": {"string"},
        "price": {"number"},
        "tags": {"list"},
        "on": {"boolean"},
        "none": {"null"},
    }
    catalog.close()


def test_words_of_an_old_item_that_leaves_are_forgotten(schema_1: Path) -> None:
    catalog = Catalog(schema_1 / "catalog.sqlite3")
    assert [item for item, _ in catalog.lexical_search("square", 9)] == [3, 5]
    catalog.commit(Write(states={"removed": [3]}))
    assert [item for item, _ in catalog.lexical_search("square", 9)] == [5]
    with catalog._database.reading() as connection:
        connection.exec_driver_sql("INSERT INTO words (words) VALUES ('integrity-check')")
        left = connection.exec_driver_sql("SELECT term FROM postings WHERE doc = 3").all()
    assert left == []
    catalog.close()


def test_old_items_without_a_vector_wait_for_it(schema_1: Path) -> None:
    path = schema_1 / "catalog.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT id, text_digest FROM items WHERE text_digest IS NOT NULL AND state = 'live'"
        item, digest = connection.execute(query).fetchone()
        connection.execute("DELETE FROM embeddings WHERE digest = ?", [digest])
        connection.commit()
    Catalog(path).close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM waiting").fetchall() == [("text", digest, item)]


def test_migrated_tables_are_those_of_a_new_catalog(schema_1: Path, tmp_path: Path) -> None:
    Catalog(schema_1 / "catalog.sqlite3").close()
    Catalog(tmp_path / "new.sqlite3", create=True).close()
    assert shape(schema_1 / "catalog.sqlite3") == shape(tmp_path / "new.sqlite3")


def test_migrated_collection_has_no_triggers_and_right_counts(schema_1: Path) -> None:
    catalog = Catalog(schema_1 / "catalog.sqlite3")
    before = catalog.counts()
    catalog.commit(Write(states={"missing": [1]}))
    after = catalog.counts()
    catalog.close()
    changed = {"items": before["items"] - 1, "missing": before["missing"] + 1}
    assert {name: after[name] for name in changed} == changed
    with closing(sqlite3.connect(schema_1 / "catalog.sqlite3")) as connection:
        query = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'"
        assert connection.execute(query).fetchone() == (0,)


def test_migration_that_fails_changes_nothing(
    schema_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shape(schema_1 / "catalog.sqlite3")
    broken = {1: (*migrations.STEPS[1], "NOT SQL")}
    monkeypatch.setattr(migrations, "STEPS", broken)
    with pytest.raises(mmsearch.MmsearchError):
        Catalog(schema_1 / "catalog.sqlite3")
    assert shape(schema_1 / "catalog.sqlite3") == before
    monkeypatch.undo()
    Catalog(schema_1 / "catalog.sqlite3").close()


def test_every_older_schema_has_a_step() -> None:
    assert sorted(migrations.STEPS) == list(range(1, schema.SCHEMA_VERSION))
