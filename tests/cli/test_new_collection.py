"""A first `index` that fails leaves no collection behind, and what was there stays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import typer

import mmsearch
from mmsearch.cli.app import app
from mmsearch.cli.new_collection import made_if_missing
from mmsearch.errors import ModelError
from mmsearch.layout import Layout
from tests.cli.conftest import Cli


def fail_after(path: Path, begin: Callable[[mmsearch.Collection], object]) -> None:
    """A command with the collection at `path` that begins so, then fails."""
    context = typer.Context(typer.main.get_command(app))
    with made_if_missing(context, path) as opened:
        begin(opened)
        raise ModelError("no such model")


@pytest.mark.parametrize(
    "options",
    [
        ["--model", "nonsense"],
        ["--batch-size", "0"],
        ["--workers", "0"],
        ["--precision", "nonsense"],
        ["--precision", "bf16", "--device", "cuda:99"],
        ["--allow-url", "https://example.com/"],
    ],
)
def test_failed_first_run_leaves_no_collection(
    cli: Cli, corpus: Path, tmp_path: Path, options: list[str]
) -> None:
    before = set(tmp_path.iterdir())
    assert cli("index", corpus, *options).exit_code in (1, 2)
    assert cli("index", corpus, *options, "--collection", "new/shops/a").exit_code in (1, 2)
    assert set(tmp_path.iterdir()) == before
    assert "no collection in" in cli("query", "red car").stderr


def test_table_that_cannot_be_read_leaves_no_collection(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_bytes(b"\xff\xfe\xff")
    assert cli("index", "products.csv").exit_code == 1
    assert {path.name for path in tmp_path.iterdir()} == {"products.csv"}


def test_watch_that_cannot_begin_leaves_no_collection(
    cli: Cli, corpus: Path, tmp_path: Path
) -> None:
    before = set(tmp_path.iterdir())
    assert cli("watch", corpus, "--workers", "0").exit_code == 2
    assert set(tmp_path.iterdir()) == before


def test_empty_collection_that_was_there_stays(cli: Cli, corpus: Path, tmp_path: Path) -> None:
    mmsearch.open(tmp_path / ".mmsearch", create=True).close()
    assert cli("index", corpus, "--model", "nonsense").exit_code == 1
    assert (tmp_path / ".mmsearch" / "catalog.sqlite3").is_file()


def test_folder_that_was_there_stays(cli: Cli, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    assert cli("index", corpus, "--model", "nonsense", "--collection", "shop").exit_code == 1
    assert list((tmp_path / "shop").iterdir()) == []


def test_what_was_committed_before_the_failure_stays(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        fail_after(tmp_path / "new", lambda opened: opened.index([corpus]))
    with mmsearch.open(tmp_path / "new") as opened:
        assert opened.status().items == 6


def test_collection_that_another_process_reads_or_writes_by_now_stays(tmp_path: Path) -> None:
    reads, writes = tmp_path / "reads", tmp_path / "writes"
    with ExitStack() as others:
        with pytest.raises(ModelError):
            fail_after(reads, lambda _: others.enter_context(mmsearch.open(reads)))
        with pytest.raises(ModelError):
            fail_after(writes, lambda _: others.enter_context(Layout(writes).writing()))
    for path in (reads, writes):
        with mmsearch.open(path) as opened:
            assert opened.status().items == 0
