import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmsearch.encoders import hub
from mmsearch.encoders.open_clip_encoder import (
    OpenClipEncoder,
    load_encoder,
    load_open_clip,
    run_in_batches,
)
from mmsearch.encoders.text_padding import encode_tokens, token_lengths
from mmsearch.errors import HubUnreachableError, ModelError
from mmsearch.models.registry import is_on_disk, list_models

from .conftest import TEXT_CFG, save_tiny_model


@pytest.fixture(scope="module")
def encoder(tiny_folder: Path) -> OpenClipEncoder:
    return load_open_clip(str(tiny_folder), device="cpu", batch_size=4)


def random_pixels(n: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def test_images_and_texts_become_float32_unit_rows(encoder: OpenClipEncoder) -> None:
    images = encoder.encode_images(random_pixels(6, encoder.image_size))
    texts = encoder.encode_texts(["a red car", "", "a dog"])
    for vectors, n in ((images, 6), (texts, 3)):
        assert vectors.shape == (n, encoder.dim)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_nothing_in_gives_nothing_out(encoder: OpenClipEncoder) -> None:
    assert encoder.encode_texts([]).shape == (0, encoder.dim)
    assert encoder.encode_images(random_pixels(0, 64)).shape == (0, encoder.dim)


def test_pictures_encode_as_with_open_clip_own_transform(encoder: OpenClipEncoder) -> None:
    import torch

    from mmsearch.encoders.torchvision_shim import import_open_clip

    transform_module = import_open_clip().transform
    cfg = transform_module.PreprocessCfg(**encoder.model.visual.preprocess_cfg)
    image = Image.fromarray(random_pixels(1, 90)[0])
    with torch.inference_mode():
        batch = transform_module.image_transform_v2(cfg, is_train=False)(image)[None]
        expected = encoder.model.encode_image(batch, normalize=True).numpy()
    ours = encoder.encode_images(encoder.preprocess(image)[None])
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_mini_gives_each_text_the_same_vector_in_any_company(mini: OpenClipEncoder) -> None:
    texts = ["a", "a much longer text about a red car in the rain", "two dogs"]
    together = mini.encode_texts(texts)
    alone = np.concatenate([mini.encode_texts([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_batch_halves_until_it_fits_and_order_is_kept() -> None:
    import torch

    seen: list[int] = []
    notes: list[str] = []

    def forward(part: slice) -> list[int]:
        seen.append(part.stop - part.start)
        if part.stop - part.start > 3:
            raise torch.OutOfMemoryError("too much")
        return list(range(part.start, part.stop))

    parts, size = run_in_batches(10, 8, forward, lambda: None, notes.append)
    assert [item for part in parts for item in part] == list(range(10))
    assert size == 2
    assert seen[:3] == [8, 4, 2]
    assert len(notes) == 2


def test_encoder_remembers_the_batch_size_that_fitted(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    notes: list[str] = []
    encoder = load_open_clip(str(tiny_folder), "cpu", batch_size=8, on_note=notes.append)
    monkeypatch.setattr(encoder, "_lanes", None)  # they would share the batch between cores first
    pixels = random_pixels(9, 64)
    expected = encoder.encode_images(pixels)
    real = encoder.model.encode_image

    def small_memory(batch: torch.Tensor) -> torch.Tensor:
        if len(batch) > 4:
            raise torch.OutOfMemoryError("too much")
        return real(batch)  # type: ignore[no-any-return]

    monkeypatch.setattr(encoder.model, "encode_image", small_memory)
    np.testing.assert_allclose(encoder.encode_images(pixels), expected, atol=1e-5)
    assert encoder.batch_size == 4
    assert "batches of 4" in notes[0]


def test_one_item_that_does_not_fit_is_a_model_error() -> None:
    import torch

    def forward(part: slice) -> None:
        raise torch.OutOfMemoryError("too much")

    with pytest.raises(ModelError, match="even one"):
        run_in_batches(4, 2, forward, lambda: None, lambda _: None)


@pytest.mark.parametrize("device", ["warp", "meta"])
def test_a_device_that_cannot_be_used_is_a_model_error(tiny_folder: Path, device: str) -> None:
    with pytest.raises(ModelError, match=device):
        load_encoder(str(tiny_folder), device=device)


@pytest.mark.parametrize("name", ["fast", "hf-hub:org/repo", "ViT-B-32/laion2b_s34b_b79k"])
def test_an_unreachable_hub_is_told_at_once_with_the_offline_ways(name: str) -> None:
    with pytest.raises(HubUnreachableError, match=r"127.0.0.1:9.*mini.*--model.*cache") as caught:
        load_encoder(name, device="cpu")
    assert name in str(caught.value)


def test_probing_a_dead_hub_takes_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.monotonic()
    assert "127.0.0.1:9" in (hub.why_unreachable() or "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in (hub.why_unreachable() or "")
    assert time.monotonic() - start < hub.CONNECT_TIMEOUT_S + 1


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("minni", "'mini'"),
        ("ViT-B-32/laion2b_s34b_b79", "'ViT-B-32/laion2b_s34b_b79k'"),
        ("ViT-B-32", "ViT-B-32/openai"),
        ("/no/such/folder", "no such folder"),
        ("ViT-B-32=/no/such/file.pt", "no file"),
    ],
)
def test_an_unknown_name_is_answered_with_what_could_be_meant(name: str, hint: str) -> None:
    with pytest.raises(ModelError, match=hint):
        load_encoder(name, device="cpu")


def test_a_folder_without_weights_or_config_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"open_clip_config\.json"):
        load_encoder(str(tmp_path))
    folder = save_tiny_model(tmp_path / "model")
    (folder / "open_clip_model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_encoder(str(folder), device="cpu")


def test_fingerprint_follows_weights_and_preprocess_but_not_the_folder(
    tiny_folder: Path, encoder: OpenClipEncoder, tmp_path: Path
) -> None:
    same = save_tiny_model(tmp_path / "same")
    assert load_encoder(str(same), "cpu").fingerprint == encoder.fingerprint
    config = same / "open_clip_config.json"
    config.write_text(config.read_text().replace('"size": 64', '"resize_mode": "squash"'))
    assert load_encoder(str(same), "cpu").fingerprint != encoder.fingerprint
    other = save_tiny_model(tmp_path / "other", quick_gelu=True)
    assert load_encoder(str(other), "cpu").fingerprint != encoder.fingerprint


def test_list_shows_mini_on_disk_and_finds_cached_weights(tmp_path: Path) -> None:
    records = {record.name: record for record in list_models()}
    assert records["mini"].bundled
    assert records["mini"].on_disk
    assert {"best", "fast", "multilingual"} <= set(records)
    assert not records["fast"].on_disk
    snapshot = tmp_path / "hub" / "models--org--repo" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "open_clip_model.safetensors").touch()
    assert is_on_disk("org/repo")


CAPTIONS = ["", "a dog", "a red car in the rain " * 30, "it's 2 o'clock; they're in room 1984", "!"]
NOT_CAUSAL = {**TEXT_CFG, "no_causal_mask": True, "pool_type": "last"}


@pytest.mark.parametrize(
    ("model_cfg", "shorter"),
    [
        ({}, True),
        ({"custom_text": True}, True),
        ({"custom_text": True, "text_cfg": NOT_CAUSAL}, False),  # as SigLIP's
    ],
)
def test_texts_lose_their_padding_only_where_it_changes_nothing(
    tmp_path: Path, model_cfg: dict[str, Any], shorter: bool
) -> None:
    import torch

    encoder = load_open_clip(str(save_tiny_model(tmp_path / "m", **model_cfg)), "cpu", batch_size=2)
    tokens = encoder.tokenizer(CAPTIONS)
    with torch.inference_mode():
        whole = encoder.model.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_texts(CAPTIONS), whole, atol=1e-6)
    lengths = token_lengths(encoder.model, tokens).tolist()
    assert lengths == ([2, 4, 77, 17, 3] if shorter else [77] * 5)


def test_short_texts_train_all_that_whole_ones_do(tiny_folder: Path) -> None:
    import torch

    model = load_open_clip(str(tiny_folder), "cpu").model
    tokens = torch.tensor([[49406, 320, 49407, *[0] * 74]])

    def gradients(encode: Callable[[], Any]) -> dict[str, Any]:
        model.zero_grad()
        encode().square().sum().backward()
        return {
            name: weight.grad.clone()
            for name, weight in model.named_parameters()
            if weight.grad is not None
        }

    whole = gradients(lambda: model.encode_text(tokens, normalize=True)[:, :3])
    short = gradients(
        lambda: torch.nn.functional.normalize(encode_tokens(model, tokens[:, :3]))[:, :3]
    )
    assert short.keys() == whole.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(short[name], gradient, atol=1e-6, rtol=1e-4)
