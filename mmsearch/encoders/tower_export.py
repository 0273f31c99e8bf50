"""Write the text half of an open_clip model in the form that `numpy_tower` reads."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.encoders import text_tokens
from mmsearch.encoders.kept_tower import TOKENIZER, WEIGHTS, read_tower, staged, write_settings
from mmsearch.encoders.text_padding import pooling, text_half
from mmsearch.encoders.text_tower import bert_settings

if TYPE_CHECKING:
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder
    from mmsearch.encoders.tensor_file import Floats

# Beyond this a tower is not the same model any more: float32 in another order of additions and
# float16 embeddings stay above 0.99999.
MIN_COSINE = 0.9999

# Long and short, cases, digits, punctuation, contractions, entities, other scripts, emptiness,
# padding as BERT and RoBERTa spell it, and what it is in CLIP.
PROBES = (
    "a red car",
    "A Dog Running on the BEACH at sunset, waves behind it!",
    "",
    "it's 2 o'clock; they're in room 1984",
    "caf\u00e9 cr\u00e8me &amp; cro\u00efssants \u2014 \u201cna\u00efve\u201d",
    "\u7ea2\u8272\u7684\u6c7d\u8f66",
    "\u043a\u0440\u0430\u0441\u043d\u0430\u044f \u043c\u0430\u0448\u0438\u043d\u0430",
    "smile \U0001f600 and sun \u2600\ufe0f",
    "  tabs\tand\nnew lines  ",
    "IMG_2041.JPG (copy) #3 @home 50% off",
    "antidisestablishmentarianism",
    "[PAD] a <pad> red [PAD] [PAD] car <pad>",
    "!~ wow !",
    "a photo of many things on a wooden table near a window " * 12,
)


@dataclass(frozen=True)
class Tower:
    """What is written: settings (text.json), tensors and the tokenizer's JSON."""

    settings: dict[str, Any]
    tensors: dict[str, np.ndarray[Any, Any]]
    tokenizer: str


def write_tower(encoder: OpenClipEncoder, target: Path) -> Path | None:
    """`target`, complete and checked against torch, or None; never anything in between."""
    try:
        tower = describe(encoder)
    except (ValueError, AttributeError, KeyError):  # not a layout that numpy_tower computes
        return None
    try:
        with staged(target) as folder:
            _write(tower, folder)
            if not _agrees(encoder, folder):
                raise ValueError("its vectors are not those of torch")
    except (OSError, ValueError, sqlite3.Error):
        return None
    return target


def describe(encoder: OpenClipEncoder) -> Tower:
    """The tower of `encoder`. Raises ValueError or AttributeError for an unsupported one."""
    model: Any = encoder.model
    kind = type(model).__name__
    if kind not in ("CLIP", "CustomTextCLIP"):
        raise ValueError(f"{kind}: not supported")
    text = text_half(model)
    if type(text).__name__ == "HFTextEncoder":
        return _describe_bert(encoder, text)
    return _describe_clip(encoder, text)


def _describe_clip(encoder: OpenClipEncoder, text: Any) -> Tower:
    tokenizer: Any = encoder.tokenizer
    blocks = text.transformer.resblocks
    end = int(tokenizer.eot_token_id)
    ends = {"argmax": tokenizer.vocab_size - 1, "eos": getattr(text, "eos_id", -1)}
    _require(type(tokenizer).__name__ == "SimpleTokenizer", "tokenizer")
    _require(tokenizer.clean_fn.__name__ == "_clean_lower", "cleaning")
    _require(tokenizer.reduction_fn is None, "reduction")
    _require(tokenizer.context_length == text.context_length, "context length")
    _require(text.attn_mask is not None and getattr(text, "cls_emb", None) is None, "mask")
    _require(ends.get(pooling(text)) == end, "pooling")
    _require(type(blocks[0].attn).__name__ == "MultiheadAttention", "attention")
    names = _clip_names(len(blocks))
    state = {key: value for key, value in text.state_dict().items() if _is_text(key)}
    _require(set(state) == names, "layers")
    settings = {
        "layout": "clip",
        "fingerprint": encoder.fingerprint,
        "dim": encoder.dim,
        "heads": blocks[0].attn.num_heads,
        "layers": len(blocks),
        "eps": text.ln_final.eps,
        "activation": _activation(blocks[0].mlp.gelu),
        "tokens": {
            "context_length": text.context_length,
            "lower": True,
            "start": int(tokenizer.sot_token_id),
            "end": end,
        },
    }
    merges = list(tokenizer.bpe_ranks)
    return Tower(
        settings, _arrays(state), text_tokens.clip_tokenizer_json(tokenizer.encoder, merges)
    )


def _describe_bert(encoder: OpenClipEncoder, text: Any) -> Tower:
    tokenizer: Any = encoder.tokenizer
    _require(type(tokenizer).__name__ == "HFTokenizer", "tokenizer")
    _require(not tokenizer.tokenizer_mode and not tokenizer.strip_sep_token, "tokenizer mode")
    clean = tokenizer.clean_fn.__name__
    _require(clean in ("_clean_whitespace", "_clean_lower"), "cleaning")
    _require(type(text.pooler).__name__ == "MeanPooler", "pooling")
    projections = {"Identity": "none", "Linear": "linear", "Sequential": "mlp"}
    settings = bert_settings(
        text.config.to_dict(),
        encoder.fingerprint,
        encoder.dim,
        projections[type(text.proj).__name__],
    )
    settings["tokens"] = {
        "context_length": tokenizer.context_length,
        "lower": clean == "_clean_lower",
    }
    state = {key: value for key, value in text.state_dict().items() if "position_ids" not in key}
    return Tower(settings, _arrays(state), tokenizer.tokenizer.backend_tokenizer.to_str())


def _require(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"{what}: not supported")


def _is_text(key: str) -> bool:
    return not key.startswith(("visual.", "logit_"))


def _clip_names(layers: int) -> set[str]:
    """Every tensor of a plain CLIP text tower: one more or less is another architecture."""
    both = ("weight", "bias")
    names = {"token_embedding.weight", "positional_embedding", "text_projection"}
    names |= {f"ln_final.{part}" for part in both}
    for layer in range(layers):
        at = f"transformer.resblocks.{layer}."
        modules = ("ln_1.", "ln_2.", "attn.in_proj_", "attn.out_proj.", "mlp.c_fc.", "mlp.c_proj.")
        names |= {f"{at}{module}{part}" for module in modules for part in both}
    return names


def _activation(module: Any) -> str:
    kind = type(module).__name__
    if kind == "QuickGELU":
        return "quick_gelu"
    _require(kind == "GELU", "activation")
    return "gelu_tanh" if module.approximate == "tanh" else "gelu"


def _arrays(state: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """float32 tensors, but float16 for the big embedding table, whose rows are few at a time."""
    arrays = {}
    for name, tensor in state.items():
        table = name.endswith(("token_embedding.weight", "word_embeddings.weight"))
        values = tensor.detach().float().cpu().numpy()
        arrays[name] = np.ascontiguousarray(values, dtype=np.float16 if table else np.float32)
    return arrays


def _write(tower: Tower, folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file(tower.tensors, folder / WEIGHTS)
    (folder / TOKENIZER).write_text(tower.tokenizer, encoding="utf-8")
    write_settings(folder, tower.settings, tower.tokenizer)


def _agrees(encoder: OpenClipEncoder, folder: Path) -> bool:
    try:
        ours = read_tower(folder).encode_texts(PROBES)
    except Exception:  # noqa: BLE001  whatever a tower does that is not one, it is not to be used
        return False
    cosines = np.einsum("nd,nd->n", ours, _reference(encoder))
    return bool((cosines >= MIN_COSINE).all())


def _reference(encoder: OpenClipEncoder) -> Floats:
    """(n, d) unit rows of PROBES from torch in float32: bfloat16 alone costs more than 0.0001."""
    import torch
    import torch.nn.functional as functional

    model: Any = encoder.model
    tokens: Any = encoder.tokenizer(list(PROBES))
    with torch.inference_mode():
        features = model.encode_text(tokens.to(encoder.device))
    unit: Floats = functional.normalize(features.float(), dim=-1).cpu().numpy()
    return unit
