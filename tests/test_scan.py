"""Scan: what stands in folders becomes items with stable, storable keys; nothing stops the walk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.errors import RootError, TableError
from mmsearch.scan import MAX_TEXT_BYTES, Scan, key_of, path_of, scan
from mmsearch.types import Failure, FileStamp, Source

BASE = Path("/some where/base")
names = st.binary(min_size=1, max_size=12).filter(
    lambda b: b"/" not in b and b"\0" not in b and b not in (b".", b"..")
)
special = st.sampled_from([b"new\nline", b"quo\"te'", b"back\\slash", b"\\xff", b"\xff", b"\\\\x"])
paths = st.builds(
    lambda top, parts: Path(top, *map(os.fsdecode, parts)),
    st.sampled_from([str(BASE), "/", "/some where", "/some where/based"]),
    st.lists(names | special, min_size=1, max_size=4),
)


@given(paths)
def test_a_path_comes_back_from_its_key(path: Path) -> None:
    key = key_of(path, BASE)
    key.encode("utf-8")  # storable
    assert path_of(key, BASE) == path


@given(paths, paths)
def test_different_paths_have_different_keys(one: Path, other: Path) -> None:
    assert (key_of(one, BASE) == key_of(other, BASE)) == (one == other)


def test_keys_are_relative_below_the_base_and_absolute_elsewhere() -> None:
    assert key_of(BASE / "a" / "b.jpg", BASE) == "a/b.jpg"
    assert key_of(Path("/some where/based/b.jpg"), BASE) == "/some where/based/b.jpg"
    assert key_of(BASE / os.fsdecode(b"\xff\\.jpg"), BASE) == r"\xff\\.jpg"
    assert key_of(BASE, BASE) == "."
    assert path_of(".", BASE) == BASE


def touch(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def items(root: Path, base: Path | None = None) -> dict[str, Source]:
    walk = Scan([root], base or root)
    found = list(walk)
    assert not [f for f in found if isinstance(f, Failure)]
    assert walk.complete
    return {f.key: f for f in found if isinstance(f, Source)}


def failures(walk: Scan) -> dict[str, str]:
    return {f.key: f.reason for f in walk if isinstance(f, Failure)}


def test_pictures_texts_and_nothing_else_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/z.png", "a/b/c.heic", "note.txt", "film.mp4", "doc.pdf", ".h.jpg"):
        touch(tmp_path / name)
    touch(tmp_path / ".mmsearch" / "x.jpg")
    touch(tmp_path / ".git" / "x.txt")
    found = items(tmp_path)
    assert sorted(found) == ["a/b/c.heic", "a/z.png", "b.JPG", "note.txt"]
    assert [s.key for s in scan([tmp_path], tmp_path) if isinstance(s, Source)] == list(found)
    assert found["note.txt"].path is None
    assert found["note.txt"].text == "x"


def test_text_beside_a_picture_belongs_to_it(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.jpg"):
        touch(tmp_path / name, "12345")
    touch(tmp_path / "a.txt", "  a red cafe\u0301\n")
    touch(tmp_path / "b.txt", "")
    found = items(tmp_path)
    assert {key: source.text for key, source in found.items()} == {
        "a.jpg": "a red café",
        "a.png": "a red café",
        "b.jpg": None,
    }
    status = (tmp_path / "a.jpg").stat()
    assert found["a.jpg"].stamp == FileStamp(5, status.st_mtime_ns)


def test_a_picture_named_alone_keeps_its_text(tmp_path: Path) -> None:
    touch(tmp_path / "a.txt", "words")
    assert items(touch(tmp_path / "a.jpg"), tmp_path)["a.jpg"].text == "words"


def test_pictures_of_a_table_are_not_found_twice(tmp_path: Path) -> None:
    touch(tmp_path / "pics" / "a.jpg")
    touch(tmp_path / "pics" / "a.txt", "not used")
    touch(tmp_path / "pics" / "b.jpg")
    touch(tmp_path / "z" / "t.csv", "image,caption\n../pics/a.jpg,from the table\n")
    found = items(tmp_path)
    assert sorted(found) == ["pics/b.jpg", "z/t.csv#1"]
    assert found["z/t.csv#1"].text == "from the table"


def test_a_csv_that_is_no_table_is_a_failure_in_a_folder_and_an_error_as_root(
    tmp_path: Path,
) -> None:
    table = touch(tmp_path / "t.csv", "price\n1\n")
    touch(tmp_path / "a.jpg")
    walk = Scan([tmp_path], tmp_path)
    assert "no text or image column" in failures(walk)["t.csv"]
    assert walk.complete
    with pytest.raises(TableError, match="no text or image column"):
        list(scan([table], tmp_path))


def test_a_half_copied_table_makes_the_walk_incomplete(tmp_path: Path) -> None:
    touch(tmp_path / "t.parquet", "PAR1")
    walk = Scan([tmp_path], tmp_path)
    assert "not a whole parquet file" in failures(walk)["t.parquet"]
    assert not walk.complete


def test_two_tables_with_one_key_give_one_item_and_one_failure(tmp_path: Path) -> None:
    touch(tmp_path / "a.csv", "id,text\n1,one\n")
    touch(tmp_path / "b.csv", "id,text\n1,other\n2,two\n")
    found = list(scan([tmp_path], tmp_path))
    assert [f.key for f in found if isinstance(f, Source)] == ["1", "2"]
    assert failures(Scan([tmp_path], tmp_path)) == {
        "b.csv": "the key '1' was already used by a.csv; give one another key"
    }


def test_links_are_followed_but_never_in_circles(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "a.jpg")
    touch(tmp_path / "outside" / "c.jpg")
    root = tmp_path / "real"
    (root / "up").symlink_to(root)
    (root / "b.jpg").symlink_to(root / "a.jpg")
    (root / "away").symlink_to(tmp_path / "outside")
    (root / "sub").mkdir()
    (root / "sub" / "up").symlink_to(root)
    assert sorted(items(root)) == ["a.jpg", "away/c.jpg", "b.jpg"]


def test_a_real_folder_gives_the_keys_although_a_link_to_it_sorts_first(tmp_path: Path) -> None:
    touch(tmp_path / "z" / "a.jpg")
    (tmp_path / "a-link").symlink_to(tmp_path / "z")
    assert list(items(tmp_path)) == ["z/a.jpg"]


def test_broken_links_are_failures(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    walk = Scan([tmp_path], tmp_path)
    assert sorted(failures(walk)) == ["gone.jpg", "loop.jpg"]
    assert walk.complete


def test_overlapping_roots_give_each_file_once(tmp_path: Path) -> None:
    picture = touch(tmp_path / "a" / "a.jpg")
    roots = [picture, tmp_path / "a", tmp_path, tmp_path]
    assert [f.key for f in scan(roots, tmp_path)] == ["a/a.jpg"]


def test_a_file_of_no_known_kind_is_a_failure_where_it_was_named(tmp_path: Path) -> None:
    named = touch(tmp_path / "prices.xlsx")
    (failure,) = Scan([named], tmp_path)
    assert isinstance(failure, Failure)
    assert failure.key == "prices.xlsx"
    assert "no picture, text (.txt) or table" in failure.reason
    assert items(tmp_path) == {}


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(RootError, match=r"drive: no such file or folder; check the name"):
        Scan([tmp_path, tmp_path / "drive"], tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_root_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(mode=0)
    with pytest.raises(RootError, match=r"secret: cannot be read"):
        Scan([tmp_path / "secret"], tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_a_failure_and_the_walk_goes_on(tmp_path: Path) -> None:
    touch(tmp_path / "z.jpg")
    (tmp_path / "secret").mkdir(mode=0)
    walk = Scan([tmp_path], tmp_path)
    assert failures(walk)["secret"].startswith("the folder cannot be read (Permission denied)")
    assert not walk.complete


def test_a_folder_too_deep_to_open_is_a_failure_and_the_walk_goes_on(tmp_path: Path) -> None:
    touch(tmp_path / "z.jpg")
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):  # 20 * 251 characters are more than a path may have
        os.mkdir("d" * 250, dir_fd=here)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    walk = Scan([tmp_path], tmp_path)
    found = list(walk)
    assert [f.key for f in found if isinstance(f, Source)] == ["z.jpg"]
    (failure,) = [f for f in found if isinstance(f, Failure)]
    assert "cannot be read (File name too long)" in failure.reason
    assert not walk.complete


def test_a_scan_is_incomplete_until_its_end(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    touch(tmp_path / "b.jpg")
    walk = Scan([tmp_path], tmp_path)
    found = iter(walk)
    next(found)
    assert not walk.complete
    list(found)
    assert walk.complete


def test_bad_texts_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbfhello")
    touch(tmp_path / "long.txt", "x" * (MAX_TEXT_BYTES + 1))
    touch(tmp_path / "empty.txt", " \n")
    walk = Scan([tmp_path], tmp_path)
    found = list(walk)
    assert [f.text for f in found if isinstance(f, Source)] == ["hello"]
    assert failures(walk) == {
        "latin.txt": "not UTF-8 text; save it as UTF-8",
        "long.txt": "larger than 1000 kB, too long to be one item; split it, or make a table of it",
        "empty.txt": "the text is empty; write something or delete it",
    }


def test_a_pipe_named_like_a_picture_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe.txt")
    assert items(tmp_path) == {}


def test_names_that_are_not_utf8_have_storable_keys(tmp_path: Path) -> None:
    with open(os.path.join(os.fsencode(tmp_path), b"caf\xe9\\.jpg"), "wb") as file:
        file.write(b"x")
    (source,) = items(tmp_path).values()
    assert source.key == r"caf\xe9\\.jpg"
    assert path_of(source.key, tmp_path) == source.path


def test_keys_are_the_same_in_every_locale(tmp_path: Path) -> None:
    names = ["Größe.txt", "a\\b.txt"]
    for name in names:
        (tmp_path / name).write_text("x", encoding="utf-8")
    (tmp_path / os.fsdecode(b"n\xff.txt")).write_text("x", encoding="utf-8")
    code = """
import sys
from pathlib import Path
from mmsearch.scan import path_of, scan
base = Path(sys.argv[1])
found = list(scan([base], base))
assert all(path_of(one.key, base).is_file() for one in found)
print(ascii([one.key for one in found]))
"""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    printed = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            env={**os.environ, **more},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for more in ({"PYTHONUTF8": "1"}, plain)
    ]
    assert printed[0] == printed[1]
    assert "Gr\\xf6\\xdfe.txt" in printed[0]
