"""Padding that a text spells out is masked where it stands, and the text goes on behind it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mmsearch.encoders.numpy_tower import NumpyTextTower
from mmsearch.encoders.open_clip_encoder import OpenClipEncoder, load_open_clip
from mmsearch.encoders.tensor_file import TensorFile
from mmsearch.encoders.text_padding import encode_tokens, token_lengths
from mmsearch.encoders.text_tower import bert_settings, export_text_tower, open_text_tower
from mmsearch.encoders.torchvision_shim import import_open_clip
from mmsearch.encoders.tower_export import describe
from mmsearch.types import TextEncoder

from .conftest import save_tiny_model

PADDED = ["[PAD] [PAD] [PAD] a red car", "[PAD]", "a [PAD] b", "a b [PAD]", "a [PAD]" * 40, "a b"]
# CLIP pads with 0, which is also the token of a "!" that other signs follow.
EXCLAIMED = ["wow !", "! ! red car", "!", "!~ a", "!/ !~ wow", "!~", "\xa1!\xbf x", "!~ a" * 40]
LONGER = "a very long caption with many words that goes on and on"


def whole_rows(encoder: OpenClipEncoder, texts: list[str]) -> np.ndarray:
    """(n, d) unit rows as open_clip itself computes them."""
    import torch

    with torch.inference_mode():
        rows: np.ndarray = encoder.model.encode_text(encoder.tokenizer(texts), normalize=True)
        return np.asarray(rows)


def in_any_company(encoder: TextEncoder, texts: list[str]) -> list[np.ndarray]:
    """(n, d) of each text alone, of all together, and of each beside a longer one."""
    alone = [encoder.encode_texts([text])[0] for text in texts]
    beside = [encoder.encode_texts([text, LONGER])[0] for text in texts]
    return [np.stack(alone), encoder.encode_texts(texts), np.stack(beside)]


def test_mini_reads_on_behind_padding_that_a_text_spells_out(mini: OpenClipEncoder) -> None:
    tower = open_text_tower(mini.fingerprint, "mini")
    assert tower is not None
    expected = whole_rows(mini, PADDED)
    for vectors in in_any_company(mini, PADDED) + in_any_company(tower, PADDED):
        np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_a_tower_is_written_with_the_number_of_its_padding(
    mini: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert describe(mini).settings["padding"] == 0
    monkeypatch.setattr(mini.model.text.config, "pad_token_id", 3)
    assert describe(mini).settings["padding"] == 3


@pytest.mark.parametrize("custom_text", [False, True], ids=["plain", "nested"])
def test_a_clip_text_with_the_padding_token_in_it_ends_at_its_end_token(
    tmp_path: Path, custom_text: bool
) -> None:
    folder = save_tiny_model(tmp_path / "m", custom_text=custom_text)
    encoder = load_open_clip(str(folder), "cpu", batch_size=2)
    assert 0 in encoder.tokenizer(["!~ a"])[0, :3]
    export_text_tower(encoder)
    tower = open_text_tower(encoder.fingerprint, encoder.name)
    assert tower is not None
    expected = whole_rows(encoder, EXCLAIMED)
    for vectors in in_any_company(encoder, EXCLAIMED):
        np.testing.assert_allclose(vectors, expected, atol=1e-5)
    for vectors in in_any_company(tower, EXCLAIMED):
        np.testing.assert_allclose(vectors, expected, atol=5e-4)  # float16 embeddings


@pytest.mark.parametrize(("kind", "padding"), [("bert", 0), ("bert", 3), ("xlm-roberta", 1)])
def test_the_towers_of_both_families_mask_padding_as_hugging_face_does(
    tmp_path: Path, kind: str, padding: int
) -> None:
    import torch
    from safetensors.torch import save_file

    open_clip = import_open_clip()
    from transformers import AutoConfig

    sizes = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
    config = AutoConfig.for_model(kind, num_attention_heads=2, pad_token_id=padding, **sizes)
    torch.manual_seed(0)
    text = open_clip.hf_model.HFTextEncoder(
        "", 16, config, pooler_type="mean_pooler", proj_type="linear"
    ).eval()
    for parameter in text.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # at birth every text has nearly the same vector
    model = SimpleNamespace(text=text, encode_text=text)
    p, end = padding, 39
    texts = [
        [5, p, 7, 8, p, p, 9, end],
        [5, end],
        [5, 7, 8, 9, end],
        [5, p, p, p, p, p, 7, end],
        [p, 5, p, end],
    ]
    tokens = torch.tensor([[*ids, *[p] * (12 - len(ids))] for ids in texts])

    with torch.inference_mode():
        expected = torch.nn.functional.normalize(text(tokens), dim=-1).numpy()
        lengths = token_lengths(model, tokens).tolist()
        short = encode_tokens(model, tokens[:, : max(lengths)])
    assert lengths == [len(ids) for ids in texts]
    np.testing.assert_allclose(
        torch.nn.functional.normalize(short, dim=-1).numpy(), expected, atol=1e-5
    )

    save_file(dict(text.state_dict()), tmp_path / "text.safetensors")
    settings = {**bert_settings(config.to_dict(), "f", 16, "linear"), "padding": padding}
    tokenizer: Any = SimpleNamespace(encode=lambda rows: [texts[int(row)] for row in rows])
    tower = NumpyTextTower(settings, TensorFile(tmp_path / "text.safetensors"), tokenizer)
    together = tower.encode_texts(list("01234"))
    alone = np.concatenate([tower.encode_texts([row]) for row in "01234"])
    np.testing.assert_allclose(together, expected, atol=1e-5)
    np.testing.assert_allclose(alone, expected, atol=1e-5)
