"""Texts as words, the same for what is indexed and what is asked.

Accents and case are folded: NFKD, without the marks of U+0300 to U+036F, casefold. Scripts that are
written without spaces are cut into overlapping pairs of characters, as Lucene's CJKBigramFilter
does: most Chinese words have two characters, which SQLite's trigram tokenizer could never find.
FTS5's unicode61 then only splits at what is no letter, number or mark.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Part of the schema: what it makes of a text is stored, so a change here needs a migration.
TOKENIZER = "unicode61 remove_diacritics 0 categories 'L* N* M*'"

# Longer strings are files or markup that went astray, not words that someone would look for.
MAX_ATTRIBUTE = 10_000

# Letters that no decomposition takes apart, as they are typed where a keyboard lacks them.
_STROKES = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ı": "i"})
_ACCENTS = re.compile("[\u0300-\u036f]")
# Han, kana, Hangul, Thai, Lao, Myanmar, Khmer.
_UNSPACED = re.compile(
    "[\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u1049\u1780-\u17d3\u3005-\u3007\u3041-\u3096"
    "\u3099-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_WORDLESS = frozenset((int, float, bool, type(None)))
_APART = " \n "  # between strings that are no phrase together
_ASCII_WORDS = re.compile("[a-z0-9]+")


@dataclass(frozen=True)
class Word:
    """One word of a query, folded; `prefix`: it may be the beginning of a longer one."""

    text: str
    prefix: bool = False


def fold(text: str) -> str:
    """`text` without accents and differences of case or width."""
    if text.isascii():
        return text.lower()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFC", bare).casefold().translate(_STROKES)


def searchable(text: str | None) -> str:
    """What of a text is handed to FTS5."""
    if text is None:
        return ""
    if text.isascii():  # most of them; unicode61 folds their case
        return text
    return _UNSPACED.sub(_spaced_pairs, fold(text))


def searchable_names(attributes: Mapping[str, Any]) -> str:
    """What of an item's attributes is handed to FTS5: strings and lists of strings.

    Numbers and truths are for filters; web addresses and strings of over MAX_ATTRIBUTE characters
    would only find by accident.
    """
    found = [value for value in attributes.values() if type(value) not in _WORDLESS]
    try:
        together = _APART.join(found)
    except TypeError:  # not strings alone
        found = [one for value in found for one in _strings(value)]
        together = _APART.join(found)
    if together.isascii() and _is_worded(together):  # so is each of them, and handed over as it is
        return together
    return _APART.join([searchable(text) for text in found if _is_worded(text)])


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []


def may_differ(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """False only where `searchable_names` of both has the same words; numbers change most often."""
    if new.keys() != old.keys():
        return True
    for name, value in new.items():
        before = old[name]
        if (
            value is not before
            and value != before  # equal ones have equal strings, if any
            and not (isinstance(value, int | float) and isinstance(before, int | float))
        ):
            return True
    return False


def _is_worded(text: str) -> bool:
    return len(text) <= MAX_ATTRIBUTE and "://" not in text


def unicode_version() -> str:
    """The version of Unicode's tables by which this Python folds: another may fold otherwise."""
    return unicodedata.unidata_version


def searchable_attributes(attributes: str) -> str:
    """`searchable_names` of JSON, as SQLite holds it."""
    return searchable_names(json.loads(attributes))


def words_of(query: str, *, prefix: bool = False) -> list[Word]:
    """The different words of a query, in order.

    With `prefix`, the last one may be unfinished unless a blank or a mark follows it. A single
    character of a script without spaces is always the beginning of a pair.
    """
    folded = fold(query)
    if folded.isascii():
        parts = _ASCII_WORDS.findall(folded)
    else:
        parts = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in folded).split()
    unfinished = prefix and bool(parts) and folded.endswith(parts[-1])
    found: list[Word] = []
    for number, part in enumerate(parts, 1):
        found += _cut(part, prefix=unfinished and number == len(parts))
    return list(dict.fromkeys(found))


def _cut(part: str, *, prefix: bool) -> Iterator[Word]:
    """A run of letters as words: pairs of its unspaced stretches, and what lies between."""
    place = 0
    for run in _UNSPACED.finditer(part) if not part.isascii() else ():
        if run.start() > place:
            yield Word(part[place : run.start()])
        text, place = run[0], run.end()
        if len(text) == 1:
            yield Word(text, prefix=True)
        for start in range(len(text) - 1):
            yield Word(text[start : start + 2])
    if place < len(part):
        yield Word(part[place:], prefix=prefix)


def _spaced_pairs(run: re.Match[str]) -> str:
    """Each character with the next one; the last one alone, so that its prefix is found too."""
    text = run[0]
    pairs = " ".join(text[start : start + 2] for start in range(len(text)))
    return f" {pairs} "
