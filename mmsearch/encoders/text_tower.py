"""Find a text tower that answers without torch, and keep one for the next query.

A bundled model is read where it lies. For any other, `export_text_tower` once writes the text
half into the user's cache; until then, and for towers it does not know, the caller uses torch.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.encoders.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_adapter
from mmsearch.encoders.fingerprint import FOLDER_FILES, folder_fingerprint
from mmsearch.encoders.kept_tower import (
    TOKENIZER,
    cache_folder,
    keep_adapter,
    read_kept,
    staged,
    stamps,
    tower_folder,
    write_settings,
)
from mmsearch.encoders.model_source import CONFIG_NAME, adapter_folder, own_folder
from mmsearch.errors import ModelError

if TYPE_CHECKING:
    from mmsearch.encoders.adapted_encoder import AdaptedEncoder
    from mmsearch.encoders.numpy_tower import NumpyTextTower
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder
    from mmsearch.encoders.tensor_file import TensorFile
    from mmsearch.types import TextEncoder

__all__ = [
    "bert_settings",
    "cache_folder",
    "export_text_tower",
    "keep_text_tower",
    "open_own_tower",
    "open_text_tower",
    "tower_folder",
]

FOLDER_WEIGHTS = "open_clip_model.safetensors"
# Position ids of the RoBERTa family start after the padding id (transformers modeling_roberta.py).
_ROBERTA = ("roberta", "xlm-roberta", "camembert")
BERT_TYPES = ("bert", *_ROBERTA)


def open_text_tower(fingerprint: str, name: str) -> TextEncoder | None:
    """The tower of the model `name`, if one with this very fingerprint is on disk.

    None means: load the encoder with torch, and call `export_text_tower` for the next time.
    """
    with suppress(Exception):  # missing or damaged (tokenizers raises bare Exception)
        return read_kept(fingerprint)
    if (adapted := adapter_folder(name)) is not None:
        return _open_adapted(adapted, fingerprint)
    tower = open_own_tower(name)
    return tower if tower is not None and tower.fingerprint == fingerprint else None


def open_own_tower(name: str) -> TextEncoder | None:
    """The tower of a model whose own folder tells its fingerprint (model_source.own_folder)."""
    folder = own_folder(name)
    try:
        return None if folder is None else _read_own(folder, folder_fingerprint(folder))
    except Exception:  # noqa: BLE001  damaged, see open_text_tower: torch will say what is wrong
        return None


def export_text_tower(encoder: OpenClipEncoder | AdaptedEncoder) -> Path | None:
    """The folder of the tower of `encoder`, written now if need be; None if it cannot be had.

    None is for architectures that `numpy_tower` does not know, for a tower whose vectors differ
    from torch's (cosine below 0.9999 on a probe), and for a cache that cannot be written.
    """
    from mmsearch.encoders.adapted_encoder import AdaptedEncoder

    target = tower_folder(encoder.fingerprint)
    if _is_kept(encoder.fingerprint):
        return target
    if isinstance(encoder, AdaptedEncoder):
        base = export_text_tower(encoder.base)
        keep_text_tower(encoder.fingerprint, encoder.name)
        return base if _is_kept(encoder.fingerprint) else None
    folder = own_folder(encoder.name)
    if folder is not None:
        keep_text_tower(encoder.fingerprint, encoder.name)
        return folder if open_text_tower(encoder.fingerprint, encoder.name) else None
    from mmsearch.encoders.tower_export import write_tower

    return write_tower(encoder, target)


def keep_text_tower(fingerprint: str, name: str) -> None:
    """See to it that the next process finds the tower of the model `name` at once.

    For an adapter, and a model whose own folder serves as it is: the tower of any other is written
    where the model is at hand. What cannot be kept (a read-only cache, another model under this
    name by now) is found the longer way, or not at all, by `open_text_tower`.
    """
    if _is_kept(fingerprint):
        return
    # Nothing depends on it, and what a damaged model raises is anything.
    with suppress(Exception):
        if (adapted := adapter_folder(name)) is not None:
            adapter = read_adapter(adapted)
            if adapter.fingerprint == fingerprint:
                keep_text_tower(adapter.base_fingerprint, adapter.base)
                keep_adapter(adapted, (ADAPTER_CONFIG, ADAPTER_WEIGHTS), fingerprint)
            return
        folder = own_folder(name)
        if folder is not None and folder_fingerprint(folder) == fingerprint:
            _keep_own(folder, fingerprint)


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
        "padding": config.get("pad_token_id") or 0,
        "first_position": config["pad_token_id"] + 1 if kind in _ROBERTA else 0,
        "projection": projection,
    }


def _is_kept(fingerprint: str) -> bool:
    with suppress(Exception):  # see open_text_tower
        read_kept(fingerprint)
        return True
    return False


def _open_adapted(folder: Path, fingerprint: str) -> TextEncoder | None:
    from mmsearch.encoders.adapted_encoder import AdaptedTextTower

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

    weights = TensorFile(folder / FOLDER_WEIGHTS)
    settings = _own_settings(folder, fingerprint, weights)
    return NumpyTextTower(settings, weights, TextTokens(folder / TOKENIZER, settings["tokens"]))


def _keep_own(folder: Path, fingerprint: str) -> None:
    from mmsearch.encoders.tensor_file import TensorFile

    settings = _own_settings(folder, fingerprint, TensorFile(folder / FOLDER_WEIGHTS))
    settings["source"] = {
        "folder": str(folder),
        "weights": FOLDER_WEIGHTS,
        "stamps": stamps(folder, FOLDER_FILES),
    }
    with staged(tower_folder(fingerprint)) as new:
        write_settings(new, settings, (folder / TOKENIZER).read_text(encoding="utf-8"))


def _own_settings(folder: Path, fingerprint: str, weights: TensorFile) -> dict[str, Any]:
    model_cfg = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))["model_cfg"]
    text_cfg = model_cfg["text_cfg"]
    if text_cfg.get("hf_pooler_type", "mean_pooler") != "mean_pooler":
        raise ValueError("only mean pooling is supported")
    if text_cfg.get("tokenizer_mode") or text_cfg.get("tokenizer_kwargs"):
        raise ValueError("tokenizer options are not supported")
    projection = "mlp" if "text.proj.2.weight" in weights else "none"
    if "text.proj.weight" in weights:
        projection = "linear"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = bert_settings(config, fingerprint, model_cfg["embed_dim"], projection)
    tokens = {"context_length": text_cfg.get("context_length", 77), "lower": False}
    return {**settings, "prefix": "text.", "tokens": tokens}
