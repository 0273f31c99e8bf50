"""Large tables are read by another process, and give what they would give here."""

from __future__ import annotations

import csv
import json
import pickle
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import mmsearch
from mmsearch.errors import TableError
from mmsearch.ingest.new_items import NewItems
from mmsearch.tables import ahead
from mmsearch.tables.sources import rows_to_sources
from mmsearch.types import Failure, Source
from tests.support import ColourEncoder, paint

A_LIST = pickle.dumps(([("t#1", "broken")], None, [], None))


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every table is a large one; the processes that were started."""
    processes: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        processes.append(real(*args, **options))
        return processes[-1]

    monkeypatch.setattr(ahead, "LARGE_BYTES", dict.fromkeys(ahead.LARGE_BYTES, 0))
    monkeypatch.setattr(subprocess, "Popen", start)
    return processes


def csv_of_everything(folder: Path) -> Path:
    for name in ("a.png", "b.png"):
        paint(folder / name, "red")
    table = folder / "t.csv"
    table.write_bytes(
        b"key,title,images,parent_id,price,colour\n"
        b"1,plain,,,9.5,red\n"
        b"2,one picture,a.png,,,blue\n"
        b"3,two and one that is not there,a.png|b.png|c.png,g,7,\n"
        b"4,on the web,https://example.org/a.jpg,,1,\n"
        b"1,a key again,,,2,\n"
        b",,,,,\n"
        b"5,too,few\n"
        b"6,n\xff UTF-8,,,,\n"
        b'7,"an open quote,,,\n'
    )
    return table


def jsonl_of_everything(folder: Path) -> Path:
    rows = [
        {"text": "nested", "sizes": ["S", "M"], "more": {"a": [1, 2.5, None, True]}},
        {"text": "a number of more than 64 bits", "n": 2**70},
        {"text": None},
        {"caption": ["first", "second"], "id": 7},
    ]
    deep = '{"text": "deep", "n": ' + "[" * 900 + "]" * 900 + "}\n"
    table = folder / "t.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows) + "not JSON\n" + deep)
    return table


def parquet(folder: Path) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = folder / "t.parquet"
    pq.write_table(pa.table({"sku": [1, 2], "title": ["a", "b"], "price": [1.5, None]}), table)
    return table


def parquet_beyond_the_year_9999(folder: Path) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = folder / "t.parquet"
    when = pa.array([1, 400_000_000_000], pa.timestamp("s"))
    pq.write_table(pa.table({"title": ["a", "b"], "when": when}), table)
    return table


def more_than_is_sent_at_once(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    table = folder / "t.csv"
    table.write_text("text,n\n" + "".join(f"row {n},{n}\n" for n in range(2_500)))
    return table


@pytest.mark.parametrize(
    "make",
    [
        csv_of_everything,
        jsonl_of_everything,
        parquet,
        parquet_beyond_the_year_9999,
        more_than_is_sent_at_once,
    ],
)
def test_another_process_reads_the_same(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    table = make(tmp_path)
    here: set[str] = set()
    there: set[str] = set()
    expected = list(rows_to_sources(table, "shop/t", here))
    assert list(ahead.rows_read_ahead(table, "shop/t", there)) == expected
    assert there == here


@pytest.mark.parametrize("table_of", [jsonl_of_everything, parquet, more_than_is_sent_at_once])
def test_new_items_are_made_there_of_the_same_rows(
    tmp_path: Path, table_of: Callable[[Path], Path]
) -> None:
    table = table_of(tmp_path)
    found = list(ahead.rows_read_ahead(table, "t", make=NewItems))
    blocks = [one for one in found if isinstance(one, NewItems)]
    expected = list(rows_to_sources(table, "t"))
    sources = [one for one in expected if isinstance(one, Source)]
    assert [one for block in blocks for one in block] == sources
    assert repr([one for block in blocks for one in block]) == repr(sources)
    assert [key for block in blocks for key in block.keys] == [one.key for one in sources]
    assert [len(block) for block in blocks] == [len(list(block)) for block in blocks]
    others = [one for one in found if not isinstance(one, NewItems)]
    assert others == [one for one in expected if isinstance(one, Failure)]


def test_rows_with_pictures_come_as_they_are(tmp_path: Path) -> None:
    table = csv_of_everything(tmp_path)
    expected = list(rows_to_sources(table, "t"))
    assert list(ahead.rows_read_ahead(table, "t", make=NewItems)) == expected


def two_tables_and_a_picture(folder: Path) -> Path:
    """Rows by the thousand: of old and new words, keys of another table's, one with a picture."""
    folder.mkdir()
    paint(folder / "red.png", "red")
    rows = [
        f"k{n},{'blue' if n % 3 else 'red'} thing {n % 700},{n},b{n % 9}\n" for n in range(2500)
    ]
    (folder / "a.csv").write_text("key,title,price,brand\n" + "".join(rows) + "too,few\n")
    more = ["new,a new thing,,\n", "k7,taken by the other table,,\n", ",no key,,\n"]
    (folder / "b.csv").write_text("key,title,image,more\n" + "".join(more))
    last = [f"z{n},green {n},\n" for n in range(1200)] + ["zz,red,red.png\n"]
    (folder / "c.csv").write_text("key,title,image\n" + "".join(last))
    return folder


def contents(collection: mmsearch.Collection) -> dict[str, list[Any]]:
    """All that is kept of the items, apart from when they changed."""
    with closing(sqlite3.connect(collection.path / "catalog.sqlite3")) as connection:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(items)")]
        kept = ", ".join(f'"{name}"' for name in columns if name not in ("seq", "content_seq"))
        queries = {
            "items": f"SELECT {kept} FROM items ORDER BY id",
            "words": "SELECT * FROM postings",
            "tallies": "SELECT * FROM tallies ORDER BY 1, 2, 3, 4",
            "types": "SELECT * FROM attribute_types ORDER BY 1, 2",
            "failures": "SELECT * FROM failures ORDER BY 1",
        }
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}


def test_a_first_run_keeps_the_same_wherever_tables_are_read(
    tmp_path: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = two_tables_and_a_picture(tmp_path / "shop")
    kept = []
    for place in ("there", "here"):
        with mmsearch.open(tmp_path / place, create=True, encoder=ColourEncoder()) as collection:
            report = collection.index([folder])
            assert (report.added, len(report.failures)) == (2_500 + 2 + 1_201, 2)
            kept.append(contents(collection))
            assert collection.search("blue", to="text", k=1)[0].score > 0.9
            assert collection.check().problems == ()
            assert collection.index([folder]).unchanged == report.added
        monkeypatch.setattr(ahead, "LARGE_BYTES", {})
    assert len(started) == 6
    assert kept[0] == kept[1]


def test_types_of_values_arrive(tmp_path: Path) -> None:
    *_, last = ahead.rows_read_ahead(csv_of_everything(tmp_path), "t")
    assert isinstance(last, Failure)
    first = next(ahead.rows_read_ahead(csv_of_everything(tmp_path), "t"))
    assert isinstance(first, Source)
    assert repr(first.attributes) == "{'price': 9.5, 'colour': 'red'}"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b""),
        ("t.csv", b"price,colour\n1,red\n"),
        ("t.jsonl", b"nonsense\n"),
        ("t.parquet", b"PAR1 and no more"),
        ("t.xlsx", b"no table"),
    ],
)
def test_a_table_that_cannot_be_read_says_the_same(
    tmp_path: Path, name: str, content: bytes
) -> None:
    table = tmp_path / name
    table.write_bytes(content)
    with pytest.raises(TableError) as here:
        list(rows_to_sources(table, "t"))
    with pytest.raises(TableError) as there:
        list(ahead.rows_read_ahead(table, "t"))
    assert str(there.value) == str(here.value)
    # Whether reading broke off: then rows may be there all the same, and are not missed.
    assert (there.value.__cause__ is None) == (here.value.__cause__ is None)


def test_rows_before_the_break_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_off(*_: Any) -> Any:
        yield Failure("t#1", "broken")
        raise TableError("gone") from OSError("no such device")

    monkeypatch.setattr(ahead, "rows_to_sources", breaks_off)
    sent = list(ahead._all_of(tmp_path / "t.csv", "t", None))
    assert sent == [([("t#1", "broken")], None, [], ("gone", "no such device"))]


def test_whoever_stops_early_leaves_no_process(
    tmp_path: Path, started: list[subprocess.Popen[bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    rows = ahead.rows_read_ahead(long_table(tmp_path), "t")
    next(rows)
    (process,) = started
    rows.close()  # type: ignore[attr-defined]
    assert process.returncode is not None
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("sent", [b"", A_LIST, A_LIST[:-3]])
def test_a_process_that_dies_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    dies = f"import os, sys; os.write(int(sys.argv[-1]), {sent!r}); os.kill(os.getpid(), 9)"
    monkeypatch.setattr(ahead, "_START", dies)
    with pytest.raises(TableError, match=r"t\.csv: the process that read it ended with status -9"):
        list(ahead.rows_read_ahead(csv_of_everything(tmp_path), "t"))


def test_rows_of_a_process_that_dies_are_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tmp_path / "shop/loose.png", "blue")
    more_than_is_sent_at_once(tmp_path / "shop")
    with mmsearch.open(tmp_path / "c", create=True, encoder=ColourEncoder()) as collection:
        assert collection.index([tmp_path / "shop"]).added == 2_501
        monkeypatch.setattr(ahead, "_START", "import os; os.kill(os.getpid(), 9)")
        report = collection.index([tmp_path / "shop"])
        assert (report.missing, report.unchanged) == (0, 1)
        assert [failure.key for failure in report.failures] == ["shop/t.csv"]


def test_what_is_printed_while_python_starts_is_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text("print('hello', flush=True)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    rows = list(ahead.rows_read_ahead(more_than_is_sent_at_once(tmp_path), "t"))
    assert len(rows) == 2_500


def test_modules_are_found_as_here_whatever_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("csv.py", "mmsearch.py", "pickle.py"):
        (tmp_path / name).write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")  # as an interactive Python has it
    assert len(list(ahead.rows_read_ahead(more_than_is_sent_at_once(tmp_path), "t"))) == 2_500


def test_long_cells_that_a_program_allows_are_read(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("text\n" + "x" * 200_000 + "\n")
    before = csv.field_size_limit(1_000_000)
    try:
        (source,) = ahead.rows_read_ahead(table, "t")
    finally:
        csv.field_size_limit(before)
    assert isinstance(source, Source)


@pytest.mark.parametrize("executable", ["", "/no/such/python"])
def test_without_another_process_tables_are_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.setattr("sys.executable", executable)
    assert len(list(ahead.rows_read_ahead(more_than_is_sent_at_once(tmp_path), "t"))) == 2_500


def test_small_tables_are_read_here(
    tmp_path: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ahead.LARGE_BYTES, ".csv", 1_000)
    assert len(list(ahead.rows_read_ahead(csv_of_everything(tmp_path), "t"))) > 5
    assert started == []


def long_table(folder: Path) -> Path:
    """More than the process may be ahead with."""
    table = folder / "t.csv"
    table.write_text("text,n\n" + "".join(f"row {n:050},{n}\n" for n in range(60_000)))
    return table
