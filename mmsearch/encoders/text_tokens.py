"""Texts to token ids without torch, equal to what open_clip's tokenizers give before padding."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class TextTokens:
    """A Hugging Face tokenizer.json with open_clip's cleaning and truncation around it.

    `settings`: `context_length`, `lower`, and for CLIP `start` and `end`, the ids put around a
    text. Without them the tokenizer.json's own post-processor adds special tokens.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(path))
        self._context: int = settings["context_length"]
        self._lower: bool = settings["lower"]
        self._around: tuple[int, int] | None = None
        self._tokenizer.no_padding()
        if "start" in settings:
            self._around = (settings["start"], settings["end"])
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(max_length=self._context)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """One list of ids per text, special tokens included, no padding."""
        cleaned = [clean(text, lower=self._lower) for text in texts]
        if self._around is None:
            return [found.ids for found in self._tokenizer.encode_batch(cleaned)]
        start, end = self._around
        return [
            self._until_end([start, *found.ids][: self._context - 1], end)
            for found in self._tokenizer.encode_batch(cleaned, add_special_tokens=False)
        ]

    @staticmethod
    def _until_end(ids: list[int], end: int) -> list[int]:
        # open_clip pools at the first end token, which a text may spell out itself.
        return [*ids[: ids.index(end)], end] if end in ids else [*ids, end]


def clean(text: str, *, lower: bool) -> str:
    """open_clip's `basic_clean` and `whitespace_clean`, and lower case if asked for."""
    if not (text.isascii() and text.isprintable() and "&" not in text):
        # ftfy leaves other texts alone, and its import is worth saving.
        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    text = " ".join(text.split())
    return text.lower() if lower else text


def clip_tokenizer_json(encoder: dict[str, int], merges: Sequence[tuple[str, str]]) -> str:
    """tokenizer.json of CLIP's byte-level BPE, from open_clip's SimpleTokenizer's tables."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    tokenizer: Any = Tokenizer(
        models.BPE(vocab=encoder, merges=list(merges), end_of_word_suffix="</w>")
    )
    words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.add_special_tokens(["<start_of_text>", "<end_of_text>"])
    return str(tokenizer.to_str())
