"""Texts without the padding behind them, in towers where it changes nothing.

Two kinds are such: CLIP's, in which no token sees a later one and the pooled one ends the text, and
Hugging Face's with a mean over tokens, in which padding is masked. A caption has a dozen tokens,
and its padded row 77.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def token_lengths(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """(n, context) tokens -> (n,): how many from the start of each row an open_clip model needs."""
    import torch

    text = text_half(model)
    if _is_masked_mean(text):
        # Up to the last that is seen: a text may spell out padding, which is masked there as well.
        seen = tokens != int(text.config.pad_token_id)
        return tokens.shape[1] - seen.flip(1).int().argmax(dim=1)
    if _is_causal(text):
        return tokens.argmax(dim=1) + 1  # the largest number ends a text, and is pooled
    return torch.full(tokens.shape[:1], tokens.shape[1])


def encode_tokens(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """(b, length) tokens -> (b, d): what `model.encode_text` gives for whole rows.

    `length` is at least the largest of their `token_lengths`.
    """
    text = text_half(model)
    if not _is_causal(text):
        whole: torch.Tensor = model.encode_text(tokens)
        return whole
    # open_clip's own way with fewer positions, through a copy that shares all weights: a module
    # keeps its tensors in two dicts.
    length = tokens.shape[1]
    short = copy(text)
    positions = text.positional_embedding[:length]
    short._parameters = {**text._parameters, "positional_embedding": positions}
    short._buffers = {**text._buffers, "attn_mask": text.attn_mask[:length, :length]}
    features: torch.Tensor = short.encode_text(tokens) if text is model else short(tokens)
    return features


def text_half(model: Any) -> Any:
    """The module that holds the text tower of an open_clip model; a CLIP is its own."""
    return getattr(model, "text", model)


def pooling(text: Any) -> str:
    """Which token the vector of such a module comes from, in open_clip's words."""
    return str(getattr(text, "pool_type", None) or text.text_pool_type)


def _is_masked_mean(text: Any) -> bool:
    return type(text).__name__ == "HFTextEncoder" and type(text.pooler).__name__ == "MeanPooler"


def _is_causal(text: Any) -> bool:
    """Whether it is CLIP's: its mask, where it has one, hides later tokens and no others."""
    if type(text).__name__ not in ("CLIP", "TextTransformer") or text.attn_mask is None:
        return False
    if getattr(text, "cls_emb", None) is not None or getattr(text, "use_pad_mask", False):
        return False
    return pooling(text) == "argmax"
