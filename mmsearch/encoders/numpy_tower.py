"""Text towers in NumPy: a cold query answers before `import torch` would have returned.

Two layouts: open_clip's causal, pre-norm CLIP TextTransformer, and Hugging Face's BERT family with
mean pooling. A text is cut to its own length, which changes nothing: in a causal tower later
positions cannot be seen from the pooled one, and in BERT padding is masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mmsearch.blas import lanes, one_thread
from mmsearch.encoders.tensor_file import product

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.encoders.tensor_file import Floats, TensorFile
    from mmsearch.encoders.text_tokens import TextTokens
    from mmsearch.pool import Threads

    Ids = npt.NDArray[np.int64]
    Numbers = npt.NDArray[Any]

# Rows of one matrix product. Above about 2048 rows a bigger batch only costs memory, and with fewer
# than 256 the weights cost more to read than to multiply.
_ROWS = 2048
_FEWEST = 256
# Numbers of one block of an activation: with what its formula makes of them, a core's cache.
_BLOCK = 16_384


class Batch:
    """Texts of any lengths, one behind the other, without padding.

    Whatever looks at single tokens takes those of all texts at once: `ids` (n,). The others take
    `groups`: (b, t) for each run of b texts of t tokens.
    """

    def __init__(self, texts: Sequence[Sequence[int]]) -> None:
        """Texts of one length had better stand together: they are one group."""
        self._texts = texts
        self.ids: Ids = np.concatenate([np.asarray(text, np.int64) for text in texts])
        self.groups = [
            (len(list(alike)), length) for length, alike in groupby(len(text) for text in texts)
        ]

    def positions(self) -> Ids:
        """(n,) the place of each token in its text."""
        return np.concatenate([np.tile(np.arange(t), b) for b, t in self.groups])

    def without(self, token: int) -> Batch:
        """The same texts less every such token."""
        return Batch([[one for one in text if one != token] for text in self._texts])

    def split(self, x: Floats) -> Iterator[Floats]:
        """(n, w) -> (b, t, w) of each group."""
        start = 0
        for b, t in self.groups:
            yield x[start : start + b * t].reshape(b, t, -1)
            start += b * t


class Layers(Protocol):
    """The network of one layout: texts as token ids -> (number of texts, d) features."""

    def __call__(self, batch: Batch) -> Floats: ...


class NumpyTextTower:
    """A TextEncoder that needs NumPy and tokenizers only."""

    def __init__(self, settings: dict[str, Any], weights: TensorFile, tokens: TextTokens) -> None:
        self.dim: int = settings["dim"]
        self.fingerprint: str = settings["fingerprint"]
        self._tokens = tokens
        layouts: dict[str, Callable[[dict[str, Any], TensorFile], Layers]]
        layouts = {"clip": ClipLayers, "bert": BertLayers}
        self._forward = layouts[settings["layout"]](settings, weights)
        self._lanes = lanes()
        self._threads: Threads | None = None

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """(n, d) float32 unit rows, in the order of `texts`."""
        encoded = self._tokens.encode(texts)
        parts = _parts([len(ids) for ids in encoded], self._lanes)

        def encode(part: list[int]) -> Floats:
            return unit(self._forward(Batch([encoded[row] for row in part])))

        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        with one_thread():
            for part, features in zip(parts, self._each(encode, parts), strict=True):
                out[part] = features
        return out

    def _each(
        self, encode: Callable[[list[int]], Floats], parts: list[list[int]]
    ) -> Iterable[Floats]:
        if len(parts) == 1:
            return map(encode, parts)
        from mmsearch.pool import Threads

        self._threads = self._threads or Threads(self._lanes - 1)
        return self._threads.each(partial(encode, part) for part in parts)


def _parts(lengths: Sequence[int], lanes: int) -> list[list[int]]:
    """The numbers of all texts, ascending by length, in parts that one lane each encodes: about as
    many tokens in each, and about as many parts for each lane."""
    total = sum(lengths)
    rounds = -(-total // (lanes * _ROWS))
    count = max(1, min(lanes * rounds, total // _FEWEST))
    parts: list[list[int]] = [[] for _ in range(count)]
    tokens = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        parts[tokens * count // total].append(row)
        tokens += lengths[row]
    return [part for part in parts if part]


class ClipLayers:
    """open_clip's TextTransformer: token + position, pre-norm blocks, ln_final, end token."""

    def __init__(self, settings: dict[str, Any], weights: TensorFile) -> None:
        self._weights = weights
        self._heads: int = settings["heads"]
        self._layers: int = settings["layers"]
        self._eps: float = settings["eps"]
        self._activation = ACTIVATIONS[settings["activation"]]

    def __call__(self, batch: Batch) -> Floats:
        w = self._weights.whole
        x = self._weights.rows("token_embedding.weight", batch.ids)  # (n,) -> (n, w)
        x = x + w("positional_embedding")[batch.positions()]
        for layer in range(self._layers):
            at = f"transformer.resblocks.{layer}."
            qkv = self._linear(self._norm(x, at + "ln_1"), at + "attn.in_proj_")
            q, k, v = np.split(qkv, 3, axis=-1)
            mixed = attend(batch, q, k, v, self._heads, causal=True)
            x = x + self._linear(mixed, at + "attn.out_proj.")
            hidden = self._linear(self._norm(x, at + "ln_2"), at + "mlp.c_fc.")
            x = x + self._linear(self._activation(hidden), at + "mlp.c_proj.")
        # The last position is the end token, the one that is pooled.
        last = np.concatenate([group[:, -1] for group in batch.split(x)])  # (n, w) -> (b, w)
        pooled = self._norm(last, "ln_final")
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
        # Towers kept without it: RoBERTa counts positions from behind its padding, BERT's is 0.
        self._padding: int = settings.get("padding", max(0, self._first_position - 1))
        self._projection: str = settings["projection"]

    def __call__(self, batch: Batch) -> Floats:
        positions = batch.positions()
        shown = batch.ids != self._padding
        if not shown.all():
            # A text spells out padding. Masked, it is as good as absent, except that BERT goes on
            # counting positions there; RoBERTa does not.
            batch = batch.without(self._padding)
            positions = batch.positions() if self._first_position else positions[shown]
        at = "transformer.embeddings."
        x = self._rows(at + "word_embeddings", batch.ids)  # (n,) -> (n, w)
        x = x + self._rows(at + "position_embeddings", positions + self._first_position)
        x = x + self._rows(at + "token_type_embeddings", np.zeros(1, dtype=np.int64))
        x = self._norm(x, at + "LayerNorm")
        for layer in range(self._layers):
            at = f"transformer.encoder.layer.{layer}."
            q, k, v = (
                self._linear(x, f"{at}attention.self.{part}") for part in ("query", "key", "value")
            )
            mixed = attend(batch, q, k, v, self._heads)
            mixed = self._linear(mixed, at + "attention.output.dense")
            x = self._norm(x + mixed, at + "attention.output.LayerNorm")
            hidden = self._activation(self._linear(x, at + "intermediate.dense"))
            x = self._norm(x + self._linear(hidden, at + "output.dense"), at + "output.LayerNorm")
        pooled = [group.mean(axis=1) for group in batch.split(x)]  # (n, w) -> (b, w)
        return self._project(np.concatenate(pooled))

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
    out: Floats = product(flat, weight).reshape(*x.shape[:-1], weight.shape[0])
    return out if bias is None else out + bias


def stored_linear(x: Floats, weights: TensorFile, weight: str, bias: str | None = None) -> Floats:
    """`linear` with tensors of a file, by name."""
    flat = weights.product(x.reshape(-1, x.shape[-1]), weight)  # (..., in) -> (n, out)
    if bias is not None:
        flat += weights.whole(bias)
    return flat.reshape(*x.shape[:-1], flat.shape[-1])


def layer_norm(x: Floats, weight: Floats, bias: Floats, eps: float) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    out: Floats = centred / np.sqrt(variance + np.float32(eps)) * weight + bias
    return out


def attend(
    batch: Batch, q: Floats, k: Floats, v: Floats, heads: int, *, causal: bool = False
) -> Floats:
    """Scaled dot-product attention in each text: q, k, v (n, w) -> (n, w)."""
    parts = zip(batch.split(q), batch.split(k), batch.split(v), strict=True)
    return np.concatenate([_attend(*part, heads, causal=causal) for part in parts])


def _attend(q: Floats, k: Floats, v: Floats, heads: int, *, causal: bool) -> Floats:
    """q, k, v (b, t, w) -> (b * t, w)."""
    b, t, width = q.shape

    def split(x: Floats) -> Floats:
        return x.reshape(b, t, heads, width // heads).transpose(0, 2, 1, 3)  # -> (b, h, t, w / h)

    scale = np.float32((width // heads) ** -0.5)
    logits = (split(q) * scale) @ split(k).transpose(0, 1, 3, 2)  # (b, h, t, t)
    if causal:
        logits += np.triu(np.full((t, t), -np.inf, dtype=np.float32), 1)
    logits = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares = logits / logits.sum(axis=-1, keepdims=True)
    out: Floats = (shares @ split(v)).transpose(0, 2, 1, 3).reshape(b * t, width)
    return out


def in_blocks(formula: Callable[[Floats], Numbers]) -> Callable[[Floats], Floats]:
    """`formula`, element by element, a few thousand at a time: a large array passes the processor
    once and not once for each step of the formula, which is three times as quick."""

    def blockwise(x: Floats) -> Floats:
        out = np.empty(x.shape, np.float32)
        numbers, results = x.reshape(-1), out.reshape(-1)
        for start in range(0, len(numbers), _BLOCK):
            results[start : start + _BLOCK] = formula(numbers[start : start + _BLOCK])
        return out

    return blockwise


@in_blocks
def gelu(x: Floats) -> Numbers:
    """x * Phi(x), with erf as in Abramowitz & Stegun 7.1.26 (absolute error below 1.5e-7)."""
    size = np.abs(x)
    t = np.float32(1) / (1 + np.float32(0.3275911 * 0.5**0.5) * size)
    series = t * (
        0.254829592
        + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * np.float32(1.061405429))))
    )
    # x * Phi(x) = max(x, 0) - |x| * Phi(-|x|): without a sign, and without loss where x << 0.
    tail = np.float32(0.5) * size * series * np.exp(np.float32(-0.5) * size * size)
    return np.maximum(x, np.float32(0)) - tail


@in_blocks
def gelu_tanh(x: Floats) -> Numbers:
    """The tanh approximation of GELU (Hendrycks & Gimpel, arXiv 1606.08415)."""
    inner = np.float32((2 / np.pi) ** 0.5) * (x + np.float32(0.044715) * x**3)
    out: Numbers = np.float32(0.5) * x * (1 + np.tanh(inner))
    return out


@in_blocks
def quick_gelu(x: Floats) -> Numbers:
    """x * sigmoid(1.702 x), written with tanh, which cannot overflow."""
    out: Numbers = np.float32(0.5) * x * (1 + np.tanh(np.float32(0.851) * x))
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
