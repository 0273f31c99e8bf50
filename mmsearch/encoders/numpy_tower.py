"""Text towers in NumPy: a cold query answers before `import torch` would have returned.

Two layouts: open_clip's causal, pre-norm CLIP TextTransformer, and Hugging Face's BERT family with
mean pooling. A text is cut to its own length, which changes nothing: in a causal tower later
positions cannot be seen from the pooled one, and in BERT padding is masked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.encoders.tensor_file import Floats, TensorFile
    from mmsearch.encoders.text_tokens import TextTokens

    Ids = npt.NDArray[np.int64]

# Rows of one matrix product. Above about 2048 rows a bigger batch only costs memory.
_ROWS = 2048


class Layers(Protocol):
    """The network of one layout: (b, t) token ids of equal length -> (b, d) features."""

    def __call__(self, ids: Ids) -> Floats: ...


class NumpyTextTower:
    """A TextEncoder that needs NumPy and tokenizers only."""

    def __init__(self, settings: dict[str, Any], weights: TensorFile, tokens: TextTokens) -> None:
        self.dim: int = settings["dim"]
        self.fingerprint: str = settings["fingerprint"]
        self._tokens = tokens
        layouts: dict[str, Callable[[dict[str, Any], TensorFile], Layers]]
        layouts = {"clip": ClipLayers, "bert": BertLayers}
        self._forward = layouts[settings["layout"]](settings, weights)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """(n, d) float32 unit rows, in the order of `texts`."""
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        by_length: dict[int, list[int]] = {}
        encoded = self._tokens.encode(texts)
        for row, ids in enumerate(encoded):
            by_length.setdefault(len(ids), []).append(row)
        for length, rows in by_length.items():
            step = max(1, _ROWS // length)
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                batch = np.array([encoded[row] for row in part], dtype=np.int64)  # (b, t)
                out[part] = unit(self._forward(batch))
        return out


class ClipLayers:
    """open_clip's TextTransformer: token + position, pre-norm blocks, ln_final, end token."""

    def __init__(self, settings: dict[str, Any], weights: TensorFile) -> None:
        self._weights = weights
        self._heads: int = settings["heads"]
        self._layers: int = settings["layers"]
        self._eps: float = settings["eps"]
        self._activation = ACTIVATIONS[settings["activation"]]

    def __call__(self, ids: Ids) -> Floats:
        w = self._weights.whole
        length = ids.shape[1]
        x = self._weights.rows("token_embedding.weight", ids)  # (b, t) -> (b, t, w)
        x = x + w("positional_embedding")[:length]
        future = np.triu(np.full((length, length), -np.inf, dtype=np.float32), 1)
        for layer in range(self._layers):
            at = f"transformer.resblocks.{layer}."
            qkv = self._linear(self._norm(x, at + "ln_1"), at + "attn.in_proj_")
            q, k, v = np.split(qkv, 3, axis=-1)
            mixed = attend(q, k, v, self._heads, future)
            x = x + self._linear(mixed, at + "attn.out_proj.")
            hidden = self._linear(self._norm(x, at + "ln_2"), at + "mlp.c_fc.")
            x = x + self._linear(self._activation(hidden), at + "mlp.c_proj.")
        # The last position is the end token, the one that is pooled.
        pooled = self._norm(x[:, -1], "ln_final")  # (b, t, w) -> (b, w)
        projected: Floats = pooled @ w("text_projection")  # (b, w) -> (b, d)
        return projected

    def _norm(self, x: Floats, name: str) -> Floats:
        w = self._weights.whole
        return layer_norm(x, w(name + ".weight"), w(name + ".bias"), self._eps)

    def _linear(self, x: Floats, prefix: str) -> Floats:
        return stored_linear(x, self._weights, f"{prefix}weight", f"{prefix}bias")


class BertLayers:
    """Hugging Face BERT or (XLM-)RoBERTa, mean pooling, and open_clip's projection."""

    def __init__(self, settings: dict[str, Any], weights: TensorFile) -> None:
        self._weights = weights
        self._prefix: str = settings["prefix"]
        self._heads: int = settings["heads"]
        self._layers: int = settings["layers"]
        self._eps: float = settings["eps"]
        self._activation = ACTIVATIONS[settings["activation"]]
        self._first_position: int = settings["first_position"]
        self._projection: str = settings["projection"]

    def __call__(self, ids: Ids) -> Floats:
        first = self._first_position
        positions = np.arange(first, first + ids.shape[1])
        at = "transformer.embeddings."
        x = self._rows(at + "word_embeddings", ids)  # (b, t) -> (b, t, w)
        x = x + self._rows(at + "position_embeddings", positions)
        x = x + self._rows(at + "token_type_embeddings", np.zeros(1, dtype=np.int64))
        x = self._norm(x, at + "LayerNorm")
        for layer in range(self._layers):
            at = f"transformer.encoder.layer.{layer}."
            q, k, v = (
                self._linear(x, f"{at}attention.self.{part}") for part in ("query", "key", "value")
            )
            mixed = self._linear(attend(q, k, v, self._heads), at + "attention.output.dense")
            x = self._norm(x + mixed, at + "attention.output.LayerNorm")
            hidden = self._activation(self._linear(x, at + "intermediate.dense"))
            x = self._norm(x + self._linear(hidden, at + "output.dense"), at + "output.LayerNorm")
        pooled: Floats = x.mean(axis=1)  # (b, t, w) -> (b, w)
        return self._project(pooled)

    def _project(self, x: Floats) -> Floats:
        if self._projection == "none":
            return x
        w, at = self._weights, self._prefix + "proj."
        if self._projection == "linear":
            return stored_linear(x, w, at + "weight")
        return stored_linear(gelu(stored_linear(x, w, at + "0.weight")), w, at + "2.weight")

    def _rows(self, name: str, ids: Ids) -> Floats:
        return self._weights.rows(f"{self._prefix}{name}.weight", ids)

    def _norm(self, x: Floats, name: str) -> Floats:
        w, name = self._weights.whole, self._prefix + name
        return layer_norm(x, w(name + ".weight"), w(name + ".bias"), self._eps)

    def _linear(self, x: Floats, name: str) -> Floats:
        name = self._prefix + name
        return stored_linear(x, self._weights, name + ".weight", name + ".bias")


def linear(x: Floats, weight: Floats, bias: Floats | None = None) -> Floats:
    """x @ weight.T + bias for x (..., in) and weight (out, in)."""
    flat = x.reshape(-1, x.shape[-1])  # one matrix product instead of a stack of small ones
    out: Floats = (flat @ weight.T).reshape(*x.shape[:-1], weight.shape[0])
    return out if bias is None else out + bias


def stored_linear(x: Floats, weights: TensorFile, weight: str, bias: str | None = None) -> Floats:
    """`linear` with tensors of a file, by name."""
    flat = weights.product(x.reshape(-1, x.shape[-1]), weight)  # (..., in) -> (n, out)
    out = flat.reshape(*x.shape[:-1], flat.shape[-1])
    return out if bias is None else out + weights.whole(bias)


def layer_norm(x: Floats, weight: Floats, bias: Floats, eps: float) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    out: Floats = centred / np.sqrt(variance + np.float32(eps)) * weight + bias
    return out


def attend(q: Floats, k: Floats, v: Floats, heads: int, mask: Floats | None = None) -> Floats:
    """Scaled dot-product attention. q, k, v (b, t, w) -> (b, t, w); `mask` (t, t) is added."""
    b, t, width = q.shape

    def split(x: Floats) -> Floats:
        return x.reshape(b, t, heads, width // heads).transpose(0, 2, 1, 3)  # -> (b, h, t, w / h)

    scale = np.float32((width // heads) ** -0.5)
    logits = (split(q) * scale) @ split(k).transpose(0, 1, 3, 2)  # (b, h, t, t)
    if mask is not None:
        logits = logits + mask
    logits = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares = logits / logits.sum(axis=-1, keepdims=True)
    out: Floats = (shares @ split(v)).transpose(0, 2, 1, 3).reshape(b, t, width)
    return out


def gelu(x: Floats) -> Floats:
    """x * Phi(x), with erf as in Abramowitz & Stegun 7.1.26 (absolute error below 1.5e-7)."""
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = t * (
        0.254829592
        + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * np.float32(1.061405429))))
    )
    erf = np.sign(x) * (1 - series * np.exp(-z * z))
    out: Floats = (0.5 * x * (1 + erf)).astype(np.float32, copy=False)
    return out


def gelu_tanh(x: Floats) -> Floats:
    """The tanh approximation of GELU (Hendrycks & Gimpel, arXiv 1606.08415)."""
    inner = np.float32((2 / np.pi) ** 0.5) * (x + np.float32(0.044715) * x**3)
    out: Floats = (0.5 * x * (1 + np.tanh(inner))).astype(np.float32, copy=False)
    return out


def quick_gelu(x: Floats) -> Floats:
    """x * sigmoid(1.702 x), written with tanh, which cannot overflow."""
    out: Floats = (0.5 * x * (1 + np.tanh(np.float32(0.851) * x))).astype(np.float32, copy=False)
    return out


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "quick_gelu": quick_gelu,
}


def unit(x: Floats) -> Floats:
    """Rows of length 1, (..., d)."""
    # The floor is that of torch.nn.functional.normalize.
    out: Floats = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), np.float32(1e-12))
    return out
