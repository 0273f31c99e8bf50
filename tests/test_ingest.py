"""What a second, third and fourth `index` run does to a collection."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmsearch
from mmsearch.errors import (
    EncoderMismatchError,
    LockedError,
    RootError,
    StorageError,
    UsageError,
)
from mmsearch.types import Progress
from tests.support import ColourEncoder, paint, shop


@pytest.fixture
def encoder() -> ColourEncoder:
    return ColourEncoder()


@pytest.fixture
def collection(tmp_path: Path, encoder: ColourEncoder) -> Iterator[mmsearch.Collection]:
    with mmsearch.open(tmp_path / ".mmsearch", create=True, encoder=encoder) as opened:
        yield opened


def keys(collection: mmsearch.Collection, query: str = "red", k: int = 20) -> set[str]:
    return {hit.key for hit in collection.search(query, k=k)}


def test_first_run_adds_everything_and_the_best_picture_comes_first(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    report = collection.index([shop(tmp_path / "photos")])
    assert (report.added, report.encoded_images, report.encoded_texts) == (7, 6, 3)
    assert collection.search("red", k=1)[0].key == "photos/red.png"
    assert collection.search("red square", to="text", k=1)[0].text == "a red square"
    assert collection.search(tmp_path / "photos/blue.png", to="text", k=1)[0].text == (
        "a blue square"
    )


def test_unchanged_second_run_neither_decodes_nor_encodes(
    tmp_path: Path, collection: mmsearch.Collection, encoder: ColourEncoder
) -> None:
    collection.index([shop(tmp_path / "photos")])
    before = encoder.encoded_images, encoder.encoded_texts
    report = collection.index([tmp_path / "photos"])
    assert (report.unchanged, report.added, report.decoded) == (7, 0, 0)
    assert (encoder.encoded_images, encoder.encoded_texts) == before


def test_changed_picture_is_encoded_again_and_found_by_its_new_content(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = shop(tmp_path / "photos")
    collection.index([folder])
    paint(folder / "black.png", (225, 20, 25))
    report = collection.index([folder])
    assert (report.changed, report.encoded_images) == (1, 1)
    top = {hit.key for hit in collection.search("red", k=2)}
    assert top == {"photos/red.png", "photos/black.png"}


def test_touched_picture_is_not_encoded_again(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = shop(tmp_path / "photos")
    collection.index([folder])
    os.utime(folder / "red.png", ns=(1, 1))
    report = collection.index([folder])
    assert (report.changed, report.decoded, report.encoded_images) == (0, 0, 0)


def test_moved_and_renamed_pictures_keep_their_vector(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = shop(tmp_path / "photos")
    collection.index([folder])
    (folder / "old").mkdir()
    (folder / "green.png").rename(folder / "old" / "verde.png")
    report = collection.index([folder])
    assert (report.moved, report.missing, report.decoded) == (1, 0, 0)
    assert collection.search("green", k=1)[0].key == "photos/old/verde.png"


def test_what_one_product_was_given_is_not_handed_to_another(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    paint(tmp_path / "none.png", "white")
    table = tmp_path / "products.csv"
    table.write_text("key,title,image\nA,shirt,none.png\nB,shirt,none.png\n")
    collection.index([table])
    collection.update({"A": {"stock": 0}})
    table.write_text("key,title,image\nB,shirt,none.png\nC,shirt,none.png\n")
    report = collection.index([table])
    assert (report.added, report.moved, report.missing) == (1, 0, 1)
    assert {hit.key: hit.attributes for hit in collection.search("shirt")} == {"B": {}, "C": {}}


def test_what_a_row_was_given_is_not_handed_to_a_product_of_that_title(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    (tmp_path / "a.csv").write_text("title\nsocks\n")
    collection.index([tmp_path])
    collection.update({"a.csv#1": {"stock": 9}})
    (tmp_path / "a.csv").unlink()
    (tmp_path / "b.csv").write_text("key,title\nB,socks\n")
    report = collection.index([tmp_path])
    assert (report.added, report.moved, report.missing) == (1, 0, 1)
    assert [hit.attributes for hit in collection.search("socks")] == [{}]


def test_rows_without_a_key_are_known_again_in_another_place(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text("title\nshirt\nshoe\n")
    collection.index([tmp_path])
    collection.update({"old.csv#2": {"stock": 3}})
    old.rename(new)
    report = collection.index([tmp_path])
    assert (report.moved, report.missing) == (2, 0)
    assert collection.search("shoe", k=1)[0].attributes == {"stock": 3}


def test_folder_whose_name_begins_like_another_is_not_in_it(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    collection.index([shop(tmp_path / "photos"), shop(tmp_path / "photos#2")])
    report = collection.index([tmp_path / "photos"])
    assert (report.unchanged, report.missing) == (7, 0)


def test_first_run_that_is_interrupted_while_it_looks_for_more_reports_its_rows(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    paint(tmp_path / "red.png", "red")
    rows = [f"sku{n},shirt,{'red.png' if n > 4 else ''}" for n in range(1200)]
    (tmp_path / "products.csv").write_text("\n".join(["key,title,image", *rows]) + "\n")

    def interrupt(progress: mmsearch.Progress) -> None:
        if progress.step == "scan":
            raise KeyboardInterrupt

    report = collection.index([tmp_path], on_progress=interrupt)
    assert (report.added, report.interrupted) == (5, True)
    assert len(keys(collection, "shirt")) == 5
    assert collection.index([tmp_path]).added == 1195


def test_duplicate_is_a_second_item_with_the_same_vector(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = shop(tmp_path / "photos")
    collection.index([folder])
    shutil.copy(folder / "green.png", folder / "green copy.png")
    report = collection.index([folder])
    assert (report.added, report.encoded_images) == (1, 0)
    scores = {hit.score for hit in collection.search("green", k=2)}
    assert len(scores) == 1


def test_deleted_picture_is_no_longer_found(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = shop(tmp_path / "photos")
    collection.index([folder])
    (folder / "red.png").unlink()
    report = collection.index([folder])
    assert report.missing == 1
    assert "photos/red.png" not in keys(collection)
    # Its text is now a text of its own.
    assert collection.search("red square", to="text", k=1)[0].key == "photos/red.txt"


def test_deleted_duplicates_are_all_missed(tmp_path: Path, collection: mmsearch.Collection) -> None:
    folder = shop(tmp_path / "photos")
    shutil.copy(folder / "green.png", folder / "green copy.png")
    collection.index([folder])
    (folder / "green.png").unlink()
    (folder / "green copy.png").unlink()
    assert collection.index([folder]).missing == 2


def test_unplugged_drive_is_an_error_and_its_return_costs_nothing(
    tmp_path: Path, collection: mmsearch.Collection, encoder: ColourEncoder
) -> None:
    drive = shop(tmp_path / "drive")
    collection.index([drive])
    drive.rename(tmp_path / "unplugged")
    drive.mkdir()
    with pytest.raises(RootError, match=r"7 items came from it.*--allow-empty"):
        collection.index([drive])
    assert len(keys(collection)) == 6
    assert collection.index([drive], allow_empty=True).missing == 7
    assert keys(collection) == set()
    drive.rmdir()
    (tmp_path / "unplugged").rename(drive)
    encoded = encoder.encoded_images
    report = collection.index([drive])
    assert (report.returned, report.decoded, encoder.encoded_images) == (7, 0, encoded)
    assert len(keys(collection)) == 6


def test_folder_whose_pictures_a_table_claims_was_not_emptied(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = tmp_path / "photos"
    paint(folder / "red.png", "red")
    paint(folder / "blue.png", "blue")
    collection.index([folder])
    table = tmp_path / "products.csv"
    table.write_text("key,image\nsku1,photos/red.png\nsku2,photos/blue.png\n")
    report = collection.index([folder, table])
    assert (report.moved, report.missing, report.encoded_images) == (2, 0, 0)
    assert keys(collection) == {"sku1", "sku2"}
    # A table that names pictures of a drive which is not there does not stand for the drive.
    collection.index([paint(tmp_path / "drive" / "green.png", "green").parent])
    (tmp_path / "drive" / "green.png").unlink()
    table.write_text("key,image\nsku1,photos/red.png\nsku3,drive/green.png\n")
    with pytest.raises(RootError, match="not mounted"):
        collection.index([tmp_path / "drive", table])


def test_table_whose_items_another_one_has_by_now_was_not_emptied(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    old, new = tmp_path / "a.csv", tmp_path / "b.csv"
    old.write_text("key,title\nsku1,red shoe\n")
    new.write_text("key,title\nsku2,blue shoe\n")
    collection.index([old, new])
    new.write_text("key,title\nsku2,blue shoe\nsku1,red shoe\n")
    report = collection.index([new, old])  # both have it, and the first one named counts
    assert (report.missing, len(report.failures)) == (0, 1)
    old.write_text("key,title\n")
    report = collection.index([old, new])
    assert (report.missing, report.failures) == (0, ())
    assert keys(collection) == {"sku1", "sku2"}


def test_table_that_was_emptied_is_asked_about(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    table = tmp_path / "a.csv"
    table.write_text("key,title\nsku1,red shoe\n")
    collection.index([table])
    table.write_text("key,title\n")
    with pytest.raises(RootError, match="was it written over"):
        collection.index([table])
    assert keys(collection) == {"sku1"}


def test_name_of_no_device_is_refused_where_nothing_has_to_be_encoded(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = shop(tmp_path / "photos")
    collection.index([folder])
    with pytest.raises(UsageError, match="no device is called 'nonsense'"):
        collection.index([folder], device="nonsense")
    assert collection.index([folder], device="cpu:0").unchanged == 7


def test_small_change_leaves_the_index_snapshot_as_it_is(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = shop(tmp_path / "photos")
    collection.index([folder])
    before = sorted((collection.path / "index").iterdir())
    assert len(before) >= 2
    assert collection.check().problems == ()
    paint(folder / "new.png", "red")
    collection.index([folder])
    assert sorted((collection.path / "index").iterdir()) == before
    with mmsearch.open(collection.path, encoder=ColourEncoder()) as reader:
        assert "photos/new.png" in keys(reader)


def test_other_folders_are_left_alone(tmp_path: Path, collection: mmsearch.Collection) -> None:
    collection.index([shop(tmp_path / "a"), shop(tmp_path / "b")])
    (tmp_path / "b" / "red.png").unlink()
    report = collection.index([tmp_path / "a"])
    assert report.missing == 0


def test_bad_file_is_a_line_in_the_report_and_is_not_retried_until_it_changes(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = shop(tmp_path / "photos")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    first = collection.index([folder])
    assert [failure.key for failure in first.failures] == ["photos/broken.jpg"]
    assert first.added == 7
    second = collection.index([folder])
    assert second.failures == first.failures
    paint(folder / "tmp.jpg", "red").rename(folder / "broken.jpg")
    third = collection.index([folder])
    assert (third.failures, third.added) == ((), 1)
    assert collection.status().failures == 0


def test_failure_is_forgotten_with_its_file(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = shop(tmp_path / "photos")
    (folder / "broken.jpg").write_bytes(b"")
    collection.index([folder])
    (folder / "broken.jpg").unlink()
    assert collection.index([folder]).failures == ()
    assert collection.status().failures == 0


def test_table_rows_keep_their_attributes_and_change_without_encoding(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = shop(tmp_path / "photos")
    table = tmp_path / "products.csv"
    table.write_text("key,title,price,image\nsku1,red thing,5,photos/red.png\n")
    collection.index([table])
    hit = collection.search("red", k=1)[0]
    assert (hit.key, hit.path, hit.attributes["price"]) == ("sku1", "photos/red.png", 5)
    table.write_text("key,title,price,image\nsku1,red thing,4,photos/red.png\n")
    report = collection.index([table])
    assert (report.changed, report.encoded_images, report.encoded_texts) == (1, 0, 0)
    assert collection.search("red", k=1)[0].attributes["price"] == 4
    table.write_text("key,title,price,image\nsku2,blue thing,4,photos/blue.png\n")
    report = collection.index([table])
    assert (report.added, report.missing) == (1, 1)
    assert folder.is_dir()


def test_failure_of_a_row_with_its_own_key_ends_with_the_row(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    table = tmp_path / "products.csv"
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    rows = "key,title,image\nsku1,red thing,\nsku2,blue thing,broken.jpg\n"
    table.write_text(rows)
    assert [failure.key for failure in collection.index([table]).failures] == ["sku2"]
    table.write_text("key,title,image\nsku1,red thing,\n")
    assert collection.index([table]).failures == ()
    assert collection.status().failures == 0
    table.write_text(rows)
    collection.index([table])
    table.write_text("key,title,image\nsku1,red thing,\nsku2,blue thing,\n")
    assert collection.index([tmp_path]).added == 1
    failed = collection._catalog.known_failures()
    assert set(failed) == {"broken.jpg"}  # no row claims it any more: a photo of its own


def test_failures_of_other_tables_are_left_alone(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "a.csv").write_text("key,image\nsku1,broken.jpg\n")
    (tmp_path / "b.csv").write_text("key,title\nsku2,blue thing\n")
    collection.index([tmp_path / "a.csv", tmp_path / "b.csv"])
    collection.index([tmp_path / "b.csv"])
    assert collection.status().failures == 1


def test_new_picture_is_read_once(tmp_path: Path, collection: mmsearch.Collection) -> None:
    picture = str(paint(tmp_path / "photos" / "red.png", "red"))
    opened = []
    listening = [True]

    def listen(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and listening[0] and str(arguments[0]) == picture:
            opened.append(picture)

    sys.addaudithook(listen)  # it cannot be taken back, only be made deaf
    collection.index([tmp_path / "photos"])
    listening[0] = False
    assert collection.status().images == 1
    assert opened == [picture]


def test_attribute_that_changes_its_type_only_is_a_change(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    table = tmp_path / "products.csv"
    table.write_text("key,title,new\nsku1,red thing,1\n")
    collection.index([table])
    table.write_text("key,title,new\nsku1,red thing,true\n")
    collection.index([table])
    assert collection.search("red", to="text", k=1)[0].attributes == {"new": True}


def test_attributes_in_another_spelling_of_json_are_no_change(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    (tmp_path / "t.csv").write_text("text,price,colour\na red shoe,1.5,red\n")
    collection.index([tmp_path / "t.csv"])
    with sqlite3.connect(collection.path / "catalog.sqlite3") as catalog:  # as older versions did
        spelt = '{"price": 1.5, "colour": "\\u0072ed"}'
        assert catalog.execute("UPDATE items SET attributes = ?", (spelt,)).rowcount == 1
    report = collection.index([tmp_path / "t.csv"])
    assert (report.unchanged, report.changed) == (1, 0)


def test_type_that_no_row_has_any_more_is_forgotten(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    table = tmp_path / "products.csv"

    def types(*sizes: str) -> set[str]:
        rows = [f"sku{n},thing {n},{size}" for n, size in enumerate(sizes)]
        table.write_text("\n".join(["key,title,size", *rows]) + "\n")
        collection.index([table])
        return {str(one) for one in collection._catalog.attribute_types()["size"]}

    assert types("42", "XL", "") == {"number", "string", "null"}
    assert types("42", "XL", "44") == {"number", "string"}
    assert types("42", "43", "44") == {"number"}
    assert len(collection.search("thing", where="size > 42", mode="lexical")) == 2
    assert types("42", "XL") == {"number", "string"}
    collection.remove(["sku1"])
    assert collection.check(repair=True).problems == ()
    assert collection._catalog.attribute_types()["size"] == {"number"}


def test_row_that_moves_to_another_table_is_not_missed_with_the_old_one(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "t.csv").write_text("key,title\nsku1,red thing\nsku2,blue thing\n")
    collection.index([tmp_path / "a"])
    (tmp_path / "b" / "t.csv").write_text("key,title\nsku1,red thing\n")
    collection.index([tmp_path / "b"])
    (tmp_path / "a" / "t.csv").write_text("key,title\nsku2,blue thing\n")
    assert collection.index([tmp_path / "a"]).missing == 0
    assert collection.status().items == 2


def test_removed_item_is_gone_and_returns_when_indexed_again(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = shop(tmp_path / "photos")
    collection.index([folder])
    assert collection.remove(["photos/red.png"]) == 1
    assert "photos/red.png" not in keys(collection)
    report = collection.index([folder])
    assert (report.added, report.encoded_images) == (1, 0)
    assert "photos/red.png" in keys(collection)


def test_vectors_of_two_encoders_never_meet(tmp_path: Path) -> None:
    folder = shop(tmp_path / "photos")
    with mmsearch.open(tmp_path / "c", create=True, encoder=ColourEncoder()) as collection:
        collection.index([folder])
    paint(folder / "new.png", "red")
    other = ColourEncoder("another")
    with (
        mmsearch.open(tmp_path / "c", encoder=other) as collection,
        pytest.raises(EncoderMismatchError, match="mmsearch reindex --model"),
    ):
        collection.index([folder])


def test_second_writer_is_told_at_once(tmp_path: Path, collection: mmsearch.Collection) -> None:
    folder = shop(tmp_path / "photos")
    second = mmsearch.open(collection.path, encoder=ColourEncoder())

    def on_progress(progress: Progress) -> None:
        if progress.step == "committed":
            with pytest.raises(LockedError, match="another process is writing"):
                second.index([folder])

    collection.index([folder], on_progress=on_progress)
    second.close()


def test_interruption_keeps_what_was_committed(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    folder = shop(tmp_path / "photos")

    def interrupt(progress: Progress) -> None:
        if progress.step == "committed":
            raise KeyboardInterrupt

    report = collection.index([folder], on_progress=interrupt)
    assert report.interrupted
    assert 0 < len(keys(collection)) < 6
    assert collection.index([folder]).added == 7 - report.added


def test_rows_of_a_first_run_are_committed_while_the_next_are_read(
    tmp_path: Path, collection: mmsearch.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmsearch.ingest.pipeline.KNOWN_PER_COMMIT", 2)
    rows = [f"a red thing,{number}\n" for number in range(8)]
    (tmp_path / "t.csv").write_text("text,n\n" + "".join(rows) + "too,many,cells\n")

    def stop(progress: Progress) -> None:
        if progress.step == "committed":
            raise KeyboardInterrupt

    report = collection.index([tmp_path / "t.csv"], on_progress=stop)
    assert report.interrupted
    assert 2 <= report.added < 8
    assert report.failures == ()  # nobody has read the last row
    again = collection.index([tmp_path / "t.csv"])
    assert (again.unchanged, again.added) == (report.added, 8 - report.added)
    assert [failure.key for failure in again.failures] == ["t.csv#9"]


def test_rows_come_first_and_pictures_when_all_are_known(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    shop(tmp_path / "photos")
    (tmp_path / "photos/t.csv").write_text("text\n" + "a blue thing\n" * 3)
    commits: list[tuple[int, int | None]] = []

    def note(progress: Progress) -> None:
        if progress.step == "commit":
            commits.append((progress.done, progress.total))

    report = collection.index([tmp_path / "photos"], on_progress=note)
    assert report.added == 10
    assert [total for _, total in commits][:1] == [None]
    assert commits[-1] == (10, 10)
    assert sorted(commits) == commits


def test_the_reason_of_a_failure_does_not_name_its_file_again(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"no picture")
    (failure,) = collection.index([tmp_path / "cut.jpg"]).failures
    assert failure.key == "cut.jpg"
    assert "cut.jpg" not in failure.reason


def test_a_column_of_several_types_is_noted_when_it_comes(
    tmp_path: Path, collection: mmsearch.Collection
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("key,text,price,stock,on\n1,red,9.5,1,true\n2,blue,n/a,,1\n3,red,8,2,yes\n")
    notes = collection.index([table]).notes
    assert [note.split(":")[0] for note in notes] == [
        "'on' is a boolean in some items, a number in some items, a string in others",
        "'price' is a number in some items, a string in others",
    ]
    assert collection.index([table]).notes == ()
    table.write_text("key,text,price,stock,on\n1,red,9.5,1,true\n2,blue,7,,false\n")
    assert collection.index([table]).notes == ()


def stored_beside(collection: mmsearch.Collection) -> list[list[Any]]:
    """The words and counts of the items, and the items, by key."""
    with closing(sqlite3.connect(collection.path / "catalog.sqlite3")) as connection:
        return [
            connection.execute(query).fetchall()
            for query in (
                'SELECT items."key", term, col, offset FROM postings JOIN items ON items.id = doc'
                " ORDER BY 1, 2, 3, 4",
                "SELECT * FROM tallies WHERE items > 0 ORDER BY 1, 2, 3, 4",
                """SELECT "key", state, text, "group", attributes FROM items ORDER BY 1""",
            )
        ]


cells = st.tuples(
    st.sampled_from(["red", "blue shoe", "Größe"]),
    st.sampled_from(["", "1", "2.5", "true", "new", "new shoe"]),
    st.sampled_from(["", "3", "4"]),
    st.sampled_from(["", "g"]),
)


@settings(max_examples=25)
@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=2, max_size=4))
def test_what_stands_beside_the_items_follows_every_change_of_a_table(
    tmp_path_factory: pytest.TempPathFactory, versions: list[list[tuple[str, ...]]]
) -> None:
    folder = tmp_path_factory.mktemp("versions")
    table = folder / "t.csv"
    with mmsearch.open(folder / "c", create=True, encoder=ColourEncoder()) as collection:
        for number, rows in enumerate(versions):
            lines = [f"k{n}," + ",".join(row) for n, row in enumerate(rows)]
            table.write_text("\n".join(["key,text,a,b,group", *lines]) + "\n" * number)
            collection.index([table])
        kept = stored_beside(collection)
    with mmsearch.open(folder / "new", create=True, encoder=ColourEncoder()) as collection:
        collection.index([table])
        assert kept == stored_beside(collection)


def test_nothing_to_index_is_an_error(collection: mmsearch.Collection) -> None:
    with pytest.raises(UsageError, match="name at least one folder"):
        collection.index([])


def test_missing_folder_is_an_error(tmp_path: Path, collection: mmsearch.Collection) -> None:
    with pytest.raises(RootError, match="nowhere"):
        collection.index([tmp_path / "nowhere"])


def test_empty_folder_adds_nothing(tmp_path: Path, collection: mmsearch.Collection) -> None:
    (tmp_path / "empty").mkdir()
    assert collection.index([tmp_path / "empty"]).added == 0
    assert collection.search("red") == []


def test_full_disk_keeps_what_was_committed(
    tmp_path: Path, collection: mmsearch.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shop(tmp_path / "photos")
    collection.index([folder / "red.png"])

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmsearch.catalog.vectors.os.fsync", no_space)
    with pytest.raises(StorageError, match=r"No space left.*committed before is safe"):
        collection.index([folder])
    monkeypatch.undo()
    assert collection.search("red", k=1)[0].key == "photos/red.png"
    assert collection.index([folder]).added == 6
