"""Pictures over HTTP: small, whole, kept by browsers, and never of other files."""

from __future__ import annotations

import io
import os
from pathlib import Path

import httpx2
import pytest
from PIL import Image
from starlette.testclient import TestClient

import mmsearch
from mmsearch.keys import path_of
from mmsearch.server.app import create_app
from mmsearch.server.pictures import Thumbnails, decode_upload, snapped
from mmsearch.server.settings import Settings
from tests.server.worlds import listening, picture
from tests.support import ColourEncoder, paint


def add(folder: Path, encoder: ColourEncoder, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    with mmsearch.open(folder, encoder=encoder) as collection:
        assert not collection.index([folder]).failures


@pytest.mark.parametrize(("asked", "given"), [(64, 128), (128, 128), (200, 256), (1024, 1024)])
def test_sizes_are_snapped(asked: int, given: int) -> None:
    assert snapped(asked) == given


def test_thumbnail_fits_its_size_and_keeps_its_shape(
    client: TestClient, folder: Path, encoder: ColourEncoder
) -> None:
    add(folder, encoder, "wide.jpg", picture("green", (1500, 500), "JPEG"))
    response = client.get("/v1/thumbnails/wide.jpg", params={"size": 200})
    image = Image.open(io.BytesIO(response.content))
    assert (image.format, image.size) == ("JPEG", (256, 85))
    assert response.headers["content-type"] == "image/jpeg"


def test_small_picture_is_not_blown_up(client: TestClient) -> None:
    response = client.get("/v1/thumbnails/red.png", params={"size": 1024})
    assert Image.open(io.BytesIO(response.content)).size == (40, 40)


NAMES = ["one\ntwo.png", "\n.png", "\t\x01\x1b[31m\x7f\r.png", " a\\b%2F%0a?#&;=+.png", "a..png"]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_a_file_is_an_address(
    folder: Path, encoder: ColourEncoder, name: str
) -> None:
    add(folder, encoder, name, picture("red"))
    # Over the network: the test client decodes paths twice.
    app = create_app(Settings(folder / ".mmsearch"), encoder=encoder)
    with listening(app) as address, httpx2.Client(base_url=address) as client:
        asked = {"text": "red", "to": "image", "k": 100}
        hits = client.post("/v1/search", json=asked).json()["hits"]
        (hit,) = (hit for hit in hits if path_of(hit["key"], folder).name == name)
        key = hit["thumbnail_url"].removeprefix("/v1/thumbnails/")
        for kind in ("thumbnails", "images"):
            sent = client.get(f"/v1/{kind}/{key}")
            assert sent.headers["content-type"].startswith("image/")
        assert client.get(f"/v1/items/{key}").json()["key"] == hit["key"]
        assert client.get(f"/v1/similar/{key}").status_code == 200
        assert client.delete(f"/v1/items/{key}").status_code == 204
        assert client.get(f"/v1/items/{key}").status_code == 404


@pytest.mark.parametrize("size", ["63", "1025", "big"])
def test_senseless_size_is_a_problem(client: TestClient, size: str) -> None:
    assert client.get(f"/v1/thumbnails/red.png?size={size}").status_code == 422


def test_browsers_may_keep_pictures(client: TestClient) -> None:
    for address in ("/v1/thumbnails/red.png", "/v1/images/red.png"):
        first = client.get(address)
        assert first.headers["cache-control"] == "public, max-age=600"
        etag = first.headers["etag"]
        for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            again = client.get(address, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == etag
        assert client.get(address, headers={"If-None-Match": '"other"'}).status_code == 200
        head = client.head(address)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(first.content))


def test_large_upload_is_kept_small_until_it_is_answered() -> None:
    blank = picture("red", (6000, 300))
    assert len(blank) < 50_000
    assert decode_upload(blank, 10**7).size == (2048, 102)
    assert decode_upload(picture("red", (2000, 300)), 10**7).size == (2000, 300)


def test_new_picture_under_the_same_key_has_another_tag(
    client: TestClient, folder: Path, encoder: ColourEncoder
) -> None:
    before = client.get("/v1/thumbnails/red.png").headers["etag"]
    paint(folder / "red.png", "yellow", size=50)
    changed = client.get("/v1/thumbnails/red.png", params={"size": 512})
    # It is not what was indexed, and must not be kept in its name.
    assert changed.headers["cache-control"] == "no-store"
    with mmsearch.open(folder, encoder=encoder) as collection:
        collection.index([folder])
    after = client.get("/v1/thumbnails/red.png", headers={"If-None-Match": before})
    assert after.status_code == 200
    assert after.headers["etag"] != before


def test_picture_without_metadata_is_sent_as_it_is(client: TestClient, folder: Path) -> None:
    response = client.get("/v1/images/red.png")
    assert response.content == (folder / "red.png").read_bytes()
    assert response.headers["content-type"] == "image/png"


def test_format_that_browsers_do_not_show_is_sent_as_jpeg(
    client: TestClient, folder: Path, encoder: ColourEncoder
) -> None:
    add(folder, encoder, "scan.tiff", picture("green", (300, 200), "TIFF"))
    response = client.get("/v1/images/scan.tiff")
    assert response.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(response.content)).size == (300, 200)


def test_contents_and_not_the_name_say_what_a_picture_is(
    client: TestClient, folder: Path, encoder: ColourEncoder
) -> None:
    add(folder, encoder, "really.png", picture("red", format="GIF"))
    assert client.get("/v1/images/really.png").headers["content-type"] == "image/gif"


@pytest.mark.parametrize("route", ["images", "thumbnails", "items", "similar"])
@pytest.mark.parametrize(
    "key",
    ["..%2F..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "red.png%00", "red.txt", "a%0D%0Ab: c"],
)
def test_key_is_looked_up_and_never_a_path(client: TestClient, route: str, key: str) -> None:
    response = client.get(f"/v1/{route}/{key}")
    assert response.status_code in (400, 404)  # the guards know some as senseless
    assert b"root:" not in response.content


def test_text_has_no_picture(client: TestClient) -> None:
    assert client.get("/v1/thumbnails/note.txt").status_code == 404


def test_keys_with_odd_characters_find_their_pictures(
    client: TestClient, folder: Path, encoder: ColourEncoder
) -> None:
    keys = ["a/b/../c", "//x", "50%", "a?b#c", "Grün & weiß", "..", "\\n", "a+b"]
    with mmsearch.open(folder, encoder=encoder) as collection:
        collection.upsert([{"key": key, "image": picture("red")} for key in keys])
    with mmsearch.open(folder, encoder=encoder) as collection:
        hits = collection.search("red", k=50)
    assert set(keys) <= {hit.key for hit in hits}
    answer = client.post("/v1/search", json={"text": "red", "k": 50}).json()
    addresses = {hit["key"]: hit["thumbnail_url"] for hit in answer["hits"]}
    for key in set(keys) - {".."}:  # which no client sends as it is
        assert client.get(addresses[key]).status_code == 200, key


def test_picture_that_is_gone_or_damaged_is_not_found_and_tells_no_path(
    client: TestClient, folder: Path
) -> None:
    (folder / "red.png").unlink()
    (folder / "blue.png").write_bytes(b"damaged")
    for key in ("red.png", "blue.png"):
        response = client.get(f"/v1/thumbnails/{key}")
        assert response.status_code == 404
        assert str(folder) not in response.text


def test_thumbnails_are_kept_up_to_their_bytes(tmp_path: Path) -> None:
    paths = [paint(tmp_path / f"{number}.png", "red", size=100) for number in range(4)]
    size = len(Thumbnails(10**6).get(paths[0], b"0", 128).data)
    thumbnails = Thumbnails(3 * size)
    digests = [mmsearch_digest(path) for path in paths]
    for path, digest in zip(paths, digests, strict=True):
        thumbnails.get(path, digest, 128)
    kept = [thumbnails.find(digest, 128) is not None for digest in digests]
    assert kept[-1]
    assert not kept[0]  # the oldest went


def mmsearch_digest(path: Path) -> bytes:
    from mmsearch.images import digest_file

    return digest_file(path)


def test_kept_thumbnail_needs_no_file(client: TestClient, folder: Path) -> None:
    first = client.get("/v1/thumbnails/red.png").content
    os.rename(folder / "red.png", folder / "red.away")
    assert client.get("/v1/thumbnails/red.png").content == first
