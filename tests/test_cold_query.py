"""The quick way of a query in a new process gives what the collection itself gives."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import mmsearch
from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.schema import SCHEMA_VERSION
from mmsearch.cli import oneshot
from mmsearch.cli.place import root_of
from mmsearch.encoders.adapted_encoder import AdaptedTextTower
from mmsearch.encoders.adapter import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    ResidualMap,
    adapter_config,
    read_adapter,
    tensors_of,
)
from mmsearch.encoders.fingerprint import folder_fingerprint
from mmsearch.encoders.image_tower import keep_image_tower
from mmsearch.encoders.open_clip_encoder import load_open_clip
from mmsearch.encoders.text_tower import open_text_tower
from mmsearch.models.registry import BUNDLED_FOLDER
from mmsearch.quick import codes, reader, remembered
from mmsearch.search import relevance
from mmsearch.search.bank import TYPICAL_QUERIES
from mmsearch.types import Encoder, Modality, TextEncoder

DIM = 384
THINGS = TYPICAL_QUERIES[:60]
PHOTOS = sorted((Path(__file__).parents[1] / "sample_data" / "photos").glob("*.jpg"))[:3]
TEXTS = (*THINGS[:6], "red car", "Müllers Küche, 5 €", "quarterly tax declaration of 1984", "x")


class Painted:
    """`mini` by name, fingerprint and texts; a picture's vector is that of the thing whose number
    its first pixel has, and some noise that its pixels decide."""

    name = "mini"
    image_size = 16
    batch_size = 64
    dim = DIM

    def __init__(self, tower: TextEncoder, name: str = "mini") -> None:
        self.name = name
        self.fingerprint = tower.fingerprint
        self._tower = tower
        self._things = tower.encode_texts(THINGS)

    def preprocess(self, image: Image.Image) -> Any:
        return np.asarray(image.convert("RGB").resize((16, 16), Image.Resampling.NEAREST), np.uint8)

    def encode_images(self, pixels: Any) -> Any:
        rows = []
        for picture in pixels:
            seed = int.from_bytes(hashlib.blake2b(picture.tobytes(), digest_size=8).digest())
            noise = np.random.default_rng(seed).normal(size=DIM) / DIM**0.5
            rows.append(self._things[picture[0, 0, 0] % len(THINGS)] + 1.5 * noise)
        vectors = np.array(rows, np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode_texts(self, texts: Sequence[str]) -> Any:
        return self._tower.encode_texts(texts)


def picture(path: Path, thing: int, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    pixels[0, 0, 0] = thing
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="session")
def mini() -> Painted:
    tower = open_text_tower(folder_fingerprint(BUNDLED_FOLDER), "mini")
    assert tower is not None
    return Painted(tower)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def eyes(cache: Path) -> None:
    """The image tower of `mini`, as an index run keeps it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSEARCH_CACHE", str(cache))
        assert keep_image_tower(load_open_clip("mini", device="cpu"), lambda _: None)


@pytest.fixture(autouse=True)
def small_world(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Codes for a collection of some hundred pictures, and a cache of towers of our own."""
    monkeypatch.setenv("MMSEARCH_CACHE", str(cache))
    monkeypatch.setattr(codes, "FEW", 50)
    monkeypatch.setattr(codes, "FIRST", 40)


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory, mini: Painted, cache: Path) -> Path:
    """A folder of 240 pictures, three of them twice, and its collection; never changed."""
    folder = tmp_path_factory.mktemp("album")
    for number in range(240):
        picture(folder / f"{number:03}.png", number % 60, number)
    for number in range(3):
        shutil.copy(folder / f"{number:03}.png", folder / f"copy of {number:03}.png")
    (folder / "003.txt").write_text("a text beside a picture")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codes, "FEW", 50)
        patch.setenv("MMSEARCH_CACHE", str(cache))
        with mmsearch.open(folder, create=True, encoder=mini) as collection:
            collection.index([folder])
    with mmsearch.open(folder) as collection:
        collection.answer("x", to="text")  # measures what a score is worth, as an index run did
    return folder


@pytest.fixture
def album(grown: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(grown, tmp_path / "album"))


def only(found: list[reader.QuickAnswer] | None) -> reader.QuickAnswer:
    assert found is not None, "the quick reader was not sure"
    (quick,) = found
    return quick


def compare(
    folder: Path,
    query: str | Path,
    k: int = 10,
    to: Modality | None = None,
    where: str | None = None,
) -> reader.QuickAnswer:
    """The quick answer, after a look at whether the collection's own is the same."""
    with mmsearch.open(folder) as collection:
        whole = collection.answer(query, k=k, to=to, where=where)
    quick = only(reader.answers(folder / ".mmsearch", query, k, to, where))
    assert [hit.key for hit in quick.hits] == [hit.key for hit in whole.hits]
    assert [hit.score for hit in quick.hits] == [hit.score for hit in whole.hits]
    assert [hit.relevance for hit in quick.hits] == pytest.approx(
        [hit.relevance for hit in whole.hits], abs=2e-4
    )
    for ours, theirs in zip(quick.hits, whole.hits, strict=True):
        expected = {**vars(theirs), "score": ours.score, "relevance": ours.relevance}
        assert ours._asdict() == expected
    assert quick.no_match == whole.no_match
    return quick


# ---- the same answers


@pytest.mark.parametrize("k", [1, 10, 60, 500])
@pytest.mark.parametrize("to", [None, "image"])
def test_the_quick_answer_is_the_collections_own(grown: Path, k: int, to: Modality | None) -> None:
    said = {compare(grown, text, k, to).no_match is None for text in TEXTS}
    assert said == {True, False}, "the texts should have a match here, and not"


def test_equal_pictures_come_in_the_order_of_their_age(grown: Path) -> None:
    hits = compare(grown, THINGS[1], 20).hits
    scores = [hit.score for hit in hits]
    assert len(set(scores)) < len(scores)


def test_of_many_equal_texts_the_oldest_come(tmp_path: Path, mini: Painted) -> None:
    """More of them than a ranking takes; a change moves one to the end of the exact index."""
    lines = ["key,title,price", *(f"k{number:03},red shoe,{number}" for number in range(450))]
    shoes = tmp_path / "shoes.csv"
    with mmsearch.open(tmp_path, create=True, encoder=mini) as collection:
        shoes.write_text("\n".join(lines))
        collection.index([shoes])
        shoes.write_text("\n".join(lines).replace("k002,red shoe,2", "k002,red shoe,1000"))
        collection.index([shoes])
    hits = compare(tmp_path, "red shoe", 6, "text").hits
    assert [hit.key for hit in hits] == [f"k{number:03}" for number in range(6)]


def test_texts_are_searched_if_asked_for(grown: Path) -> None:
    (hit,) = compare(grown, "a text", 10, "text").hits
    assert hit.relevance is None, "one text is no measure"


def test_removed_items_are_gone_at_once(album: Path) -> None:
    best = compare(album, THINGS[2]).hits[0].key
    with mmsearch.open(album) as collection:
        collection.remove([best])
    assert best not in [hit.key for hit in compare(album, THINGS[2]).hits]


def test_changes_after_the_snapshot_are_seen(album: Path, mini: Painted) -> None:
    before = compare(album, THINGS[4]).hits
    (album / before[0].key).unlink()
    picture(album / before[1].key, 9, 1234)  # another thing by now
    picture(album / "new.png", 4, 999)
    index = album / ".mmsearch" / "index"
    kept = {path.name: path.read_bytes() for path in index.glob("*.signs")}
    with mmsearch.open(album, encoder=mini) as collection:
        collection.index([album])
    for name, content in kept.items():  # as they were before the run
        (index / name).write_bytes(content)
    after = [hit.key for hit in compare(album, THINGS[4], 300).hits]
    assert before[0].key not in after
    assert "new.png" in after
    assert len(after) == 243


def test_most_items_changed_leaves_the_rest(album: Path) -> None:
    with mmsearch.open(album) as collection:
        keys = [hit.key for hit in collection.search(THINGS[0], k=500)]
        collection.remove(keys[20:])
        collection.answer("x")  # measured anew, or found to be too few
    assert len(compare(album, THINGS[0], 50).hits) == 20


def test_a_collection_that_moved_to_an_adapter_is_answered_by_it(
    album: Path, tmp_path: Path, mini: Painted
) -> None:
    from safetensors.numpy import save_file

    draw = np.random.default_rng(3)
    shapes = {"down": (8, DIM), "bias": (8,), "up": (DIM, 8)}
    image, text = (
        ResidualMap(
            **{name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        )
        for _ in range(2)
    )
    folder = tmp_path / "adapter"
    folder.mkdir()
    save_file(tensors_of(image, text), folder / ADAPTER_WEIGHTS)
    config = adapter_config("mini", mini.fingerprint, DIM, "embedding", {})
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config))
    adapted = Painted(AdaptedTextTower(mini._tower, read_adapter(folder)), str(folder))
    with mmsearch.open(album, encoder=mini) as collection:
        report = collection.reindex(cast("Encoder", adapted))
    assert report.switched
    with mmsearch.open(album) as collection:
        collection.answer("x")
    there = compare(album, THINGS[3]).hits
    with mmsearch.open(album, encoder=[mini, cast("Encoder", adapted)]) as collection:
        collection.rollback()
    back = compare(album, THINGS[3]).hits
    assert [hit.key for hit in back] != [hit.key for hit in there]


# ---- not sure


def test_schema_is_that_of_the_catalog() -> None:
    """With a new one, see what it changes for `reader`, then name it there."""
    assert set(reader.COUNTED) == {SCHEMA_VERSION}
    assert relevance.Relevance.size_changed == reader.SIZE_CHANGED


def _damage_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[256:2048] = bytes(1792)  # ids
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-5000]),
        lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"format": 1', b'"format": 7')),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"seq": ', b'"seq": 9')),
        _damage_middle,
    ],
    ids=["missing", "empty", "cut short", "other file", "other format", "from the future", "ids"],
)
def test_damaged_codes_are_left_alone(album: Path, spoil: Callable[[Path], None]) -> None:
    (path,) = (album / ".mmsearch" / "index").glob("*-image.signs")
    spoil(path)
    assert reader.answers(album / ".mmsearch", THINGS[0], 243) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value = '99' WHERE name = 'schema'",
        "UPDATE spaces SET complete_at = 10000",
        "UPDATE spaces SET state = 'left'",
        "UPDATE embeddings SET row = row + 1",
        "UPDATE items SET text_digest = x'00', state = 'missing'",
        "DROP TABLE spaces",
    ],
)
def test_a_catalog_it_does_not_understand_is_left_alone(album: Path, statement: str) -> None:
    with sqlite3.connect(album / ".mmsearch" / "catalog.sqlite3") as connection:
        connection.execute(statement)
    connection.close()
    assert reader.answers(album / ".mmsearch", THINGS[0], 10) is None


@pytest.mark.parametrize("pattern", ["index/*.relevance.json", "vectors/*.f16"])
def test_what_else_is_missing_is_left_alone(album: Path, pattern: str) -> None:
    for path in (album / ".mmsearch").glob(pattern):
        path.unlink()
    assert reader.answers(album / ".mmsearch", THINGS[0], 10) is None


def test_too_many_changes_are_left_alone(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_CHANGES", 2)
    with mmsearch.open(album) as collection:
        collection.remove(["000.png", "001.png"])
        assert reader.answers(album / ".mmsearch", THINGS[0], 10) is not None
        collection.remove(["002.png"])
    assert reader.answers(album / ".mmsearch", THINGS[0], 10) is None


def test_a_model_that_changed_is_left_alone(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mini: Painted, cache: Path
) -> None:
    mine = Path(shutil.copytree(cache, tmp_path / "cache"))
    monkeypatch.setenv("MMSEARCH_CACHE", str(mine))
    assert reader.answers(grown / ".mmsearch", "no such text yet", 3) is not None
    path = mine / "towers" / mini.fingerprint / "text.json"
    kept = json.loads(path.read_text())
    kept["source"]["stamps"]["config.json"][1] += 1
    path.write_text(json.dumps(kept))
    assert reader.answers(grown / ".mmsearch", "no such text yet", 3) is None


@pytest.mark.parametrize("asked", ["a dog", PHOTOS[0]], ids=["words", "picture"])
def test_the_first_query_after_an_index_run_is_quick(
    tmp_path: Path, mini: Painted, eyes: None, asked: str | Path
) -> None:
    for number in range(60):
        picture(tmp_path / f"{number}.png", number, number)
    with mmsearch.open(tmp_path, create=True, encoder=mini) as collection:
        collection.index([tmp_path])
    quick = only(reader.answers(tmp_path / ".mmsearch", asked, 5))
    assert quick.hits[0].relevance is not None


# ---- by vectors and by words

ASKED = (*THINGS[:4], "a quiet street", "acme", "acme street", "strete", "?!", "zzzzqq", "x")


@pytest.fixture(scope="session")
def stocked(tmp_path_factory: pytest.TempPathFactory, mini: Painted, cache: Path) -> Path:
    """A shop of 180 things with a picture and a text, 20 with a picture, and 20 with a text alone;
    never changed."""
    folder = tmp_path_factory.mktemp("shop")
    lines = ["sku,title,brand,price,image"]
    for number in range(220):
        thing = THINGS[number % 60]
        image = f"{number}.png" if number < 200 else ""
        if image:
            picture(folder / image, number % 60, number)
        title = "" if 180 <= number < 200 else f"{thing} no. {number % 7}"
        brand = ("Acme", "Zenith")[number % 2]
        lines.append(f"s{number},{title},{brand},{number},{image}")
    (folder / "shop.csv").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codes, "FEW", 50)
        patch.setenv("MMSEARCH_CACHE", str(cache))
        with mmsearch.open(folder, create=True, encoder=mini) as collection:
            collection.index([folder])
    return folder


@pytest.fixture
def shop(stocked: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(stocked, tmp_path / "shop"))


@pytest.mark.parametrize("k", [1, 10, 150, 300])
@pytest.mark.parametrize("text", ASKED)
def test_a_shop_is_searched_by_pictures_texts_and_words(stocked: Path, text: str, k: int) -> None:
    compare(stocked, text, k)


def test_a_shop_answers_with_and_without_a_match(stocked: Path) -> None:
    said = {compare(stocked, text).no_match is None for text in ASKED}
    assert said == {True, False}


def test_a_shop_is_searched_by_one_modality_if_asked_for(stocked: Path) -> None:
    compare(stocked, "a dog", 5, "image")
    with mmsearch.open(stocked) as collection:
        collection.answer("x", to="text")
    compare(stocked, "a dog", 5, "text")


@pytest.mark.parametrize("k", [1, 10, 300])
@pytest.mark.parametrize("to", [None, "image", "text"])
@pytest.mark.parametrize(
    "where",
    [
        "brand = 'Acme'",
        "price < 150",
        "price in (7, 67, 199)",
        "not (price > 3) or brand like 'z%'",
    ],
)
def test_a_filter_leaves_what_it_leaves_in_the_collection(
    stocked: Path, where: str, to: Modality | None, k: int
) -> None:
    with mmsearch.open(stocked) as collection:
        collection.answer("x", to="text")  # measures what a score is worth
    for text in ("a dog", "acme", "zzzzqq"):
        compare(stocked, text, k, to, where)


@pytest.mark.parametrize("where", ["price > 1000", "prise < 3", "price <", "", "brand < 3"])
def test_a_filter_that_leaves_nothing_or_is_wrong_is_left_alone(stocked: Path, where: str) -> None:
    assert reader.answers(stocked / ".mmsearch", "a dog", 5, None, where) is None


def test_a_filter_sees_changes_after_the_snapshot(shop: Path, mini: Painted) -> None:
    index = shop / ".mmsearch" / "index"
    kept = {path.name: path.read_bytes() for path in index.glob("*.signs")}
    with mmsearch.open(shop, encoder=mini) as collection:
        collection.update({"s7": {"brand": "Other"}, "s8": {"brand": "Other"}})
        collection.upsert([{"key": "new", "title": "a dog", "brand": "Other"}])
        collection.remove(["s8"])
    for name, content in kept.items():  # as they were before
        (index / name).write_bytes(content)
    hits = compare(shop, "a dog", where="brand = 'Other'").hits
    assert sorted(hit.key for hit in hits) == ["new", "s7"]


def test_texts_alone_are_searched_by_meaning_and_by_words(tmp_path: Path, mini: Painted) -> None:
    for number in range(120):
        (tmp_path / f"{number}.txt").write_text(f"{THINGS[number % 60]} number {number % 9}")
    with mmsearch.open(tmp_path, create=True, encoder=mini) as collection:
        collection.index([tmp_path])
    for text in ("a dog", "number 7", "numbre"):
        compare(tmp_path, text, 20)


def test_changes_of_a_shop_after_its_snapshot_are_seen(shop: Path, mini: Painted) -> None:
    index = shop / ".mmsearch" / "index"
    kept = {path.name: path.read_bytes() for path in index.glob("*.signs")}
    first, second = compare(shop, "acme street").hits[:2]
    table = (shop / "shop.csv").read_text().splitlines()
    with mmsearch.open(shop, encoder=mini) as collection:
        collection.remove([first.key])
        collection.update({second.key: {"brand": "Boreal"}})
        (shop / "shop.csv").write_text("\n".join([*table, "new,an acme street,Acme,,1.png"]))
        collection.index([shop])
    for name, content in kept.items():  # as they were before the changes
        (index / name).write_bytes(content)
    after = {hit.key: hit for hit in compare(shop, "acme street", 20).hits}
    assert "new" in after
    assert compare(shop, "boreal", 1).hits[0].key == second.key


def test_a_shop_that_measured_nothing_yet_is_left_alone(shop: Path) -> None:
    for path in (shop / ".mmsearch" / "index").glob("*text-text.relevance.json"):
        path.unlink()
    before = sorted((shop / ".mmsearch" / "index").iterdir())
    assert reader.answers(shop / ".mmsearch", "a dog", 5) is None
    assert sorted((shop / ".mmsearch" / "index").iterdir()) == before, "it only reads"


@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_shop_with_damaged_codes_is_left_alone(shop: Path, modality: str) -> None:
    (path,) = (shop / ".mmsearch" / "index").glob(f"*-{modality}.signs")
    _damage_middle(path)
    assert reader.answers(shop / ".mmsearch", THINGS[0], 220) is None


def test_more_words_than_anybody_means_are_left_alone(stocked: Path) -> None:
    text = " ".join(f"word{number}" for number in range(300))
    assert reader.answers(stocked / ".mmsearch", text, 5) is None


@pytest.mark.parametrize(
    "options", [[], ["--paths"], ["-k", "3"], ["--where", "price < 50"]], ids=" ".join
)
@pytest.mark.parametrize("text", ["a dog", "acme", "quarterly tax declaration of 1984"])
def test_a_shop_prints_what_the_whole_program_prints(
    stocked: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    options: list[str],
    text: str,
) -> None:
    monkeypatch.chdir(stocked)
    quick = run_quickly(["query", text, *options], capfdbinary)
    assert quick == run_wholly(["query", text, *options])


def test_a_shop_prints_the_same_json(
    stocked: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(stocked)
    arguments = ["query", "a dog", "--json"]
    quick, whole = (
        [json.loads(line) for line in out.splitlines()]
        for out, _ in (run_quickly(arguments, capfdbinary), run_wholly(arguments))
    )
    assert len(quick) == 10
    for ours, theirs in zip(quick, whole, strict=True):  # the last digit may be another
        near = {name: pytest.approx(theirs[name], abs=2e-4) for name in ("score", "relevance")}
        assert ours == {**theirs, **near}


# ---- which vectors are looked at


def test_codes_of_any_dimension_lose_nothing(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for dim, size in ((70, 6000), (128, 3000), (16, 400)):
        centres = draw.normal(size=(50, dim))
        rows = centres[draw.integers(0, 50, size)] + draw.normal(size=(size, dim)) + 0.5
        halves = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
        every = np.arange(size)

        def read(places: Any, halves: Any = halves) -> Any:
            return halves[places].astype(np.float32)

        codes.write_codes(tmp_path / "c", every + 7, every, read, dim=dim, seq=3)
        held = codes.Codes(tmp_path / "c", dim)
        looked = 0
        for query in (centres[:40] + draw.normal(size=(40, dim))).astype(np.float32):
            query /= np.linalg.norm(query)
            gone = draw.choice(size, 30, replace=False)

            def score(places: Any, halves: Any = halves, query: Any = query) -> Any:
                return codes.score_rows(halves, places, query)

            places, scores = held.possible(query, 10, score, gone)
            looked += len(places)
            exact = score(every)
            exact[gone] = -np.inf
            assert sorted(scores)[-10:] == sorted(exact)[-10:]
            assert set(places[np.argsort(-scores)[:10]]) == set(np.argsort(-exact)[:10])
        if size > 1000:
            assert looked < 40 * size * 0.5, "the codes should spare most of the vectors"


def test_equal_rows_score_equally_wherever_they_stand() -> None:
    draw = np.random.default_rng(1)
    halves = draw.normal(size=(1000, 100)).astype(np.float16)
    halves[::7] = halves[0]
    query = draw.normal(size=100).astype(np.float32)
    scores = codes.score_rows(halves, np.arange(1000), query)
    assert len(set(scores[::7].tolist())) == 1
    assert scores == pytest.approx(halves.astype(np.float32) @ query, abs=1e-4)


# ---- remembered texts


def test_a_remembered_text_needs_no_tower(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = only(reader.answers(album / ".mmsearch", "a boat", 5))
    first.remember()
    monkeypatch.setenv("MMSEARCH_CACHE", str(tmp_path / "nothing"))
    again = only(reader.answers(album / ".mmsearch", "a boat", 5))
    assert again.hits == first.hits
    assert reader.answers(album / ".mmsearch", "a ship", 5) is None


def test_the_longest_unused_texts_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "MOST", 3)
    now = iter(range(0, 10**6, 10_000))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    kept = remembered.Remembered(tmp_path / "q", 2)
    vector = np.array([0.6, 0.8], np.float32)
    for text in "abc":
        kept.put(text, vector)
    assert kept.get("a") is not None
    kept.put("a", vector)
    kept.put("d", vector)
    assert [text for text in "abcd" if kept.get(text) is not None] == ["a", "c", "d"]


def test_a_text_of_another_dimension_or_a_garbled_one_is_not_known(tmp_path: Path) -> None:
    vector = np.array([0.6, 0.8], np.float32)
    remembered.Remembered(tmp_path / "q", 2).put("a", vector)
    assert np.array_equal(cast("Any", remembered.Remembered(tmp_path / "q", 2).get("a")), vector)
    assert remembered.Remembered(tmp_path / "q", 3).get("a") is None
    with sqlite3.connect(tmp_path / "q") as connection:
        connection.execute("UPDATE queries SET vector = zeroblob(8)")
    connection.close()
    assert remembered.Remembered(tmp_path / "q", 2).get("a") is None


def test_a_locked_damaged_or_impossible_memory_is_done_without(tmp_path: Path) -> None:
    vector = np.array([0.6, 0.8], np.float32)
    nowhere = remembered.Remembered(tmp_path / "none" / "q", 2)
    nowhere.put("a", vector)
    assert nowhere.get("a") is None
    kept = remembered.Remembered(tmp_path / "q", 2)
    kept.put("a", vector)
    other = sqlite3.connect(tmp_path / "q", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    kept.put("b", vector)
    assert kept.get("a") is None
    other.close()
    assert kept.get("a") is not None
    (tmp_path / "q").write_bytes(b"no database" * 1000)
    assert kept.get("a") is None
    kept.put("a", vector)  # sees that it is damaged,
    kept.put("a", vector)  # and begins anew
    assert kept.get("a") is not None


# ---- by picture


@pytest.mark.parametrize("k", [1, 10, 500])
@pytest.mark.parametrize("to", ["image", "text"])
@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
def test_a_picture_is_answered_as_the_collection_answers_it(
    grown: Path, eyes: None, photo: Path, k: int, to: Modality
) -> None:
    compare(grown, photo, k, to)


def test_a_picture_finds_pictures_and_texts_of_a_folder_that_has_both(
    grown: Path, eyes: None
) -> None:
    with mmsearch.open(grown) as collection:
        whole = [collection.answer(PHOTOS[0], k=5, to=kind) for kind in ("image", "text")]
    quick = reader.answers(grown / ".mmsearch", PHOTOS[0], 5)
    assert quick is not None
    assert [[hit.key for hit in one.hits] for one in quick] == [
        [hit.key for hit in one.hits] for one in whole
    ]


@pytest.mark.parametrize("k", [1, 10, 300])
@pytest.mark.parametrize("to", [None, "image", "text"])
@pytest.mark.parametrize("where", [None, "brand = 'Acme'"])
def test_a_picture_is_looked_for_in_a_shop(
    stocked: Path, eyes: None, k: int, to: Modality | None, where: str | None
) -> None:
    compare(stocked, PHOTOS[0], k, to, where)


def test_a_picture_without_a_kept_tower_is_left_alone(
    grown: Path, eyes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(grown, PHOTOS[0], to="image")
    monkeypatch.setenv("MMSEARCH_CACHE", str(tmp_path))
    assert reader.answers(grown / ".mmsearch", PHOTOS[0], 10, "image") is None


def test_a_picture_is_left_alone_where_pictures_are_encoded_in_int8_by_another_tower(
    album: Path, eyes: None, mini: Painted
) -> None:
    compare(album, PHOTOS[0], to="image")
    with closing(Catalog(album / ".mmsearch" / "catalog.sqlite3")) as catalog:
        catalog.spaces.set_precision(mini.fingerprint, "int8")
        assert reader.answers(album / ".mmsearch", PHOTOS[0], 10, "image") is None
        catalog.spaces.set_precision(mini.fingerprint, "bf16")
    compare(album, PHOTOS[0], to="image")


def test_a_picture_is_left_alone_where_nothing_is_left(album: Path, eyes: None) -> None:
    with mmsearch.open(album) as collection:
        collection.remove([hit.key for hit in collection.search(PHOTOS[0], k=500, to="image")])
        collection.remove([hit.key for hit in collection.search(PHOTOS[0], k=500, to="text")])
    assert reader.answers(album / ".mmsearch", PHOTOS[0], 10) is None


@pytest.mark.parametrize("name", ["nothing.jpg", "003.txt", "."])
def test_what_is_no_picture_is_left_alone(grown: Path, eyes: None, name: str) -> None:
    compare(grown, PHOTOS[0], to="image")
    assert reader.answers(grown / ".mmsearch", grown / name, 10, "image") is None


@pytest.mark.parametrize(
    "options",
    [[], ["--json"], ["--paths"], ["-0"], ["--to", "text"], ["-k", "3", "--to", "image"]],
    ids=" ".join,
)
@pytest.mark.parametrize("place", ["grown", "stocked"])
def test_a_picture_prints_what_the_whole_program_prints(
    place: str,
    eyes: None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    options: list[str],
) -> None:
    monkeypatch.chdir(request.getfixturevalue(place))
    line = ["query", "--image", str(PHOTOS[1]), *options]
    whole = run_wholly(line)  # measures, the first time
    assert run_quickly(line, capfdbinary) == whole


@pytest.mark.parametrize(
    "line",
    [
        ["--image", "a.jpg", "a dog"],
        ["--image", "a.jpg", "--image", "b.jpg"],
        ["--image", "-"],
        ["--image"],
    ],
    ids=" ".join,
)
def test_more_than_one_picture_is_left_to_the_whole_program(line: list[str]) -> None:
    assert oneshot.parse(["query", "--image", "a.jpg"]) is not None
    assert oneshot.parse(["query", *line]) is None


# ---- the command line

WORDS = st.sampled_from(
    (
        *("query", "a dog", "x", "-k", "3", "0", "-1", "--json", "--paths", "-0", "--to", "image"),
        *("--to=text", "--collection", "C", "--collection=C", "--", "-", "--mode", "vector", ""),
        *("--explain", "-k5", "--bad", "index", "1e1", "--preview", "--where", "state = 'live'"),
        *("--image", "000.png", "010.png"),
    )
)
LINES = st.builds(
    lambda before, after: [*before, "query", *after],
    st.sampled_from([[], ["--collection", "C"], ["--collection=C"]]),
    st.lists(WORDS, max_size=5),
) | st.lists(WORDS, max_size=4)


@pytest.fixture
def here(grown: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(grown)
    return grown


def run_quickly(arguments: list[str], capture: pytest.CaptureFixture[bytes]) -> Any:
    """(stdout, stderr), or None where the quick way does not answer."""
    capture.readouterr()
    afterwards = oneshot.run(arguments)
    done = capture.readouterr()
    return None if afterwards is None else (done.out, done.err)


def run_wholly(arguments: list[str]) -> Any:
    from mmsearch.cli.app import app

    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout_bytes, done.stderr_bytes


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(LINES)
def test_what_is_read_of_a_command_line_is_what_typer_reads(
    here: Path, capfdbinary: pytest.CaptureFixture[bytes], arguments: list[str]
) -> None:
    arguments = [str(here) if one == "C" else one.replace("=C", f"={here}") for one in arguments]
    quick = run_quickly(arguments, capfdbinary)
    if quick is not None:
        assert quick == run_wholly(arguments)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--json"],
        ["-k", "3"],
        ["--paths"],
        ["-0", "-k", "2"],
        ["--to", "image", "--json"],
        ["--collection", "HERE"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("text", ["a dog", "quarterly tax declaration of 1984"])
def test_it_prints_what_the_whole_program_prints(
    here: Path, capfdbinary: pytest.CaptureFixture[bytes], options: list[str], text: str
) -> None:
    options = [str(here) if one == "HERE" else one for one in options]
    quick = run_quickly(["query", text, *options], capfdbinary)
    assert quick == run_wholly(["query", text, *options])


def test_it_finds_the_collection_as_the_whole_program_does(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = grown / "a" / "b"
    below.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(below)
    assert root_of(None) == str(grown / ".mmsearch")
    for named in (str(grown), str(grown / ".mmsearch"), "../.."):
        assert root_of(named) == str(mmsearch.open(named).path.resolve())
    monkeypatch.chdir(tmp_path)
    assert root_of(None) is None
    assert root_of("elsewhere") is None
    monkeypatch.setenv("MMSEARCH_COLLECTION", str(grown))
    assert oneshot.parse(["query", "x"]) == oneshot.Request("x", collection=str(grown))
    own = oneshot.parse(["--collection", "a", "query", "x", "--collection", "b"])
    assert own == oneshot.Request("x", collection="b")


def test_a_quick_query_loads_none_of_what_takes_long(here: Path) -> None:
    code = """
import sys
import time
from mmsearch.cli import oneshot
assert oneshot.run(["query", "a dog"]) is not None
heavy = {"torch", "faiss", "sqlalchemy", "typer", "tokenizers", "PIL", "pyarrow", "numpy.typing"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert "mmsearch.types" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rank  score  image" in done.stdout


def test_nor_does_a_query_by_picture(grown: Path, eyes: None) -> None:
    compare(grown, PHOTOS[0], to="image")
    code = """
import sys
from mmsearch.cli import oneshot
assert oneshot.run(["query", "--to", "image", "--image", sys.argv[1]]) is not None
heavy = {"torch", "faiss", "sqlalchemy", "typer", "tokenizers", "pyarrow", "open_clip", "onnx"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(PHOTOS[0])],
        capture_output=True,
        text=True,
        check=False,
        cwd=grown,
    )
    assert done.returncode == 0, done.stderr
    assert "rank  score  image" in done.stdout


def test_nor_does_a_query_of_a_shop(stocked: Path) -> None:
    code = """
import sys
from mmsearch.cli import oneshot
assert oneshot.run(["query", "a dog"]) is not None
heavy = {"torch", "faiss", "sqlalchemy", "typer", "tokenizers", "PIL", "pyarrow", "numpy.ma"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=stocked
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"), [(["query", "a dog"], 0), (["query"], 2), (["--version"], 0)]
)
def test_the_program_begins_with_the_quick_way(here: Path, arguments: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmsearch", *arguments], capture_output=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stdout or done.stderr


ASKING = ("'a dog'", f"--image {PHOTOS[0]}", f"--paths --image {PHOTOS[0]}")


def shell(command: str) -> Any:
    """Of what the program prints, Python's own buffer holds back, as for anybody's."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.parametrize("asked", ASKING)
@pytest.mark.parametrize("reader", ["true", "head -1"])
def test_a_reader_that_has_gone_is_no_error(
    here: Path, eyes: None, asked: str, reader: str
) -> None:
    done = shell(f"{sys.executable} -m mmsearch query {asked} | {reader}; echo ${{PIPESTATUS[0]}}")
    assert done.stdout.splitlines()[-1] in ("0", "141")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("asked", ASKING)
def test_a_disk_without_room_is_said(here: Path, eyes: None, asked: str) -> None:
    done = shell(f"{sys.executable} -m mmsearch query {asked} > /dev/full")
    assert done.returncode == 1
    assert "error: cannot write: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_is_no_utf8_is_left_to_the_whole_program(
    here: Path, eyes: None, tmp_path: Path
) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/n\xff.jpg")
    shutil.copy(PHOTOS[0], name)
    assert oneshot.parse(["query", "--image", name]) is None
    whole = run_wholly(["query", "--to", "image", "--paths", "--image", name])
    assert whole == run_wholly(["query", "--to", "image", "--paths", "--image", str(PHOTOS[0])])


# ---- many queries from stdin


def ask_lines(lines: bytes, *options: str) -> Any:
    from mmsearch.cli.app import app

    return CliRunner().invoke(app, ["query", "-", *options], input=lines)


def test_each_line_of_stdin_is_a_query_of_its_own(here: Path) -> None:
    done = ask_lines("a dog\n\n  Müllers Küche \na cat".encode())
    assert done.exit_code == 0, done.output
    blocks = done.stdout.split("\n\n")
    assert [block.split("\n")[0] for block in blocks] == ["a dog", "Müllers Küche", "a cat"]
    for block in blocks:
        heading, table = block.rstrip("\n").split("\n", 1)
        assert f"{table}\n".encode() == run_wholly(["query", heading])[0]


def test_many_answers_in_json_are_an_object_each(here: Path) -> None:
    asked = ["a dog", "quarterly tax declaration of 1984"]
    done = ask_lines("\n".join(asked).encode(), "--json", "-k", "2", "--pages")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["query"] for one in answers] == asked
    assert [one["total"] for one in answers] == [243, 243]
    assert answers[0]["no_match"] is None
    assert answers[1]["no_match"].startswith("no match")
    for one in answers:
        alone = run_wholly(["query", one["query"], "--json", "-k", "2"])[0]
        assert one["hits"] == [json.loads(line) for line in alone.splitlines()]


def test_a_line_that_cannot_be_answered_is_said_and_the_others_are_answered(here: Path) -> None:
    done = ask_lines(b"a dog\n\xff\xfe\na cat\n", "-0")
    assert done.exit_code == 3
    assert done.stderr.startswith("error: line 2: ")
    assert done.stdout.count("\0") == 20


@pytest.mark.parametrize(
    "options", [["--image", "-"], ["--save-concept", "x"], ["--open"], ["--cursor", "abc"]]
)
def test_what_belongs_to_one_query_does_not_go_with_many(here: Path, options: list[str]) -> None:
    done = ask_lines(b"a dog\n", *options)
    assert done.exit_code == 2
    assert options[0] in done.stderr


def test_answers_come_before_the_next_question(here: Path) -> None:
    asking = subprocess.Popen(
        [sys.executable, "-m", "mmsearch", "query", "-", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert asking.stdin is not None
    assert asking.stdout is not None
    with asking:
        for text in ("a dog", "a cat"):
            asking.stdin.write(f"{text}\n".encode())
            asking.stdin.flush()
            assert json.loads(asking.stdout.readline())["query"] == text
        asking.stdin.close()
    assert asking.returncode == 0


# ---- the whole program


@pytest.mark.parametrize(
    ("line", "one"),
    [
        ("query x", "query"),
        ("--collection keys status", "status"),
        ("--collection=keys tag x", "tag"),
        ("qurey x", None),
        ("--help", None),
        ("--collection", None),
        ("", None),
    ],
)
def test_only_the_command_that_is_asked_for_is_built(line: str, one: str | None) -> None:
    from mmsearch.cli import app

    assert list(app.asked(line.split())) == ([one] if one else list(app.COMMANDS))


def test_help_of_a_command_is_the_same_whether_others_were_built_or_not() -> None:
    from mmsearch.cli import app

    for name in app.COMMANDS:
        alone = CliRunner().invoke(app.build([name]), [name, "--help"])
        among = CliRunner().invoke(app.app, [name, "--help"])
        assert (alone.exit_code, alone.output) == (0, among.output)
