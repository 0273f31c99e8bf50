"""Tables: rows become sources; a broken row costs itself, a wrong file names its columns."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmsearch.errors import TableError
from mmsearch.tables.columns import by_folded, take_name, take_there
from mmsearch.tables.files import TableProblem, read_table
from mmsearch.tables.sources import rows_to_sources
from mmsearch.tables.values import plain_value
from mmsearch.types import Failure, Source
from tests import bad_images


def sources(path: Path) -> list[Source]:
    found = list(rows_to_sources(path, path.name))
    assert not [f for f in found if isinstance(f, Failure)]
    return [f for f in found if isinstance(f, Source)]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def write_jsonl(path: Path, *rows: Any) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_arrow(path: Path, columns: dict[str, Any]) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_is_read_whatever_its_delimiter(tmp_path: Path, delimiter: str, encoding: str) -> None:
    lines = ["caption|price|new", '"red, wet; shoe"|9.50|true', "hat|7|"]
    text = "\r\n".join(lines).replace("|", delimiter)
    first, second = sources(write(tmp_path / "t.csv", text, encoding))
    assert (first.key, first.text) == ("t.csv#1", "red, wet; shoe")
    assert first.attributes == {"price": 9.5, "new": True}
    assert second.attributes == {"price": 7, "new": None}


def test_csv_values_are_typed_but_names_and_texts_are_not(tmp_path: Path) -> None:
    text = "id,text,group,zip,n,f,e,nan\n007,12,5,01234,-3,.5,1e3,nan\n"
    (source,) = sources(write(tmp_path / "t.csv", text))
    assert (source.key, source.text, source.group) == ("007", "12", "5")
    expected = {"zip": "01234", "n": -3, "f": 0.5, "e": 1000.0, "nan": "nan"}
    assert source.attributes == expected
    assert [type(v) for v in source.attributes.values()] == [type(v) for v in expected.values()]


def test_pictures_are_relative_to_the_table(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    picture = tmp_path / "pics" / "a.png"
    picture.write_bytes(bad_images.png())
    (source,) = sources(write(tmp_path / "t.csv", "image,caption\npics/a.png,hello\n"))
    assert source.path == picture
    assert source.stamp.size_bytes == picture.stat().st_size
    assert source.stamp.mtime_ns == picture.stat().st_mtime_ns


def test_a_missing_picture_is_a_failure_that_names_row_and_file(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "id,image,caption\nx,gone.png,hello\ny,,world\n")
    failure, source = rows_to_sources(path, "t.csv")
    assert failure == Failure(
        "t.csv#1", f"row 1: no picture 'gone.png' below {tmp_path}; correct the path"
    )
    assert isinstance(source, Source)
    assert source.stamp.size_bytes == path.stat().st_size


def test_a_web_address_is_noted_and_not_asked(tmp_path: Path) -> None:
    (source,) = sources(write(tmp_path / "t.csv", "image\nhttps://example.org/a.png\n"))
    assert (source.path, source.url) == (None, "https://example.org/a.png")


def test_a_folder_as_picture_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    (failure,) = rows_to_sources(write(tmp_path / "t.csv", "image\npics\n"), "t.csv")
    assert failure == Failure("t.csv#1", "row 1: 'pics' is not a file; name the picture itself")


def test_a_row_with_neither_is_a_failure(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "caption,price\n,3\n \t,4\n")
    assert [f.key for f in rows_to_sources(path, "t.csv") if isinstance(f, Failure)] == [
        "t.csv#1",
        "t.csv#2",
    ]


def test_later_rows_with_a_used_key_are_failures(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "id,text\na,one\na,two\nb,three\n")
    first, failure, last = rows_to_sources(path, "t.csv")
    assert isinstance(first, Source)
    assert failure == Failure(
        "t.csv#2", "row 2: the key 'a' was already used by row 1; give it another key"
    )
    assert isinstance(last, Source)


def test_title_and_description_are_joined(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "t.jsonl",
        {"Title": "Red shoe", "description": "For rain."},
        {"Title": "Hat", "description": None},
        {"Title": "Hat.", "description": "Hat."},
        {"caption": "own words", "Title": "Hat"},
    )
    texts = [(s.text, dict(s.attributes)) for s in sources(path)]
    assert texts == [
        ("Red shoe. For rain.", {}),
        ("Hat", {}),
        ("Hat. Hat.", {}),
        ("own words", {"Title": "Hat"}),
    ]


def test_a_list_of_captions_gives_its_first_and_keeps_the_others(tmp_path: Path) -> None:
    (source,) = sources(write_jsonl(tmp_path / "t.jsonl", {"captions": ["a", "b", "c"], "n": 1}))
    assert source.text == "a"
    assert source.attributes == {"captions": ["b", "c"], "n": 1}


def test_text_of_any_script_is_stripped_and_composed(tmp_path: Path) -> None:
    texts = ["  cafe\u0301 ", "赤い靴", "قطة حمراء", "👩‍👩‍👧", "नमस्ते", 'quo"te\nline']
    path = write_jsonl(tmp_path / "t.jsonl", *({"text": text} for text in texts))
    expected = [unicodedata.normalize("NFC", text.strip()) for text in texts]
    assert [s.text for s in sources(path)] == expected
    assert expected[0] == "café"


def test_broken_json_lines_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lines = [b'{"text": "one"}', b"{oops", b'{"text": "caf\xe9"}', b"[1]", b'{"text": "\\ud800"}']
    path.write_bytes(b"\xef\xbb\xbf" + b"\n".join([*lines, b"", b'{"text": "last"}']))
    found = list(rows_to_sources(path, "t.jsonl"))
    assert [type(f).__name__ for f in found] == ["Source", *["Failure"] * 4, "Source"]
    reasons = [f.reason for f in found if isinstance(f, Failure)]
    assert reasons[0].startswith("row 2: not JSON (")
    assert reasons[1] == "row 3: not UTF-8; save the file as UTF-8"
    assert reasons[2] == "row 4: a JSON list where an object {...} is needed"
    assert reasons[3] == "row 5: not UTF-8; save the file as UTF-8"
    assert found[-1].key == "t.jsonl#6"


def test_deeply_nested_json_is_a_failure_of_its_row(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"text": "a"}\n' + "[" * 100_000 + "\n")
    assert isinstance(list(rows_to_sources(path, "t"))[1], Failure)


def test_broken_csv_rows_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [b"text,n", b"one,1", b"two", b"thr\xe9e,3", b'"four,4', b"five,5", b"six,6"]
    path.write_bytes(b"\n".join(rows))
    found = list(rows_to_sources(path, "t.csv"))
    reasons = [f.reason for f in found if isinstance(f, Failure)]
    assert reasons == [
        "row 2: 1 columns where the header has 2; check its quotes and delimiters",
        "row 3: not UTF-8; save the file as CSV UTF-8",
        "row 4: a quote in it is never closed; close it",
    ]
    assert [f.text for f in found if isinstance(f, Source)] == ["one", "five", "six"]


def test_an_unclosed_quote_in_the_last_column_swallows_no_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", 'n,text\n1,"one\n2,two\n3,three\n')
    failure, *others = rows_to_sources(path, "t.csv")
    assert failure == Failure("t.csv#1", "row 1: a quote in it is never closed; close it")
    assert [f.text for f in others if isinstance(f, Source)] == ["two", "three"]


@pytest.mark.parametrize("quoted_too", [False, True])
def test_an_unclosed_quote_early_in_a_large_file_costs_one_row(
    tmp_path: Path, quoted_too: bool
) -> None:
    cell = '"a shoe, red"' if quoted_too else "a red shoe"
    rows = [f"{n},{cell},{n:030}\n" for n in range(110_000)]
    rows[3] = rows[3].replace(f"{cell}", '"a shoe')
    path = write(tmp_path / "t.csv", "n,text,m\n" + "".join(rows))
    assert path.stat().st_size > 5_000_000
    found = [(number, type(row)) for number, row in read_table(path)]
    assert len(found) == len(rows)
    assert [number for number, kind in found if kind is TableProblem] == [4]


def test_a_quoted_cell_may_span_lines(tmp_path: Path) -> None:
    (source,) = sources(write(tmp_path / "t.csv", 'text,n\n"two\nlines",1\n'))
    assert source.text == "two\nlines"


def test_a_cell_beyond_csvs_own_limit_costs_only_its_row(tmp_path: Path) -> None:
    found = list(rows_to_sources(write(tmp_path / "t.csv", f"text\n{'x' * 200_000}\nok\n"), "t"))
    assert [type(f) for f in found] == [Failure, Source]


@pytest.mark.parametrize("line", ["a line, with a comma\n", 'one ""quoted"" word\n', "a line\n\n"])
@pytest.mark.parametrize("characters", [200_000, 2_000_000])
def test_a_long_cell_of_many_lines_costs_only_its_row(
    tmp_path: Path, line: str, characters: int
) -> None:
    long = line * (characters // len(line))
    rows = [f'a,"{long}",1\n', "b,ok,2\n", f'{"c" * 140_000},"{long}","3"\n', 'd,"ok",4\n']
    path = write(tmp_path / "t.csv", "id,text,n\n" + "".join(rows))
    problem = TableProblem("field larger than field limit (131072); shorten it")
    assert list(read_table(path)) == [
        (1, problem),
        (2, {"id": "b", "text": "ok", "n": "2"}),
        (3, problem),
        (4, {"id": "d", "text": "ok", "n": "4"}),
    ]


def test_rows_between_two_unclosed_quotes_are_no_cell(tmp_path: Path) -> None:
    rows = [f"{n},a red shoe,9.99\n" for n in range(20_000)]
    rows[1] = '1,"a shoe,9.99\n'
    rows[15_000] = '15000,"a hat,9.99\n'
    path = write(tmp_path / "t.csv", "n,text,price\n" + "".join(rows))
    found = list(read_table(path))
    assert len(found) == len(rows)
    assert [number for number, row in found if isinstance(row, TableProblem)] == [2, 15_001]


@pytest.mark.parametrize(
    ("name", "text"),
    [("t.csv", "price,size\n1,2\n"), ("t.jsonl", '{"price": 1, "size": 2}\n')],
)
def test_a_file_without_texts_and_images_names_its_columns(
    tmp_path: Path, name: str, text: str
) -> None:
    with pytest.raises(TableError, match=r"no text or image column .*\('price', 'size'\); name"):
        list(rows_to_sources(write(tmp_path / name, text), name))


def test_parquet_without_texts_and_images_names_its_columns(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", [{"price": 1}])
    with pytest.raises(TableError, match=r"no text or image column .*\('price'\)"):
        list(rows_to_sources(path, "t"))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"", "the file is empty"),
        ("t.csv", "text,n\n".encode("utf-16"), "its header is not UTF-8"),
        ("t.csv", b'text,"two\nl\xe9nes"\n1,2\n', "its header is not UTF-8"),
        ("t.csv", b'text,"two\nl\0nes"\n1,2\n', "its header is not UTF-8"),
        ("t.csv", b'text,"price\n1,2\n', "a quote in its header is never closed"),
        ("t.csv", b"text,a,a\n1,2,3\n", "two columns are called 'a'"),
        ("t.jsonl", b"\x89PNG\r\n\x1a\n", "none of its first rows can be read"),
        ("t.parquet", b"no parquet", "not a whole parquet file"),
        ("t.xlsx", b"", "not a table"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TableError, match=f"{name}: {message}"):
        list(rows_to_sources(tmp_path / name, name))


def test_a_vanished_table_says_so(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"gone.csv: cannot be read"):
        list(rows_to_sources(tmp_path / "gone.csv", "gone.csv"))
    with pytest.raises(TableError, match=r"gone.csv: cannot be read"):
        list(read_table(tmp_path / "gone.csv"))


def test_parquet_rows_have_their_own_types(tmp_path: Path) -> None:
    import datetime

    rows = [
        {"asin": f"B{n}", "text": f"row {n}", "n": n, "at": datetime.date(2024, 1, 2), "x": None}
        for n in range(3000)
    ]
    found = sources(write_parquet(tmp_path / "t.parquet", rows))
    assert [s.key for s in found] == [f"B{n}" for n in range(3000)]
    assert found[7].attributes == {"n": 7, "at": "2024-01-02", "x": None}


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("timestamp[s]", 400_000_000_000, "timestamp[ms] 14645-06-30 15:06:40.000"),
        ("date32", 40_000_000, "date32[day] <value out of range: 40000000>"),
        ("duration[s]", 2**62, "duration[s] 4611686018427387904"),
    ],
)
def test_a_parquet_value_that_python_cannot_hold_costs_only_its_row(
    tmp_path: Path, kind: str, value: int, shown: str
) -> None:
    pa = pytest.importorskip("pyarrow")
    table = {"text": ["a", "b", "c"], "when": pa.array([1, value, 2], pa.type_for_alias(kind))}
    first, problem, last = read_table(write_arrow(tmp_path / "t.parquet", table))
    assert [row["text"] for _, row in (first, last) if isinstance(row, dict)] == ["a", "c"]
    assert isinstance(problem[1], TableProblem)
    assert problem[1].reason.startswith(f"the {shown} in 'when' cannot be read (")
    assert problem[1].reason.endswith("; correct it")


def test_parquet_nanoseconds_are_cut_off(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    nanoseconds = 1_700_000_000_000_000_001
    table = {
        "text": ["a"],
        "at": pa.array([nanoseconds], pa.timestamp("ns")),
        "there": pa.array([nanoseconds], pa.timestamp("ns", "Asia/Tokyo")),
        "time": pa.array([1_001], pa.time64("ns")),
        "took": pa.array([1_001], pa.duration("ns")),
        "nothing": pa.array([None], pa.timestamp("ns")),
    }
    (source,) = sources(write_arrow(tmp_path / "t.parquet", table))
    assert source.attributes == {
        "at": "2023-11-14T22:13:20",
        "there": "2023-11-15T07:13:20+09:00",
        "time": "00:00:00.000001",
        "took": "0:00:00.000001",
        "nothing": None,
    }


def test_parquet_text_that_is_not_utf8_costs_only_its_row(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    text = pa.array([b"a", b"caf\xe9", b"c"]).view(pa.string())
    found = [row for _, row in read_table(write_arrow(tmp_path / "t.parquet", {"text": text}))]
    problem = TableProblem("holds text that is not UTF-8; write the file again")
    assert found == [{"text": "a"}, problem, {"text": "c"}]


def test_values_of_numpy_are_what_they_hold() -> None:
    values = {
        "i": np.int64(49),
        "b": np.bool_(True),
        "f": np.float32(1.5),
        "d": np.float64(2.5),
        "nan": np.float64("nan"),
        "nans": np.array([np.nan, 1], np.float32),
        "s": np.str_("e\u0301"),
        "strings": np.array(["a", "b"]),
        "grid": np.array([[1, 2], [3, 4]]),
        "objects": np.array([None, "x", np.int8(3)], object),
        "day": np.datetime64("2026-01-02"),
        "at": np.datetime64("2026-01-02T03:04:05.123456789"),
        "times": np.array(["2026-01-02", "NaT"], "M8[ns]"),
        "nested": {"n": [np.uint8(7)]},
    }
    expected = {
        "i": 49,
        "b": True,
        "f": 1.5,
        "d": 2.5,
        "nan": None,
        "nans": [None, 1.0],
        "s": "\u00e9",
        "strings": ["a", "b"],
        "grid": [[1, 2], [3, 4]],
        "objects": [None, "x", 3],
        "day": "2026-01-02",
        "at": "2026-01-02T03:04:05.123456",
        "times": ["2026-01-02T00:00:00", None],
        "nested": {"n": [7]},
    }
    assert repr(plain_value(values)) == repr(expected)


@pytest.mark.parametrize("value", [object(), b"x", bytearray(b"x"), memoryview(b"x")])
def test_what_is_no_value_is_dropped(value: object) -> None:
    assert plain_value(value) is None


@pytest.mark.parametrize("value", [Path("a/b"), {1}, 1j, np.longdouble(1)])
def test_other_values_are_their_words(value: object) -> None:
    assert plain_value(value) == str(value)


def test_cells_are_looked_for_in_what_numpy_holds() -> None:
    row = {"id": np.array([]), "sku": np.float32(7), "image": np.array(["a", "b"])}
    assert take_name(row, by_folded(tuple(row)), ("id", "sku")) == "7"
    assert take_there(row, ["image"]) == ["a", "b"]
    assert row == {}


def test_all_three_formats_give_the_same_sources(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "caption": "one", "group": "g", "price": 1.5},
        {"id": "b", "caption": "2"},
    ]
    full = [{"group": None, "price": None, **row} for row in rows]
    columns = ["id", "caption", "group", "price"]
    cells = [",".join("" if r[c] is None else str(r[c]) for c in columns) for r in full]
    tables = [
        write(tmp_path / "t.csv", "\n".join([",".join(columns), *cells])),
        write_jsonl(tmp_path / "t.jsonl", *full),
        write_parquet(tmp_path / "t.parquet", full),
    ]
    seen = [[(s.key, s.text, s.group, s.attributes) for s in sources(t)] for t in tables]
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0] == ("a", "one", "g", {"price": 1.5})


def test_whole_floats_are_keys_without_their_fraction(tmp_path: Path) -> None:
    (source,) = sources(write_jsonl(tmp_path / "t.jsonl", {"id": 12.0, "text": "a"}))
    assert source.key == "12"


def test_read_table_numbers_rows_from_one_and_skips_blank_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "text,n\n\na,1\n\nb\n")
    assert list(read_table(path)) == [
        (1, {"text": "a", "n": "1"}),
        (2, TableProblem("1 columns where the header has 2; check its quotes and delimiters")),
    ]
