"""Tables and rows whose pictures are on the web: fetched once, from allowed hosts, and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mmsearch
from mmsearch.cli.app import app
from mmsearch.errors import UsageError
from tests.support import ColourEncoder
from tests.test_fetch import Server, send, serve
from tests.test_upsert import picture


@pytest.fixture
def server() -> Iterator[Server]:
    for server in serve():
        for colour in ("red", "blue", "green"):
            server.answers[f"/{colour}.png"] = partial(send, body=picture(colour))
        server.answers["/text.png"] = lambda handler: send(handler, body=b"no picture")
        server.answers["/gone.png"] = lambda handler: send(handler, 404)
        yield server


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[mmsearch.Collection]:
    with mmsearch.open(tmp_path / ".mmsearch", create=True, encoder=ColourEncoder()) as opened:
        yield opened


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["key,title,image", *rows]) + "\n")
    return path


def asked(server: Server) -> list[str]:
    return [path for path, _ in server.asked]


def kept(collection: mmsearch.Collection) -> set[bytes]:
    return {path.read_bytes() for path in (collection.path / "pictures").iterdir()}


def test_pictures_of_a_table_are_fetched_once_and_kept(
    collection: mmsearch.Collection, server: Server, tmp_path: Path
) -> None:
    rows = [f"a,one,{server.url('/red.png')}", f"b,two,{server.url('/blue.png')}"]
    products = table(tmp_path / "t.csv", *rows)
    report = collection.index([products], url_hosts=[server.here])
    assert (report.added, report.encoded_images, report.failures) == (2, 2, ())
    (hit,) = collection.search("red", to="image", mode="vector", k=1)
    assert hit.key == "a"
    assert collection.image_file("a").read_bytes() == picture("red")
    # Nothing is asked again, and nothing need be allowed, for what is there.
    table(products, *rows, "c,three,")
    report = collection.index([products])
    assert (report.added, report.unchanged, report.failures) == (1, 2, ())
    assert sorted(asked(server)) == ["/blue.png", "/red.png"]


def test_picture_is_fetched_again_when_its_address_changes_only(
    collection: mmsearch.Collection, server: Server, tmp_path: Path
) -> None:
    products = table(tmp_path / "t.csv", f"a,one,{server.url('/red.png')}")
    collection.index([products], url_hosts=[server.here])
    table(products, f"a,other words,{server.url('/red.png')}")
    collection.index([products], url_hosts=[server.here])
    table(products, f"a,other words,{server.url('/green.png')}")
    assert collection.index([products], url_hosts=[server.here]).changed == 1
    assert kept(collection) == {picture("green")}
    collection.remove(["a"])
    assert kept(collection) == set()


def test_host_that_is_not_allowed_is_a_failure_of_its_row_that_says_what_to_do(
    collection: mmsearch.Collection, server: Server, tmp_path: Path
) -> None:
    products = table(tmp_path / "t.csv", f"a,one,{server.url('/red.png')}", "b,two,")
    report = collection.index([products])
    assert report.added == 1
    ((key, reason),) = [(failure.key, failure.reason) for failure in report.failures]
    assert key == "a"
    assert f"allow it (--allow-url {server.here}" in reason
    assert asked(server) == []
    # It is no fault of the row: allowed, the same row comes in.
    report = collection.index([products], url_hosts=[server.here])
    assert (report.added, report.failures, collection.status().failures) == (1, (), 0)


def test_picture_that_cannot_be_fetched_is_tried_again_and_the_item_stays(
    collection: mmsearch.Collection, server: Server, tmp_path: Path
) -> None:
    products = table(tmp_path / "t.csv", f"a,one,{server.url('/red.png')}")
    collection.index([products], url_hosts=[server.here])
    table(products, f"a,one,{server.url('/gone.png')}")
    for _ in range(2):
        report = collection.index([products], url_hosts=[server.here])
        assert [failure.key for failure in report.failures] == ["a"]
        assert "404" in report.failures[0].reason
        assert report.missing == 0
    assert asked(server).count("/gone.png") == 2
    assert collection.image_file("a").read_bytes() == picture("red")
    server.answers["/gone.png"] = server.answers["/blue.png"]
    assert collection.index([products], url_hosts=[server.here]).changed == 1


def test_what_is_no_picture_is_not_kept(collection: mmsearch.Collection, server: Server) -> None:
    report = collection.upsert(
        [{"key": "a", "image": server.url("/text.png")}], url_hosts=[server.here]
    )
    assert "not a picture" in report.failures[0].reason
    assert server.url("/text.png") in report.failures[0].reason
    assert not (collection.path / "pictures").exists()


def test_rows_that_are_handed_over_may_have_several(
    collection: mmsearch.Collection, server: Server
) -> None:
    pictures = [server.url("/red.png"), picture("blue"), server.url("/green.png")]
    row = {"key": "a", "title": "one", "images": pictures}
    report = collection.upsert([row], url_hosts=["*.example.com", server.here])
    assert (report.added, report.failures) == (3, ())
    assert collection.search("green", to="image", mode="vector", k=1)[0].key == "a#3"
    assert collection.upsert([row]).unchanged == 3
    assert kept(collection) == {picture(colour) for colour in ("red", "blue", "green")}
    moved = collection.reindex(ColourEncoder("0the2", name="other", seed=3))
    assert (moved.switched, moved.encoded_images) == (True, 3)


def test_list_of_hosts_that_cannot_be_read_stops_before_anything(
    collection: mmsearch.Collection, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no host to allow"):
        collection.index([table(tmp_path / "t.csv", "a,one,")], url_hosts=["https://x.example/"])
    assert collection.status().items == 0


def test_index_takes_hosts_on_the_command_line(server: Server, tmp_path: Path) -> None:
    products = table(tmp_path / "t.csv", f"a,one,{server.url('/red.png')}")
    command = ["index", str(products), "--collection", str(tmp_path / "c"), "--json"]
    skipped = CliRunner().invoke(app, command)
    assert skipped.exit_code == 3
    done = CliRunner().invoke(
        app, [*command, "--allow-url", "x.example", "--allow-url", server.here]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[0])["added"] == 1
