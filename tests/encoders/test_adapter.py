from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import mmsearch
from mmsearch.encoders.adapted_encoder import AdaptedEncoder
from mmsearch.encoders.adapter import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    ImageInput,
    ResidualMap,
    adapter_config,
    read_adapter,
    tensors_of,
)
from mmsearch.encoders.fingerprint import folder_fingerprint
from mmsearch.encoders.image_tower import open_image_tower
from mmsearch.encoders.kept_tower import tower_folder
from mmsearch.encoders.open_clip_encoder import OpenClipEncoder, load_encoder, load_open_clip
from mmsearch.encoders.text_tower import export_text_tower, open_text_tower
from mmsearch.errors import ModelError
from mmsearch.models.registry import BUNDLED_FOLDER

from .conftest import save_tiny_model

TEXTS = ["a red car", "two dogs", ""]


def random_map(inputs: int, dim: int, size: float = 0.3) -> ResidualMap:
    random = np.random.default_rng(inputs)
    parts = [random.normal(size=shape) for shape in ((5, inputs), (5,), (dim, 5))]
    down, bias, up = (part.astype(np.float32) for part in parts)
    return ResidualMap(down, bias, np.float32(size) * up)


def write_adapter(
    folder: Path,
    base: str,
    fingerprint: str,
    dim: int,
    image_input: ImageInput = "embedding",
    inputs: int | None = None,
    size: float = 0.3,
) -> Path:
    folder.mkdir(parents=True)
    image, text = random_map(inputs or dim, dim, size), random_map(dim, dim, size)
    save_file(tensors_of(image, text), folder / ADAPTER_WEIGHTS)
    config = adapter_config(base, fingerprint, dim, image_input, {})
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def base(tiny_folder: Path) -> OpenClipEncoder:
    return load_open_clip(str(tiny_folder), device="cpu", batch_size=4)


def pixels(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


def test_an_adapter_of_zeros_is_its_base_under_another_fingerprint(
    base: OpenClipEncoder, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "a", base.name, base.fingerprint, base.dim, size=0)
    adapted = load_encoder(str(folder), device="cpu")
    np.testing.assert_allclose(
        adapted.encode_texts(TEXTS), base.encode_texts(TEXTS), rtol=0, atol=1e-6
    )
    assert adapted.fingerprint != base.fingerprint


def test_stored_vectors_become_the_adapted_ones_without_encoding(
    base: OpenClipEncoder, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "a", base.name, base.fingerprint, base.dim)
    adapted = load_encoder(str(folder), device="cpu", batch_size=4)
    assert isinstance(adapted, AdaptedEncoder)
    images = adapted.encode_images(pixels(6))
    assert images.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(
        adapted.adapt_images(base.encode_images(pixels(6))), images, atol=1e-5
    )
    np.testing.assert_allclose(
        adapted.adapt_texts(base.encode_texts(TEXTS)), adapted.encode_texts(TEXTS), atol=1e-5
    )
    assert np.abs(images - base.encode_images(pixels(6))).max() > 0.05


def test_pooled_features_project_to_the_embedding(base: OpenClipEncoder) -> None:
    rows, pooled = base.encode_pooled_images(pixels(5))
    np.testing.assert_allclose(rows, base.encode_images(pixels(5)), atol=1e-5)
    assert pooled.shape == (5, 64)
    projected = pooled @ base.model.visual.proj.detach().numpy()
    projected /= np.linalg.norm(projected, axis=1, keepdims=True)
    np.testing.assert_allclose(projected, rows, atol=1e-5)
    assert base.model.visual.proj is not None


def test_mini_has_pooled_features_below_its_projection(mini: OpenClipEncoder) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    rows, pooled = mini.encode_pooled_images(picture)
    np.testing.assert_allclose(rows, mini.encode_images(picture), atol=1e-5)
    assert pooled.shape == (1, 1280)


def test_an_adapter_of_pooled_features_needs_the_pictures(
    base: OpenClipEncoder, tmp_path: Path
) -> None:
    folder = write_adapter(
        tmp_path / "a", base.name, base.fingerprint, base.dim, "pooled", inputs=64
    )
    adapted = load_encoder(str(folder), device="cpu")
    assert isinstance(adapted, AdaptedEncoder)
    rows, pooled = base.encode_pooled_images(pixels(3))
    np.testing.assert_allclose(
        adapted.encode_images(pixels(3)), adapted.adapter.image(rows, pooled), atol=1e-5
    )
    with pytest.raises(ModelError, match="--features embedding"):
        adapted.adapt_images(rows)


def test_another_base_under_the_same_name_is_refused(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "base")
    folder = write_adapter(tmp_path / "a", str(model), "0" * 16, 48)
    with pytest.raises(ModelError, match=f"{'0' * 16}.*train again"):
        load_encoder(str(folder), device="cpu")


def test_the_fingerprint_follows_the_weights_and_the_base(tmp_path: Path) -> None:
    one = read_adapter(write_adapter(tmp_path / "a", "mini", "1" * 16, 48))
    same = read_adapter(write_adapter(tmp_path / "b", "another name", "1" * 16, 48))
    base = read_adapter(write_adapter(tmp_path / "c", "mini", "2" * 16, 48))
    weights = read_adapter(write_adapter(tmp_path / "d", "mini", "1" * 16, 48, size=0.2))
    assert one.fingerprint == same.fingerprint
    assert len({one.fingerprint, base.fingerprint, weights.fingerprint}) == 3


def test_a_damaged_or_newer_adapter_is_a_model_error(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", "mini", "1" * 16, 48)
    config = folder / ADAPTER_CONFIG
    config.write_text(config.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ModelError, match="format 2"):
        read_adapter(folder)
    config.write_text(config.read_text().replace('"format": 2', '"format": 1'))
    (folder / ADAPTER_WEIGHTS).write_bytes(b"\xff" * 20)
    with pytest.raises(ModelError, match="copy the folder again"):
        read_adapter(folder)
    assert open_text_tower("1" * 16, str(folder)) is None


def test_an_adapter_of_an_adapter_is_refused_by_name(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", "mini", "1" * 16, 48)
    with pytest.raises(ModelError, match="name its base"):
        load_open_clip(str(folder), device="cpu")


def test_the_text_tower_of_an_adapted_clip_answers_like_torch(
    base: OpenClipEncoder, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "a", base.name, base.fingerprint, base.dim)
    adapted = load_encoder(str(folder), device="cpu")
    assert open_text_tower(adapted.fingerprint, str(folder)) is None
    assert export_text_tower(adapted) is not None
    tower = open_text_tower(adapted.fingerprint, str(folder))
    assert tower is not None
    assert tower.fingerprint == adapted.fingerprint
    both = np.einsum("nd,nd->n", tower.encode_texts(TEXTS), adapted.encode_texts(TEXTS))
    assert both.min() >= 0.9999
    assert open_text_tower("0" * 16, str(folder)) is None


@pytest.mark.parametrize("image_input", ["embedding", "pooled"])
def test_the_image_tower_of_an_adapted_clip_answers_like_torch(
    base: OpenClipEncoder, tmp_path: Path, image_input: ImageInput
) -> None:
    width = base.encode_pooled_images(pixels(1))[1].shape[1]
    inputs = width if image_input == "pooled" else base.dim
    folder = write_adapter(
        tmp_path / "a", base.name, base.fingerprint, base.dim, image_input, inputs
    )
    for number in range(3):
        Image.fromarray(pixels(3)[number]).save(tmp_path / f"{number}.png")
    with mmsearch.open(tmp_path / "c", create=True) as collection:
        collection.index([tmp_path], model=str(folder), device="cpu")
    adapted = load_encoder(str(folder), device="cpu")
    tower = open_image_tower(adapted.fingerprint)
    assert tower is not None
    assert tower.fingerprint == adapted.fingerprint != base.fingerprint
    picture = Image.fromarray(pixels(3)[1])
    prepared = np.stack([tower.preprocess(picture)] * 2)
    np.testing.assert_array_equal(prepared[0], adapted.preprocess(picture))
    np.testing.assert_allclose(
        tower.encode_images(prepared), adapted.encode_images(prepared), atol=1e-5
    )
    with mmsearch.open(tmp_path / "c") as collection:
        assert collection.search(tmp_path / "1.png", to="image")[0].path == "1.png"
    shutil.rmtree(tower_folder(adapted.fingerprint))
    with mmsearch.open(tmp_path / "c") as collection:
        collection.search(tmp_path / "1.png", to="image")
        assert collection.keep_image_tower()
    assert open_image_tower(adapted.fingerprint) is not None


def test_a_text_query_of_an_adapted_mini_loads_no_torch(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", "mini", folder_fingerprint(BUNDLED_FOLDER), 384)
    code = f"""
import sys
from mmsearch.encoders.adapter import read_adapter
from mmsearch.encoders.text_tower import open_text_tower
folder = {str(folder)!r}
from pathlib import Path
tower = open_text_tower(read_adapter(Path(folder)).fingerprint, folder)
print(tower.encode_texts(["a red car"]).shape)
heavy = {{"torch", "transformers", "open_clip", "torchvision", "timm", "huggingface_hub"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(1, 384)\n"
