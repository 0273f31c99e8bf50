"""Pictures in int8 and bf16: near fp32, chosen by trial, refused where it is not so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

import mmsearch
from mmsearch import onnx_runtime
from mmsearch.encoders import bf16_tower, choice, int8_tower, precision
from mmsearch.encoders.open_clip_encoder import OpenClipEncoder, load_open_clip
from mmsearch.encoders.precision import MIN_COSINE, Trial, compare
from mmsearch.errors import ModelError, UsageError

from ..support import ColourEncoder, paint

if TYPE_CHECKING:
    from mmsearch.types import Pixels, Vectors

SIZE = 64
SAMPLE_DATA = Path(__file__).parent.parent.parent / "sample_data"


def pictures(n: int) -> Pixels:
    """Smooth colours with some noise."""
    random = np.random.default_rng(5)
    base = random.integers(30, 220, (n, 4, 4, 3)).repeat(SIZE // 4, 1).repeat(SIZE // 4, 2)
    noise = random.integers(-20, 20, (n, SIZE, SIZE, 3))
    return np.asarray(np.clip(base + noise, 0, 255), np.uint8)


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def encoder(tiny_folder: Path, notes: list[str]) -> OpenClipEncoder:
    return load_open_clip(str(tiny_folder), device="cpu", batch_size=8, on_note=notes.append)


def cosines(a: Any, b: Any) -> Any:
    return np.einsum("nd,nd->n", a, b)


def test_int8_gives_unit_rows_near_those_of_fp32(
    encoder: OpenClipEncoder, notes: list[str]
) -> None:
    pixels = pictures(21)
    plain = encoder.encode_images(pixels)
    encoder.use_precision("int8")
    before = encoder.precision
    rows = encoder.encode_images(pixels)
    assert (before, encoder.precision) == (None, "int8")  # the first pictures were a trial
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert cosines(rows, plain).min() > MIN_COSINE
    assert np.abs(rows - plain).max() > 1e-6  # it is really another arithmetic
    assert "16 pictures" in notes[0]
    encoder.use_precision("fp32")
    np.testing.assert_allclose(encoder.encode_images(pixels), plain, atol=1e-6)


def test_the_tower_and_its_trial_are_made_once(
    tiny_folder: Path, encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder.use_precision("int8")
    rows = encoder.encode_images(pictures(16))

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(int8_tower, "_export", never)
    monkeypatch.setattr(choice, "compare", never)
    again = load_open_clip(str(tiny_folder), device="cpu", batch_size=8)
    again.use_precision("int8")
    assert again.precision == "int8"
    np.testing.assert_allclose(again.encode_images(pictures(16)), rows, atol=1e-6)


def test_a_trial_of_another_cpu_is_made_anew(
    encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder.use_precision("int8")
    encoder.encode_images(pictures(16))
    monkeypatch.setattr(int8_tower, "cpu_name", lambda: "another CPU")
    encoder.use_precision("int8")
    assert encoder.precision is None


def test_texts_stay_as_they_were(encoder: OpenClipEncoder) -> None:
    before = encoder.encode_texts(["a red car"])
    encoder.use_precision("int8")
    np.testing.assert_array_equal(encoder.encode_texts(["a red car"]), before)


class Turned:
    """A tower whose vectors lie at `cosine` from those of `encoder`, `gain` x as fast."""

    def __init__(self, encoder: OpenClipEncoder, cosine: float, gain: float) -> None:
        self.trial: Trial | None = None
        self._encode = encoder.encode_images
        self._cosine, self._gain = cosine, gain

    def keep(self, trial: Trial) -> None:
        # The gain of a stand-in is made up; everything else was measured.
        self.trial = trial

    def __call__(self, pixels: Pixels) -> Vectors:
        rows = self._encode(pixels)
        other = np.random.default_rng(0).normal(size=rows.shape)
        other -= cosines(other, rows)[:, None] * rows
        other /= np.linalg.norm(other, axis=1, keepdims=True)
        turned = self._cosine * rows + np.sqrt(1 - self._cosine**2) * other
        return np.asarray(turned, np.float32)


@pytest.fixture
def stand_in(
    tiny_folder: Path, encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> Callable[[float, float], None]:
    """Put a Turned in the place of int8, for trials that come out as a test needs them."""
    plain = load_open_clip(str(tiny_folder), device="cpu")

    def put(cosine: float, gain: float) -> None:
        tower = Turned(plain, cosine, gain)
        monkeypatch.setattr(choice, "_towers", lambda *_: {"int8": tower})

        def measured(name: Any, ours: Any, reference: Any, pixels: Pixels) -> Trial:
            found = compare(name, ours, reference, pixels)
            return Trial(name, gain, found.mean_cosine, found.least_cosine, found.pictures, "cpu")

        monkeypatch.setattr(choice, "compare", measured)

    return put


@pytest.mark.parametrize(
    ("cosine", "gain", "chosen"),
    [(0.9999, 2.0, "int8"), (0.9999, 1.1, "fp32"), (0.98, 4.0, "fp32")],
)
def test_auto_takes_what_is_both_faster_and_faithful(
    encoder: OpenClipEncoder,
    stand_in: Callable[[float, float], None],
    cosine: float,
    gain: float,
    chosen: str,
) -> None:
    plain = encoder.encode_images(pictures(16))
    stand_in(cosine, gain)
    encoder.use_precision("auto")
    rows = encoder.encode_images(pictures(16))
    assert encoder.precision == chosen
    expected = 1.0 if chosen == "fp32" else cosine
    np.testing.assert_allclose(cosines(rows, plain), expected, atol=1e-4)


def test_int8_that_is_asked_for_but_unfaithful_is_refused(
    encoder: OpenClipEncoder, stand_in: Callable[[float, float], None]
) -> None:
    stand_in(0.98, 4.0)
    encoder.use_precision("int8")
    with pytest.raises(ModelError, match=r"cosine.*0\.98.*--precision fp32"):
        encoder.encode_images(pictures(16))


def test_auto_decides_nothing_by_a_few_pictures(encoder: OpenClipEncoder) -> None:
    plain = encoder.encode_images(pictures(3))
    encoder.use_precision("auto")
    np.testing.assert_allclose(encoder.encode_images(pictures(3)), plain, atol=1e-6)
    assert encoder.precision is None


def test_auto_tries_a_convolutional_tower_in_bf16_alone(
    mini: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: False)
    mini.use_precision("auto")
    without = mini.precision
    monkeypatch.setattr(precision, "has_bf16", lambda: True)
    mini.use_precision("auto")
    assert (without, mini.precision) == ("fp32", None)
    mini.use_precision("fp32")


def test_mini_in_bf16_stays_near_fp32_for_its_first_layers_do(
    mini: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = sorted(SAMPLE_DATA.rglob("*.jpg"))[::10]
    pixels = np.stack([mini.preprocess(Image.open(path).convert("RGB")) for path in photographs])
    plain = mini.encode_images(pixels)
    near = bf16_tower.Bf16Tower(mini)
    assert cosines(near(pixels), plain).min() > 0.998
    monkeypatch.setattr(bf16_tower, "LAYERS_IN_FP32", 1)  # not the one that matters
    assert cosines(bf16_tower.Bf16Tower(mini)(pixels), plain).min() < MIN_COSINE


def test_bf16_is_refused_where_the_cpu_has_none_and_near_fp32_where_it_has(
    encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = encoder.encode_images(pictures(16))
    monkeypatch.setattr(precision, "has_bf16", lambda: False)
    with pytest.raises(ModelError, match="AMX"):
        encoder.use_precision("bf16")
    monkeypatch.setattr(precision, "has_bf16", lambda: True)
    encoder.use_precision("bf16")  # torch computes it everywhere, slowly
    rows = encoder.encode_images(pictures(16))
    assert encoder.precision == "bf16"
    assert cosines(rows, plain).min() > MIN_COSINE
    assert np.abs(rows - plain).max() > 1e-6


def test_a_tower_that_takes_no_bf16_stays_in_fp32(
    encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:

    class Stubborn(torch.nn.Linear):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return super().forward(features.float())

    last = Stubborn(encoder.dim, encoder.dim)
    monkeypatch.setattr(encoder, "visual", torch.nn.Sequential(encoder.visual, last))
    monkeypatch.setattr(precision, "has_bf16", lambda: True)
    with pytest.raises(ModelError, match=r"in bf16 .*--precision fp32"):
        encoder.use_precision("bf16")
    monkeypatch.setattr(onnx_runtime, "find_spec", lambda _: None)
    encoder.use_precision("auto")
    assert encoder.precision == "fp32"


def test_missing_packages_are_named(
    encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_runtime, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match="pip install onnx onnxruntime"):
        encoder.use_precision("int8")
    encoder.use_precision("auto")
    assert encoder.precision == "fp32" or precision.has_bf16()


def test_cpu_flags_are_read_as_linux_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("model name\t: A CPU\nflags\t\t: sse avx512_vnni amx_bf16\n")
    monkeypatch.setattr(precision, "CPUINFO", file)
    for cached in (precision.cpu_flags, precision.cpu_name):
        cached.cache_clear()
        monkeypatch.setattr(precision, cached.__name__, cached.__wrapped__)
    assert precision.cpu_name() == "A CPU"
    assert precision.has_bf16()
    assert precision.has_int8_products()


# ---- in a collection


def folder_of(root: Path, n: int, shade: int = 0) -> Path:
    for i in range(n):
        paint(root / f"{shade}-{i}.png", (10 * i % 255, 40 * i % 255, shade), 64)
    return root


def test_a_collection_goes_on_in_the_precision_that_was_chosen(
    tmp_path: Path, tiny_folder: Path
) -> None:
    photos = folder_of(tmp_path / "photos", 12)
    with mmsearch.open(tmp_path / "c", create=True) as collection:
        report = collection.index([photos], model=str(tiny_folder), precision="int8")
        assert any("int8 is" in note for note in report.notes)
    folder_of(photos, 3, shade=200)
    with mmsearch.open(tmp_path / "c") as collection:
        again = collection.index([photos])
        assert again.encoded_images == 3
        info = collection._catalog.encoder()
        assert info is not None
        assert collection._catalog.spaces.precision(info.fingerprint) == "int8"
        hits = collection.search(photos / "200-1.png", k=1)
        assert hits[0].key.endswith("200-1.png")
        assert hits[0].score == pytest.approx(1.0, abs=2e-3)
        noted = collection.index([folder_of(photos, 2, shade=90)], precision="fp32")
        assert any("so far are encoded in int8" in note for note in noted.notes)


def test_reindex_moves_to_another_precision_of_another_model(
    tmp_path: Path, tiny_folder: Path
) -> None:
    photos = folder_of(tmp_path / "photos", 10)
    with mmsearch.open(tmp_path / "c", create=True, encoder=ColourEncoder()) as collection:
        collection.index([photos])
    with mmsearch.open(tmp_path / "c") as collection:
        report = collection.reindex(str(tiny_folder), precision="int8")
        assert report.switched
        info = collection._catalog.encoder()
        assert info is not None
        assert collection._catalog.spaces.precision(info.fingerprint) == "int8"


def test_an_encoder_without_a_choice_says_so(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", 2)
    with (
        mmsearch.open(tmp_path / "c", create=True, encoder=ColourEncoder()) as collection,
        pytest.raises(UsageError, match="colours has no choice of precision"),
    ):
        collection.index([photos], precision="int8")


def test_a_damaged_trial_is_made_anew(encoder: OpenClipEncoder, tmp_path: Path) -> None:
    encoder.use_precision("int8")
    encoder.encode_images(pictures(16))
    (file,) = (tmp_path / "cache").rglob("trial.json")
    assert json.loads(file.read_text())["pictures"] == 16
    file.write_text("{")
    encoder.use_precision("int8")
    assert encoder.precision is None


@pytest.mark.parametrize("damage", [b"junk" * 50, b""])
def test_a_damaged_int8_tower_is_exported_again(
    encoder: OpenClipEncoder, tmp_path: Path, damage: bytes
) -> None:
    encoder.use_precision("int8")
    rows = encoder.encode_images(pictures(16))
    (file,) = (tmp_path / "cache").rglob("image.onnx")
    file.write_bytes(damage)
    encoder.use_precision("int8")
    np.testing.assert_allclose(encoder.encode_images(pictures(16)), rows, atol=1e-6)


def test_an_int8_tower_that_cannot_be_loaded_is_refused_after_one_more_export(
    encoder: OpenClipEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = []

    def junk(_: object, folder: Path) -> None:
        exports.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "image.onnx").write_bytes(b"junk" * 50)

    monkeypatch.setattr(int8_tower, "_export", junk)
    for _ in range(2):
        with pytest.raises(ModelError, match=r"cannot be had in int8 .*--precision fp32"):
            encoder.use_precision("int8")
    assert len(exports) == 2
