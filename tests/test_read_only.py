"""A collection that cannot be written answers all the same, and says what it cannot do."""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mmsearch
from mmsearch.catalog.database import Database
from mmsearch.cli.app import app
from mmsearch.errors import SchemaError, StorageError
from mmsearch.evaluation.stored import measure_collection
from mmsearch.layout import CATALOG
from mmsearch.quick import reader
from tests.server.worlds import make_shop, serving
from tests.support import ColourEncoder

if sys.platform == "win32":
    pytest.skip("Windows lets a read-only folder be written", allow_module_level=True)

SCHEMA_1 = Path(__file__).parent / "data" / "schema-1"

_CAPABILITY_VERSION = 0x20080522
_DAC_OVERRIDE = 1


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in the folder can be written meanwhile, by this thread and those that it starts."""
    _chmod(folder, lambda mode: mode & ~0o222)
    try:
        with _bound_by_permissions():
            if os.access(folder, os.W_OK, effective_ids=True):
                pytest.skip("this user may write what it has forbidden itself to write")
            yield
    finally:
        _chmod(folder, lambda mode: mode | 0o200)


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Within `read_only`: as who can write the folder from elsewhere sees it."""
    _chmod(folder, lambda mode: mode | 0o200)
    try:
        yield
    finally:
        _chmod(folder, lambda mode: mode & ~0o222)


def _chmod(folder: Path, change: Callable[[int], int]) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(change(path.stat().st_mode))


@contextmanager
def _bound_by_permissions() -> Iterator[None]:
    """Root may write anything, until this thread of it gives up that right."""
    if os.geteuid() != 0 or sys.platform != "linux":
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = _Header(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, then their upper halves
    assert libc.capget(ctypes.byref(header), sets) == 0
    before = sets[0]
    sets[0] &= ~(1 << _DAC_OVERRIDE)
    assert libc.capset(ctypes.byref(header), sets) == 0
    try:
        yield
    finally:
        sets[0] = before
        assert libc.capset(ctypes.byref(header), sets) == 0


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shop(tmp_path_factory.mktemp("stocked"), ColourEncoder())


@pytest.fixture
def shop(stocked: Path, tmp_path: Path) -> Path:
    """A copy of a small shop."""
    return Path(shutil.copytree(stocked, tmp_path / "shop"))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of titles, indexed by `mini`; its text tower is in a cache of its own."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "titles.csv").write_text("title\na red ball\na green tree\nthe blue sea\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        with mmsearch.open(folder, create=True) as collection:
            collection.index([folder / "titles.csv"])
        yield folder


def left_nothing(_folder: Path) -> None:
    """As a program leaves it that came to its end."""


def left_empty_log(folder: Path) -> None:
    """As a copy has it that was made while nobody wrote, and left SQLite's own index behind."""
    (folder / ".mmsearch" / f"{CATALOG}-wal").touch()


def left_log(folder: Path) -> None:
    """As a program leaves it that was killed: with the last changes in SQLite's log."""
    other = folder.with_name("other")
    with opened(folder) as collection:
        collection.update({"P4": {"price": 60}})
        shutil.copytree(folder, other)
    shutil.rmtree(folder)
    other.rename(folder)
    assert (folder / ".mmsearch" / f"{CATALOG}-wal").stat().st_size


def opened(folder: Path) -> mmsearch.Collection:
    return mmsearch.open(folder, encoder=ColourEncoder())


@pytest.mark.parametrize("left", [left_nothing, left_empty_log, left_log])
def test_it_is_searched_as_any_other(shop: Path, left: Callable[[Path], None]) -> None:
    def look(collection: mmsearch.Collection) -> object:
        return (
            collection.search("red shoe"),
            collection.answer("shoe", where="price > 4", facets=("brand",)).facets,
            collection.search("red", to="image", where="price > 50"),
            collection.suggest("re"),
            collection.status().items,
            collection.check().problems,
        )

    left(shop)
    with opened(Path(shutil.copytree(shop, shop.with_name("there")))) as collection:
        expected = look(collection)
    with read_only(shop), opened(shop) as collection:
        assert look(collection) == expected


def test_it_is_measured_as_any_other(shop: Path) -> None:
    with opened(shop) as collection:
        expected = measure_collection(collection)
    with read_only(shop), opened(shop) as collection:
        found = measure_collection(collection)
    figures = [[one.evaluation.figures for one in measured] for measured in (found, expected)]
    assert figures[0] == figures[1]


def test_the_quick_way_answers_too(texts: Path) -> None:
    root = texts / ".mmsearch"
    for path in root.glob("index/*queries*"):
        path.unlink()
    before = reader.answers(root, "a ball", 3)
    _alone(root)
    with read_only(texts):
        found = reader.answers(root, "a ball", 3)
        assert found is not None
        assert before is not None
        assert found[0][:2] == before[0][:2]
        found[0].remember()
        assert not list(root.glob("index/*queries*"))


def test_the_quick_way_knows_again_what_was_asked_before(texts: Path) -> None:
    root = texts / ".mmsearch"
    first = reader.answers(root, "the sea", 3)
    assert first is not None
    first[0].remember()
    _alone(root)
    with read_only(texts), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSEARCH_CACHE", str(texts / "no towers"))
        found = reader.answers(root, "the sea", 3)
        assert found is not None
        assert found[0][:2] == first[0][:2]


def _alone(root: Path) -> None:
    """Take away the files that readers leave beside a catalog, and an archive does not have."""
    for path in root.glob(f"{CATALOG}-*"):
        assert path.suffix != ".sqlite3-wal" or not path.stat().st_size
        path.unlink()


@pytest.mark.parametrize(
    "command",
    [
        "query --explain ball",
        "query --like titles.csv#1",
        "status",
        "check",
        "duplicates",
        "suggest a",
        "concepts",
    ],
)
def test_commands_that_read_are_run(texts: Path, command: str) -> None:
    _alone(texts / ".mmsearch")
    with read_only(texts):
        done = CliRunner().invoke(app, ["--collection", str(texts), *command.split()])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    "command",
    [
        "index titles.csv",
        "remove titles.csv#1",
        "check --repair",
        "tune",
        "reindex --drop-old",
        "query ball --save-concept balls",
        "serve --socket",
    ],
)
def test_commands_that_write_say_that_they_cannot(
    texts: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(texts)
    _alone(texts / ".mmsearch")
    with read_only(texts):
        done = CliRunner().invoke(app, ["--collection", str(texts), *command.split()])
    assert done.exit_code == 1
    assert f"{texts / '.mmsearch'} is read-only here" in done.stderr
    assert "Make it writable, or copy it" in done.stderr


def test_changes_that_stand_beside_the_catalog_are_not_overlooked(shop: Path) -> None:
    left_log(shop)
    index = shop / ".mmsearch" / f"{CATALOG}-shm"
    index.unlink()
    with read_only(shop):
        with pytest.raises(StorageError, match=r"sqlite3-wal in it holds changes .* `mmsearch st"):
            opened(shop)
        assert reader.answers(shop / ".mmsearch", "red", 3) is None
    opened(shop).close()  # as `mmsearch status` does, where it can
    with read_only(shop), opened(shop) as collection:
        assert [hit.key for hit in collection.search("red", where="price = 60")] == ["P4"]


def test_what_is_changed_from_elsewhere_is_seen(shop: Path) -> None:
    with read_only(shop), opened(shop) as collection:
        assert collection.search("white shoe")[0].key == "P4"
        count = collection.status().items
        with writable(shop), opened(shop) as other:
            other.remove(["P4"])
            assert collection.search("white shoe")[0].key != "P4"  # from the log
        with writable(shop), opened(shop) as other:
            other.remove(["P1"])
        assert collection.status().items == count - 2  # and from the catalog, with the log gone


def test_what_is_changed_while_it_is_read_is_an_error(shop: Path) -> None:
    with read_only(shop):
        database = Database(shop / ".mmsearch" / CATALOG)
        with (
            pytest.raises(StorageError, match="was written to while it was read"),
            database.reading(),
            writable(shop),
            opened(shop) as other,
        ):
            other.remove(["P4"])
        with database.reading() as connection:
            assert not connection.exec_driver_sql(
                "SELECT count(*) FROM items WHERE key = 'P4' AND state = 'live'"
            ).scalar()
        database.close()


def test_it_is_written_once_the_disk_can_be(shop: Path) -> None:
    with read_only(shop), opened(shop) as collection:
        with pytest.raises(StorageError, match="is read-only here"):
            collection.remove(["P4"])
        with writable(shop):
            assert collection.remove(["P4"]) == 1


def test_an_older_schema_is_not_brought_up_to_date_there(tmp_path: Path) -> None:
    catalog = tmp_path / CATALOG
    with closing(sqlite3.connect(catalog)) as connection:
        connection.executescript((SCHEMA_1 / "catalog.sql").read_text(encoding="utf-8"))
    with (
        read_only(tmp_path),
        pytest.raises(SchemaError, match=r"has schema 1, .* read-only"),
    ):
        Database(catalog)


def test_a_catalog_that_is_not_there_is_none_that_is_read_only(tmp_path: Path) -> None:
    with read_only(tmp_path), pytest.raises(StorageError, match="unable to open database file"):
        Database(tmp_path / CATALOG)


def test_a_server_reads_it(shop: Path) -> None:
    def found() -> list[str]:
        answer = client.post("/v1/search", json={"text": "white shoe", "k": 9})
        assert answer.status_code == 200, answer.text
        return [hit["key"] for hit in answer.json()["hits"]]

    with read_only(shop), serving(shop, ColourEncoder()) as client:
        assert found() == found()
        assert "P4" in found()
        assert client.get("/v1/items/P4").status_code == 200
        refused = client.delete("/v1/items/P4")
        assert refused.status_code == 507
        assert "is read-only here" in refused.json()["detail"]
        with writable(shop), opened(shop) as other:
            other.remove(["P4"])
        assert "P4" not in found()  # nor among the answers that are kept
