"""Texts to token ids without torch, equal to what open_clip's tokenizers give before padding."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mmsearch.encoders.token_table import TokenTable, write_token_table

TABLE = "tokens.sqlite3"


class Tokenizer(Protocol):
    """What `word_pieces` and `byte_pairs` are."""

    def encode(self, text: str, most: int) -> list[int] | None:
        """The first `most` ids of a clean text, without special tokens; None: not sure of it."""
        ...


class TextTokens:
    """A tokenizer with open_clip's cleaning and truncation around it.

    `settings`: `context_length`, `lower`, and for CLIP `start` and `end`, the ids put around a
    text. Without them the tokenizer.json's own post-processor adds special tokens. With `table`
    (see `write_table`) the tokens come from the SQLite file at `table`, and the library that reads
    tokenizer.json, which takes longer than a whole query, is loaded only for what that one leaves
    open.
    """

    def __init__(self, path: Path, settings: dict[str, Any], table: Path | None = None) -> None:
        self._path = path
        self._context: int = settings["context_length"]
        self._lower: bool = settings["lower"]
        self._around: tuple[int, int] | None = None
        if "start" in settings:
            self._around = (settings["start"], settings["end"])
        self._whole: Any = None  # a tokenizers.Tokenizer, loaded on first use
        self._table: dict[str, Any] = settings.get("table", {})
        self._quick = _open_table(table, self._table) if table and self._table else None
        if self._quick is None:
            self._load()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """One list of ids per text, special tokens included, no padding behind them."""
        cleaned = [clean(text, lower=self._lower) for text in texts]
        found = [self._by_table(text) for text in cleaned]
        left = [text for text, ids in zip(cleaned, found, strict=True) if ids is None]
        others = iter(self._by_library(left) if left else ())
        return [next(others) if ids is None else ids for ids in found]

    def _by_table(self, text: str) -> list[int] | None:
        # Special tokens that a text spells out are the library's business.
        if self._quick is None or any(special in text for special in self._table["specials"]):
            return None
        start, end = self._around or self._table["around"]
        ids = self._quick.encode(text, self._context - 2)
        return None if ids is None else [start, *ids, end]

    def _by_library(self, texts: Sequence[str]) -> list[list[int]]:
        tokenizer = self._load()
        if self._around is None:
            return [found.ids for found in tokenizer.encode_batch(texts)]
        start, end = self._around
        return [
            self._until_end([start, *found.ids][: self._context - 1], end)
            for found in tokenizer.encode_batch(texts, add_special_tokens=False)
        ]

    def _load(self) -> Any:
        if self._whole is None:
            from tokenizers import Tokenizer as Library

            whole: Any = Library.from_file(str(self._path))
            whole.no_padding()
            if self._around is None:
                whole.enable_truncation(max_length=self._context)
            else:
                whole.no_truncation()
            self._whole = whole
        return self._whole

    @staticmethod
    def _until_end(ids: list[int], end: int) -> list[int]:
        # open_clip pools at the first end token, which a text may spell out itself.
        return [*ids[: ids.index(end)], end] if end in ids else [*ids, end]


def write_table(tokenizer_json: str, path: Path) -> dict[str, Any] | None:
    """Write the tokens of a tokenizer.json to `path`; what TextTokens takes as `settings["table"]`.

    None, and nothing is written, for a kind of tokenizer that only the library knows.
    """
    whole = json.loads(tokenizer_json)
    model = whole["model"]
    settings: dict[str, Any] = {"specials": [one["content"] for one in whole["added_tokens"]]}
    if _is_bert(whole):
        ids = {one["content"]: one["id"] for one in whole["added_tokens"]}
        first, _, last = (_special(part) for part in whole["post_processor"]["single"])
        settings |= {
            "kind": "word pieces",
            "around": [ids[first], ids[last]],
            "lower": whole["normalizer"]["lowercase"],
            "unknown": model["unk_token"],
            "prefix": model["continuing_subword_prefix"],
            "longest": model["max_input_chars_per_word"],
        }
        write_token_table(path, model["vocab"])
        return settings
    if _is_clip(whole):
        merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
        write_token_table(path, model["vocab"], [(left, right) for left, right in merges])
        return {**settings, "kind": "byte pairs"}
    return None


def _open_table(path: Path, settings: Mapping[str, Any]) -> Tokenizer:
    if settings["kind"] == "byte pairs":
        from mmsearch.encoders.byte_pairs import BytePairs

        return BytePairs(TokenTable(path))
    from mmsearch.encoders.word_pieces import WordPieces

    named = {name: settings[name] for name in ("lower", "unknown", "prefix", "longest")}
    return WordPieces(TokenTable(path), **named)


def _is_bert(whole: Mapping[str, Any]) -> bool:
    """Whether `word_pieces` computes the same."""
    normalizer, model = whole["normalizer"] or {}, whole["model"]
    single = (whole["post_processor"] or {}).get("single", [])
    return (
        model["type"] == "WordPiece"
        and normalizer.get("type") == "BertNormalizer"
        and normalizer["clean_text"]
        and normalizer["handle_chinese_chars"]
        and normalizer["strip_accents"] in (None, normalizer["lowercase"])
        and (whole["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
        and [_special(part) is None for part in single] == [False, True, False]
        and not any(one["normalized"] for one in whole["added_tokens"])
    )


def _is_clip(whole: Mapping[str, Any]) -> bool:
    """Whether `byte_pairs` computes the same: what `clip_tokenizer_json` makes of any tables."""
    model = whole["model"]
    if model["type"] != "BPE" or whole["post_processor"] is not None:
        return False
    ours = json.loads(clip_tokenizer_json(model["vocab"], []))
    parts = ("normalizer", "pre_tokenizer", "added_tokens")
    options = {**model, "vocab": None, "merges": None}
    return all(whole[part] == ours[part] for part in parts) and options == {
        **ours["model"],
        "vocab": None,
        "merges": None,
    }


def _special(part: Mapping[str, Any]) -> str | None:
    """The special token of one part of a template; None for the text itself."""
    found: str | None = part.get("SpecialToken", {}).get("id")
    return found


def clean(text: str, *, lower: bool) -> str:
    """open_clip's `basic_clean` and `whitespace_clean`, and lower case if asked for."""
    if not (text.isascii() and text.isprintable() and "&" not in text):
        # ftfy leaves other texts alone, and its import is worth saving.
        import html

        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    text = " ".join(text.split())
    return text.lower() if lower else text


def clip_tokenizer_json(encoder: dict[str, int], merges: Sequence[tuple[str, str]]) -> str:
    """tokenizer.json of CLIP's byte-level BPE, from open_clip's SimpleTokenizer's tables."""
    from tokenizers import Regex, models, pre_tokenizers
    from tokenizers import Tokenizer as Library

    tokenizer: Any = Library(
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
