"""The Python API: opening, searching, removing, checking."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mmsearch
from mmsearch import Query, Term
from mmsearch.collection import find_collection
from mmsearch.errors import (
    CorruptionError,
    ImageError,
    ItemNotFoundError,
    NoCollectionError,
    SchemaError,
    StorageError,
    UsageError,
)
from tests.support import ColourEncoder, paint, shop


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[mmsearch.Collection]:
    path = tmp_path / ".mmsearch"
    with mmsearch.open(path, create=True, encoder=ColourEncoder()) as opened:
        opened.index([shop(tmp_path / "photos")])
        yield opened


def test_collection_is_found_upwards_from_the_working_directory(
    collection: mmsearch.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "photos" / "a" / "b"
    deep.mkdir(parents=True)
    assert find_collection(deep) == collection.path
    monkeypatch.chdir(deep)
    with mmsearch.open() as found:
        assert found.path == collection.path


def test_no_collection_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoCollectionError, match="mmsearch index PATH"):
        mmsearch.open()
    with pytest.raises(NoCollectionError, match="is no collection"):
        mmsearch.open(tmp_path / "nowhere")


def test_folder_that_holds_a_collection_names_it(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    with mmsearch.open(tmp_path) as found:
        assert found.path == collection.path


def test_a_string_is_always_text_and_a_path_or_image_a_picture(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    picture = tmp_path / "photos" / "green.png"
    assert collection.search(str(picture), k=1) != []
    assert collection.search(picture, k=1)[0].key == "photos/green.png"
    with Image.open(picture) as image:
        assert collection.search(image, k=1)[0].key == "photos/green.png"


def test_stored_item_is_its_own_best_answer(collection: mmsearch.Collection) -> None:
    query = Query((Term(item="photos/blue.png"),), to="image")
    hit = collection.search(query, k=1)[0]
    assert hit.key == "photos/blue.png"
    assert hit.score == pytest.approx(1, abs=1e-3)


def test_negative_term_pushes_away(collection: mmsearch.Collection) -> None:
    plain = [hit.key for hit in collection.search("red", k=6)]
    query = Query((Term(text="red"), Term(text="yellow", weight=-0.9)), to="image", k=6)
    minus = [hit.key for hit in collection.search(query)]
    assert minus.index("photos/yellow.png") > plain.index("photos/yellow.png")


def test_many_queries_answer_as_one_by_one(collection: mmsearch.Collection) -> None:
    queries = ["red", "blue", "something else"]
    together = collection.search_many(queries, k=3)
    assert together == [collection.search(query, k=3) for query in queries]


def test_more_results_than_items_are_all_the_items(collection: mmsearch.Collection) -> None:
    hits = collection.search("red", k=1000)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6]
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("k", [0, -1, 10_001])
def test_senseless_k_is_refused(collection: mmsearch.Collection, k: int) -> None:
    with pytest.raises(UsageError, match=f"k must be between 1 and 10000, not {k}"):
        collection.search("red", k=k)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_empty_query_is_refused(collection: mmsearch.Collection, text: str) -> None:
    with pytest.raises(UsageError, match="query text is empty"):
        collection.search(text)


def test_terms_that_cancel_out_are_refused(collection: mmsearch.Collection) -> None:
    query = Query((Term(text="red"), Term(text="red", weight=-1)))
    with pytest.raises(UsageError, match="cancel each other"):
        collection.search(query)


def test_unknown_item_and_unreadable_picture_are_errors(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    with pytest.raises(ItemNotFoundError, match="nothing-here"):
        collection.search(Query((Term(item="nothing-here"),)))
    (tmp_path / "bad.png").write_bytes(b"no")
    with pytest.raises(ImageError, match=r"bad\.png"):
        collection.search(tmp_path / "bad.png")


def test_empty_collection_answers_with_nothing(tmp_path: Path) -> None:
    with mmsearch.open(tmp_path / "new", create=True, encoder=ColourEncoder()) as empty:
        assert empty.search("red") == []
        assert empty.status().items == 0


def test_text_collection_answers_with_texts(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("a red thing")
    with mmsearch.open(tmp_path / "c", create=True, encoder=ColourEncoder()) as collection:
        collection.index([tmp_path / "notes"])
        assert collection.search("red")[0].text == "a red thing"


def test_removing_an_unknown_key_removes_nothing(collection: mmsearch.Collection) -> None:
    with pytest.raises(ItemNotFoundError, match="nothing was removed"):
        collection.remove(["photos/red.png", "nope"])
    assert collection.status().images == 6


def test_reader_sees_what_a_writer_commits_meanwhile(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    with mmsearch.open(collection.path, encoder=ColourEncoder()) as reader:
        assert len(reader.search("red", k=20)) == 6
        paint(tmp_path / "photos" / "new.png", (200, 50, 60))
        collection.index([tmp_path / "photos"])
        assert len(reader.search("red", k=20)) == 7
        collection.remove(["photos/new.png"])
        assert len(reader.search("red", k=20)) == 6


def test_status_counts_what_is_there(collection: mmsearch.Collection) -> None:
    status = collection.status()
    assert (status.items, status.images, status.texts, status.missing) == (7, 6, 3, 0)
    assert status.model == "colours"
    assert min(status.catalog_bytes, status.vectors_bytes, status.index_bytes) > 0
    assert status.last_run is not None
    assert status.last_run["added"] == 7


def test_lost_snapshots_are_rebuilt_from_the_catalog(
    collection: mmsearch.Collection,
) -> None:
    before = collection.search("red", k=6)
    for path in (collection.path / "index").iterdir():
        path.write_bytes(b"torn")
    with mmsearch.open(collection.path, encoder=ColourEncoder()) as again:
        assert again.search("red", k=6) == before
        assert len(again.check().problems) == 2
        assert again.check(repair=True).repaired == ("index snapshots rebuilt from the catalog",)
        assert again.check().problems == ()


def test_words_that_are_not_those_of_the_items_are_found_and_repaired(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    collection.index([shop(tmp_path / "photos")])
    with collection._catalog._database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO words (rowid, text) VALUES (999, 'ghost')")
    problem = "the words that are searched are not those of the items"
    assert collection.check().problems == (problem,)
    assert collection.check(repair=True).repaired[0] == "words of all items indexed anew"
    assert collection.check().problems == ()


def test_index_settings_that_cannot_be_read_are_found_and_set_aside(
    collection: mmsearch.Collection,
) -> None:
    settings = collection.path / "index.json"
    settings.write_text("junk")
    (problem,) = collection.check().problems
    assert problem == "the index settings, index.json, cannot be read"
    for path in (collection.path / "index").iterdir():
        path.unlink()
    report = collection.check(repair=True)
    assert problem in report.problems
    assert report.repaired == (
        "index settings set aside as index.json.damaged: the defaults hold",
        "index snapshots rebuilt from the catalog",
    )
    assert report.remaining == ()
    assert not settings.exists()
    assert settings.with_name("index.json.damaged").read_text() == "junk"


def test_nothing_is_encoded_before_index_settings_that_cannot_be_read_are_told_of(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    (collection.path / "index.json").write_text("junk")
    (tmp_path / "new.txt").write_text("a new thing")
    with pytest.raises(CorruptionError, match="cannot be read as index settings"):
        collection.index([tmp_path / "new.txt"])
    with pytest.raises(CorruptionError, match="cannot be read as index settings"):
        collection.upsert([{"key": "new", "text": "a new thing"}])
    assert collection.status().items == 7
    with pytest.raises(CorruptionError, match="cannot be read as index settings"):
        collection.reindex("no such model")


def test_damaged_vectors_are_found_forgotten_and_encoded_again(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    before = collection.search("red", k=6)
    (vectors,) = (collection.path / "vectors").iterdir()
    data = bytearray(vectors.read_bytes())
    data[0:8] = b"\x00" * 8
    vectors.write_bytes(data)
    with mmsearch.open(collection.path, encoder=ColourEncoder()) as again:
        assert "are damaged or cut off" in again.check().problems[0]
        assert "vectors forgotten" in again.check(repair=True).repaired[0]
        again.index([tmp_path / "photos"])
        assert again.check().problems == ()
        assert {(h.key, h.score) for h in again.search("red", k=6)} == {
            (h.key, h.score) for h in before
        }


def test_vector_file_cut_short_is_an_error_that_names_the_cure(
    collection: mmsearch.Collection,
) -> None:
    (vectors,) = (collection.path / "vectors").iterdir()
    vectors.write_bytes(vectors.read_bytes()[:40])
    for path in (collection.path / "index").iterdir():
        path.unlink()
    with (
        mmsearch.open(collection.path, encoder=ColourEncoder()) as again,
        pytest.raises(CorruptionError, match="check --repair"),
    ):
        again.search("red")


def test_vectors_are_unit_rows_of_their_items_however_many_are_read_at_once(
    collection: mmsearch.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, vectors = collection.vectors("text")
    assert [item.id for item in items] == sorted(item.id for item in items)
    texts = [item.text or "" for item in items]
    assert sorted(texts) == ["a blue square", "a red square", "something green"]
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, ColourEncoder().encode_texts(texts), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    monkeypatch.setattr("mmsearch.stored_vectors.VECTORS_AT_ONCE", 2)
    assert (collection.vectors("text")[1] == vectors).all()
    stored = collection.stored_vectors("text")
    assert stored.ids.tolist() == [item.id for item in items]
    assert (stored.read(np.array([2, 0])) == vectors[[2, 0]]).all()
    collection.remove([item.key for item in items])
    assert len(collection.stored_vectors("text")) == 0
    gone, none = collection.vectors("text")
    assert gone == []
    assert none.shape == (0, ColourEncoder.dim)


def test_nothing_is_written_behind_vectors_that_are_gone(collection: mmsearch.Collection) -> None:
    (vectors,) = (collection.path / "vectors").iterdir()
    vectors.write_bytes(vectors.read_bytes()[:40])
    with mmsearch.open(collection.path, encoder=ColourEncoder()) as again:
        with pytest.raises(CorruptionError, match="check --repair"):
            again.upsert([{"key": "new", "text": "a new thing"}])
        again.check(repair=True)
        assert again.upsert([{"key": "new", "text": "a new thing"}]).added == 1


def test_files_that_another_process_replaces_meanwhile_count_as_nothing(
    collection: mmsearch.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = collection.path / "index"
    (folder / "x.tmp").write_bytes(b"a snapshot that is being written")
    seen = list(os.scandir(folder))
    (folder / "x.tmp").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("mmsearch.layout.os.scandir", lambda _: seen)
        while_replaced = collection._layout.sizes()["index_bytes"]
    assert while_replaced == collection._layout.sizes()["index_bytes"]


def test_newer_schema_is_refused(collection: mmsearch.Collection) -> None:
    collection.close()
    with sqlite3.connect(collection.path / "catalog.sqlite3") as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    connection.close()
    with pytest.raises(SchemaError, match="Upgrade mmsearch"):
        mmsearch.open(collection.path)


def test_catalog_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "catalog.sqlite3").write_bytes(b"x" * 5000)
    with pytest.raises(CorruptionError, match="is damaged"):
        mmsearch.open(tmp_path / "c")


def test_read_only_place_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another place with --collection"):
        mmsearch.open(tmp_path / "file" / "c", create=True)
