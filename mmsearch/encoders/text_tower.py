"""Find a text tower that answers without torch, and keep one for the next query.

A bundled model is read where it lies. For any other, `export_text_tower` once writes the text
half into the user's cache; until then, and for towers it does not know, the caller uses torch.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.encoders.fingerprint import folder_fingerprint
from mmsearch.encoders.model_source import CONFIG_NAME, adapter_folder, own_folder
from mmsearch.errors import ModelError

if TYPE_CHECKING:
    from mmsearch.encoders.adapted_encoder import AdaptedEncoder
    from mmsearch.encoders.numpy_tower import NumpyTextTower
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder
    from mmsearch.types import TextEncoder

# Position ids of the RoBERTa family start after the padding id (transformers modeling_roberta.py).
_ROBERTA = ("roberta", "xlm-roberta", "camembert")
BERT_TYPES = ("bert", *_ROBERTA)


def open_text_tower(fingerprint: str, name: str) -> TextEncoder | None:
    """The tower of the model `name`, if one with this very fingerprint is on disk.

    None means: load the encoder with torch, and call `export_text_tower` for the next time.
    """
    from mmsearch.encoders import numpy_tower

    if (adapted := adapter_folder(name)) is not None:
        return _open_adapted(adapted, fingerprint)
    folder = own_folder(name)
    try:
        if folder is None:
            tower = numpy_tower.read_tower(tower_folder(fingerprint))
            return tower if tower.fingerprint == fingerprint else None
        if folder_fingerprint(folder) != fingerprint:
            return None
        return _read_own(folder, fingerprint)
    except Exception:  # noqa: BLE001  missing or damaged (tokenizers raises bare Exception): torch will do
        return None


def export_text_tower(encoder: OpenClipEncoder | AdaptedEncoder) -> Path | None:
    """The folder of the tower of `encoder`, written now if need be; None if it cannot be had.

    An adapted encoder's tower is its base's: the adapter is read from its own folder.

    None is for architectures that `numpy_tower` does not know, for a tower whose vectors differ
    from torch's (cosine below 0.9999 on a probe), and for a cache that cannot be written.
    """
    from mmsearch.encoders.adapted_encoder import AdaptedEncoder

    if isinstance(encoder, AdaptedEncoder):
        return export_text_tower(encoder.base)
    folder = own_folder(encoder.name)
    if folder is not None:
        return folder if open_text_tower(encoder.fingerprint, encoder.name) else None
    target = tower_folder(encoder.fingerprint)
    if open_text_tower(encoder.fingerprint, encoder.name) is not None:
        return target
    from mmsearch.encoders.tower_export import write_tower

    return write_tower(encoder, target)


def tower_folder(fingerprint: str) -> Path:
    """Where the tower of this fingerprint is kept."""
    return cache_folder() / "towers" / fingerprint


def cache_folder() -> Path:
    """The user's cache of mmsearch; MMSEARCH_CACHE overrides it."""
    if cache := os.environ.get("MMSEARCH_CACHE"):
        return Path(cache).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("mmsearch"))


def bert_settings(
    config: dict[str, Any], fingerprint: str, dim: int, projection: str
) -> dict[str, Any]:
    """Settings of `numpy_tower.BertLayers` from a Hugging Face config.

    Raises ValueError for a variant that it does not compute.
    """
    kind, activation = config.get("model_type"), config.get("hidden_act", "gelu")
    position = config.get("position_embedding_type") or "absolute"
    if kind not in BERT_TYPES or activation != "gelu" or position != "absolute":
        raise ValueError(f"{kind} with {activation} and {position} positions: not supported")
    return {
        "layout": "bert",
        "fingerprint": fingerprint,
        "dim": dim,
        "prefix": "",
        "heads": config["num_attention_heads"],
        "layers": config["num_hidden_layers"],
        "eps": config.get("layer_norm_eps", 1e-12),
        "activation": activation,
        "first_position": config["pad_token_id"] + 1 if kind in _ROBERTA else 0,
        "projection": projection,
    }


def _open_adapted(folder: Path, fingerprint: str) -> TextEncoder | None:
    from mmsearch.encoders.adapted_encoder import AdaptedTextTower
    from mmsearch.encoders.adapter import read_adapter

    try:
        adapter = read_adapter(folder)
    except ModelError:  # loading it with torch gives the error to the user
        return None
    if adapter.fingerprint != fingerprint:
        return None
    base = open_text_tower(adapter.base_fingerprint, adapter.base)
    return None if base is None else AdaptedTextTower(base, adapter)


def _read_own(folder: Path, fingerprint: str) -> NumpyTextTower:
    from mmsearch.encoders.numpy_tower import NumpyTextTower
    from mmsearch.encoders.tensor_file import TensorFile
    from mmsearch.encoders.text_tokens import TextTokens

    model_cfg = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))["model_cfg"]
    text_cfg = model_cfg["text_cfg"]
    if text_cfg.get("hf_pooler_type", "mean_pooler") != "mean_pooler":
        raise ValueError("only mean pooling is supported")
    if text_cfg.get("tokenizer_mode") or text_cfg.get("tokenizer_kwargs"):
        raise ValueError("tokenizer options are not supported")
    weights = TensorFile(folder / "open_clip_model.safetensors")
    projection = "mlp" if "text.proj.2.weight" in weights else "none"
    if "text.proj.weight" in weights:
        projection = "linear"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = bert_settings(config, fingerprint, model_cfg["embed_dim"], projection)
    tokens = {"context_length": text_cfg.get("context_length", 77), "lower": False}
    return NumpyTextTower(
        {**settings, "prefix": "text."}, weights, TextTokens(folder / "tokenizer.json", tokens)
    )
