"""Token ids from a table are those of the tokenizers library, text for text."""

from __future__ import annotations

import gzip
import importlib.util
import json
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from mmsearch.encoders.byte_pairs import _BYTES
from mmsearch.encoders.text_tokens import TextTokens, clip_tokenizer_json, write_table
from mmsearch.models.registry import BUNDLED_FOLDER

SCRIPTS = (
    (0x20, 0x7F),  # ASCII
    (0x20, 0x7F),
    (0xA0, 0x250),  # Latin with accents
    (0x300, 0x36F),  # combining marks
    (0x370, 0x530),  # Greek, Cyrillic
    (0x590, 0x600),  # Hebrew
    (0x600, 0x700),  # Arabic
    (0x900, 0x980),  # Devanagari
    (0xE00, 0xE80),  # Thai
    (0x1E00, 0x1F00),
    (0x2000, 0x2070),  # punctuation, spaces, joiners
    (0x20A0, 0x2BFF),  # currencies, arrows, symbols
    (0x3000, 0x30FF),  # kana and CJK punctuation
    (0x4E00, 0x9FFF),  # ideographs
    (0xAC00, 0xD7A0),  # Hangul
    (0xFE00, 0xFEFF),
    (0xFF00, 0xFFEF),  # full width
    (0x1F300, 0x1FAFF),  # emoji
    (0x20000, 0x2FA1F),  # rarer ideographs
    (0x0, 0x20),  # controls
)
BY_HAND = [
    "",
    " ",
    "a red car",
    "a photo of many things on a wooden table " * 125,  # 1,000 words
    "x" * 101,
    "unbelievably antidisestablishmentarianism",
    "it's they're I'd we'll DON'T 'tis rock'n'roll !'s '' 's",
    "[CLS] a [MASK] and [SEP]",
    "<start_of_text> hi <end_of_text>",
    "Ærøskøbing ΟΔΥΣΣΕΥΣ İstanbul ẞ ﬁne ñandú na\u0303",
    "红色的汽车 赤い車 빨간 자동차 красная машина",
    "👩‍👩‍👧 🇩🇪 ☀️ 🏽 1️⃣",
    "½ ² Ⅻ ٣ 1,000.50€ #3 @home 50%",
    "\u166d \u1734 \u0890 \U000105c0 \U0002b820 \u0b55",
    "tabs\tand\nlines\r\x1c\x1d\x85\u2028\u200b\xad",
]


def texts(count: int) -> list[str]:
    """Made up of one, two or three scripts each."""
    draw = random.Random(7)
    made = []
    for _ in range(count):
        scripts = draw.choices(SCRIPTS, k=draw.randint(1, 3))
        letters = []
        for _ in range(draw.randint(1, 40)):
            code = draw.randrange(*draw.choice(scripts))
            letters.append(" " if draw.random() < 0.15 else chr(code))
        made.append("".join(letters))
    return made


def clip_tokenizer() -> str:
    """CLIP's own vocabulary, which open_clip brings along."""
    spec = importlib.util.find_spec("open_clip")
    assert spec is not None
    assert spec.origin is not None
    packed = Path(spec.origin).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(packed.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    letters = sorted(_BYTES, key=lambda letter: (ord(letter) >= 256, ord(letter)))
    names = [*letters, *(f"{letter}</w>" for letter in letters)]
    names += ["".join(pair) for pair in merges]
    names += ["<start_of_text>", "<end_of_text>"]
    return clip_tokenizer_json({name: number for number, name in enumerate(names)}, merges)


def tokenizers(folder: Path, kind: str) -> tuple[TextTokens, TextTokens]:
    """With a table, and by the library alone."""
    settings: dict[str, Any]
    if kind == "clip":
        path = folder / "tokenizer.json"
        path.write_text(clip_tokenizer())
        settings = {"context_length": 77, "lower": True, "start": 49406, "end": 49407}
    else:
        path = BUNDLED_FOLDER / "tokenizer.json"
        settings = {"context_length": 64, "lower": False}
    table = write_table(path.read_text(encoding="utf-8"), folder / "table")
    assert table is not None
    quick = TextTokens(path, {**settings, "table": table}, folder / "table")
    return quick, TextTokens(path, settings)


@pytest.mark.parametrize("kind", ["mini", "clip"])
def test_ids_from_a_table_are_those_of_the_library(tmp_path: Path, kind: str) -> None:
    quick, library = tokenizers(tmp_path, kind)
    many = BY_HAND + texts(2000)
    for text, ours, theirs in zip(many, quick.encode(many), library.encode(many), strict=True):
        assert ours == theirs, ascii(text)


@pytest.mark.parametrize("kind", ["mini", "clip"])
def test_letters_of_the_whole_basic_plane_are_read_alike(tmp_path: Path, kind: str) -> None:
    quick, library = tokenizers(tmp_path, kind)
    assert quick._quick is not None
    # Straight to the tokenizer: the cleaning before it would take most of the time. All of them
    # were compared once (2026-11); every seventh keeps the test short.
    every = [chr(code) for code in range(3, 0x10000, 7) if not 0xD800 <= code < 0xE000]
    many = [f"a{letter}b" for letter in every if not (kind == "clip" and letter.lower() != letter)]
    whole = library._load()
    theirs = whole.encode_batch(many, add_special_tokens=False)
    for text, expected in zip(many, theirs, strict=True):
        ours = quick._quick.encode(text, 70)
        assert ours is None or ours == expected.ids, ascii(text)


def test_common_texts_need_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, _ = tokenizers(tmp_path, "mini")
    monkeypatch.setattr(quick, "_load", lambda: pytest.fail("the library was loaded"))
    quick.encode(["a red car", "Müllers Küche", "红色的汽车", "красная машина", "😀 ☀️", "l'été"])


def test_what_unicode_versions_read_differently_is_left_to_the_library(tmp_path: Path) -> None:
    quick, library = tokenizers(tmp_path, "mini")
    assert quick._quick is not None
    newer = "\u0890"  # ARABIC POUND MARK ABOVE, of Unicode 14
    assert unicodedata.ucd_3_2_0.category(newer) == "Cn"
    assert quick._quick.encode(newer, 60) is None
    assert quick.encode([newer]) == library.encode([newer])


def test_an_unknown_kind_of_tokenizer_has_no_table(tmp_path: Path) -> None:
    tokenizer = json.loads((BUNDLED_FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["normalizer"]["strip_accents"] = False
    assert write_table(json.dumps(tokenizer), tmp_path / "table") is None
    tokenizer["model"]["type"] = "Unigram"
    assert write_table(json.dumps(tokenizer), tmp_path / "table") is None
    assert not (tmp_path / "table").exists()
