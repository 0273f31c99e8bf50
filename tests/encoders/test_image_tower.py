"""Queries by picture without torch: a tower that is kept is torch's own, or is not used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mmsearch
from mmsearch.encoders import image_export, image_tower, precision
from mmsearch.encoders.image_export import GRAPH, SETTINGS
from mmsearch.encoders.image_tower import (
    image_folder,
    keep_if_small,
    keep_image_tower,
    open_image_tower,
)
from mmsearch.encoders.open_clip_encoder import OpenClipEncoder, load_open_clip
from mmsearch.errors import ModelError
from tests.support import paint

from .conftest import VISION_CFG, save_tiny_model

OBLONG = {"preprocess_cfg": {"size": [64, 64], "resize_mode": "longest", "fill_color": 40}}


def silent(_: str) -> None:
    """Hears nothing."""


def noise(width: int, height: int, seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def tiny(tiny_folder: Path) -> OpenClipEncoder:
    return load_open_clip(str(tiny_folder), device="cpu")


@pytest.mark.parametrize(
    "vision",
    [VISION_CFG, {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64, "head_width": 32}],
    ids=["transformer", "convolutions"],
)
def test_a_kept_tower_answers_like_torch(tmp_path: Path, vision: dict[str, Any]) -> None:
    encoder = load_open_clip(str(save_tiny_model(tmp_path / "m", vision_cfg=vision)), device="cpu")
    assert open_image_tower(encoder.fingerprint) is None
    assert keep_image_tower(encoder, silent)
    tower = open_image_tower(encoder.fingerprint)
    assert tower is not None
    assert (tower.fingerprint, tower.image_size) == (encoder.fingerprint, encoder.image_size)
    pictures = [noise(90, 64, 1), noise(64, 200, 2), noise(30, 20, 3).convert("L")]
    pixels = np.stack([tower.preprocess(one.convert("RGB")) for one in pictures])
    np.testing.assert_array_equal(
        pixels, np.stack([encoder.preprocess(one.convert("RGB")) for one in pictures])
    )
    ours, theirs = tower.encode_images(pixels), encoder.encode_images(pixels)
    assert ours.dtype == np.float32
    assert np.einsum("nd,nd->n", ours, theirs).min() >= 0.99999
    np.testing.assert_allclose(ours[:1], tower.encode_images(pixels[:1]), atol=1e-5)


def test_a_picture_is_prepared_as_the_model_says(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "m")
    config = json.loads((folder / "open_clip_config.json").read_text())
    (folder / "open_clip_config.json").write_text(json.dumps({**config, **OBLONG}))
    encoder = load_open_clip(str(folder), device="cpu")
    assert keep_image_tower(encoder, silent)
    tower = open_image_tower(encoder.fingerprint)
    assert tower is not None
    picture = noise(200, 40, 5)
    np.testing.assert_array_equal(tower.preprocess(picture), encoder.preprocess(picture))


def test_a_tower_that_disagrees_is_not_kept_and_not_tried_again(
    tiny: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(image_tower, "MIN_COSINE", 1.1)
        assert not keep_image_tower(tiny, silent)
    assert open_image_tower(tiny.fingerprint) is None
    tried: list[Path] = []
    monkeypatch.setattr(image_export, "to_onnx", lambda _, path, pooled: tried.append(path))
    assert not keep_image_tower(tiny, silent)
    assert not tried
    # Another release may know the layer.
    monkeypatch.setattr("importlib.metadata.version", lambda _: "1000.0")
    assert not keep_image_tower(tiny, silent)
    assert tried


def test_a_large_tower_is_not_kept_and_only_a_small_one_unasked(
    tiny: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_tower, "SMALL_BYTES", 10_000)
    keep_if_small(tiny)
    assert open_image_tower(tiny.fingerprint) is None
    monkeypatch.setattr(image_tower, "MOST_BYTES", 10_000)
    assert not keep_image_tower(tiny, silent)
    assert not image_folder(tiny.fingerprint).exists()


@pytest.mark.parametrize(
    "shortage",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("[enforce fail at inline_container.cc] file write: No space left on device"),
        MemoryError(),
        OSError("disk quota"),
    ],
)
def test_what_was_short_once_is_no_reason_not_to_try_again(
    tiny: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch, shortage: Exception
) -> None:
    def fails(_: OpenClipEncoder, __: Path, *, pooled: bool) -> None:
        raise shortage

    with monkeypatch.context() as patch:
        patch.setattr(image_export, "to_onnx", fails)
        assert not keep_image_tower(tiny, silent)
    assert keep_image_tower(tiny, silent)


@pytest.mark.parametrize("name", ["DISK", "MEMORY"])
def test_without_room_on_disk_or_in_memory_it_is_not_begun(
    tiny: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "MEMORY" and not Path("/proc/meminfo").exists():
        pytest.skip("only Linux says how much memory there is")
    monkeypatch.setattr(image_tower, name, 1e12)
    told: list[str] = []
    assert not keep_image_tower(tiny, told.append)
    assert not told
    assert not image_folder(tiny.fingerprint).exists()


def test_without_a_cache_nothing_is_kept(
    tiny: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(_: str) -> Path:
        raise RuntimeError("Could not determine home directory.")  # as pathlib says it

    monkeypatch.setattr(image_tower, "image_folder", nowhere)
    keep_if_small(tiny)
    assert not keep_image_tower(tiny, silent)
    assert open_image_tower(tiny.fingerprint) is None


def test_in_a_cache_that_takes_nothing_it_is_not_begun(
    tiny: OpenClipEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MMSEARCH_CACHE", str(tmp_path / "file" / "x"))
    told: list[str] = []
    assert not keep_image_tower(tiny, told.append)
    assert not told


def test_what_is_kept_is_not_written_again(
    tiny: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keep_image_tower(tiny, silent)
    monkeypatch.delattr(image_export, "to_onnx")
    told: list[str] = []
    assert keep_image_tower(tiny, told.append)
    assert not told


def test_a_graph_that_fails_is_an_error_of_ours(tiny: OpenClipEncoder) -> None:
    assert keep_image_tower(tiny, silent)
    tower = open_image_tower(tiny.fingerprint)
    assert tower is not None
    with pytest.raises(ModelError, match=r"cannot be computed .*delete that folder"):
        tower.encode_images(np.zeros((1, 3, 3, 3), np.uint8))


def test_a_damaged_graph_prints_nothing(
    tiny: OpenClipEncoder, capfd: pytest.CaptureFixture[str]
) -> None:
    assert keep_image_tower(tiny, silent)
    graph = image_folder(tiny.fingerprint) / GRAPH
    data = graph.read_bytes()
    for at in range(0, len(data), len(data) // 60):
        graph.write_bytes(data[:at] + b"\xd2" + data[at + 1 :])
        open_image_tower(tiny.fingerprint)
    assert capfd.readouterr() == ("", "")


def test_what_a_process_left_that_was_ended_is_deleted_later(tiny: OpenClipEncoder) -> None:
    folder = image_folder(tiny.fingerprint).parent
    old, new = folder / ".writing-old", folder / ".writing-new"
    for one in (old, new):
        one.mkdir(parents=True)
        (one / "plain.onnx").write_bytes(b"half")
    os.utime(old, (0, 0))
    assert keep_image_tower(tiny, silent)
    assert not old.exists()
    assert new.exists()  # which somebody may be writing


def test_other_weights_of_the_same_size_are_an_error_that_names_them(tiny: OpenClipEncoder) -> None:
    assert keep_image_tower(tiny, silent)
    weights = image_folder(tiny.fingerprint) / f"{GRAPH}.weights"
    weights.write_bytes(bytes(weights.stat().st_size))
    tower = open_image_tower(tiny.fingerprint)
    assert tower is not None
    with pytest.raises(ModelError, match=rf"{tiny.fingerprint} is damaged: delete"):
        tower.encode_images(tower.preprocess(noise(64, 64, 1))[None])


def test_settings_that_do_not_fit_the_graph_are_not_opened(tiny: OpenClipEncoder) -> None:
    assert keep_image_tower(tiny, silent)
    file = image_folder(tiny.fingerprint) / SETTINGS
    settings = json.loads(file.read_text())
    settings["preprocess"]["size"] = [32, 32]
    file.write_text(json.dumps(settings))
    assert open_image_tower(tiny.fingerprint) is None


@pytest.mark.parametrize("name", [SETTINGS, GRAPH, f"{GRAPH}.weights"])
@pytest.mark.parametrize("size", [0, 100])
def test_a_damaged_tower_is_not_opened_and_may_be_written_again(
    tiny: OpenClipEncoder, name: str, size: int
) -> None:
    assert keep_image_tower(tiny, silent)
    file = image_folder(tiny.fingerprint) / name
    file.write_bytes(file.read_bytes()[:size])
    assert open_image_tower(tiny.fingerprint) is None
    keep_if_small(tiny)
    assert open_image_tower(tiny.fingerprint) is not None


@pytest.fixture
def album(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pictures indexed by a model that is not a small one."""
    monkeypatch.setattr(image_tower, "SMALL_BYTES", 0)
    for colour in ("red", "green", "blue"):
        paint(tmp_path / "album" / f"{colour}.png", colour)
    with mmsearch.open(tmp_path / "album", create=True) as collection:
        collection.index([tmp_path / "album"], model=str(tiny_folder), device="cpu")
    return tmp_path / "album"


def run(album: Path, *arguments: str) -> tuple[str, bool]:
    """What the program prints in a new process, and whether it has loaded torch."""
    code = f"""
import os
import sys
from mmsearch import __main__
os._exit = sys.exit
sys.argv = ["mmsearch", "--collection", {str(album)!r}, *{list(arguments)!r}]
try:
    __main__.main()
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr.split()[-1] == "True"


def test_the_second_picture_is_answered_without_torch(album: Path) -> None:
    asked = ("query", "--image", str(album / "green.png"), "--to", "image", "--json")
    first, torch_first = run(album, *asked)
    second, torch_second = run(album, *asked)
    assert (torch_first, torch_second) == (True, False)
    hits, again = ([json.loads(line) for line in text.splitlines()] for text in (first, second))
    assert [hit["key"] for hit in again] == [hit["key"] for hit in hits]
    assert again[0]["key"] == "green.png"
    for one, other in zip(hits, again, strict=True):
        assert other["score"] == pytest.approx(one["score"], abs=1e-5)


def test_an_index_run_keeps_the_tower_of_a_small_model(album: Path, tiny: OpenClipEncoder) -> None:
    paint(album / "white.png", "white")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_tower, "SMALL_BYTES", 10**9)
        with mmsearch.open(album) as collection:
            collection.index([album])
    assert open_image_tower(tiny.fingerprint) is not None
    printed, loaded_torch = run(album, "query", "--image", str(album / "white.png"), "--paths")
    assert printed.splitlines()[0].endswith("white.png")
    assert not loaded_torch


def test_pictures_encoded_in_int8_find_themselves_without_torch(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "MIN_COSINE", 0.0)  # random weights
    for seed in range(3):
        noise(80, 64, seed).save(tmp_path / f"{seed}.png")
    with mmsearch.open(tmp_path, create=True) as collection:
        collection.index([tmp_path], model=str(tiny_folder), device="cpu", precision="int8")
    printed, loaded_torch = run(tmp_path, "query", "--image", str(tmp_path / "1.png"), "--json")
    hit = json.loads(printed.splitlines()[0])
    assert hit["key"] == "1.png"
    assert hit["score"] == pytest.approx(1, abs=1e-3)  # as float16 keeps it
    assert not loaded_torch


def test_pictures_encoded_in_int8_are_not_searched_by_a_tower_in_fp32(
    album: Path, tiny: OpenClipEncoder
) -> None:
    with mmsearch.open(album) as collection:
        collection._catalog.spaces.set_precision(tiny.fingerprint, "int8")
        collection.search(album / "red.png")
        assert not collection.keep_image_tower()
    assert open_image_tower(tiny.fingerprint) is None
    assert open_image_tower(tiny.fingerprint, "int8") is not None


@pytest.mark.parametrize("lost", ["*", f"*/{SETTINGS}", f"*/{GRAPH}"])
def test_a_lost_tower_in_int8_is_made_again_by_a_query_and_not_by_each(
    album: Path, tiny: OpenClipEncoder, tmp_path: Path, lost: str
) -> None:
    with mmsearch.open(album) as collection:
        collection._catalog.spaces.set_precision(tiny.fingerprint, "int8")
        collection.search(album / "red.png")
    for path in (tmp_path / "cache" / "int8").glob(lost):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "MIN_COSINE", 1.1)  # a query's picture is no trial
        with mmsearch.open(album) as collection:
            collection.search(album / "red.png")
    assert open_image_tower(tiny.fingerprint, "int8") is not None


def test_pictures_encoded_in_bf16_are_searched_in_fp32(album: Path, tiny: OpenClipEncoder) -> None:
    with mmsearch.open(album) as collection:
        collection._catalog.spaces.set_precision(tiny.fingerprint, "bf16")
        collection.search(album / "red.png")
        assert collection.keep_image_tower()
    printed, loaded_torch = run(album, "query", "--image", str(album / "red.png"), "--json")
    assert json.loads(printed.splitlines()[0])["key"] == "red.png"
    assert not loaded_torch
