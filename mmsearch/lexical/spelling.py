"""Words that a misspelt one may stand for, at a bounded cost whatever the collection's size.

Every string at distance 1 is made and looked up (Norvig, "How to Write a Spelling Corrector",
2007: about 75 of them a letter), so no index of its own is needed. Distance 2 would be a thousand
times as many: there, words with the same beginning are compared.
"""

from __future__ import annotations

from collections.abc import Iterable

# How many letters a word needs before one, and two, of them may be wrong; as Elasticsearch's
# fuzziness AUTO, but a letter stricter: short words are near too many others.
ONE_WRONG, TWO_WRONG = 4, 8
# Longer words are no words; each letter costs 75 look-ups.
LONGEST = 30
# Letters of the beginning that are taken to be right at distance 2.
SAME_BEGINNING = 3
MAX_CORRECTIONS = 3

_LATIN = "abcdefghijklmnopqrstuvwxyz0123456789"
_CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюяіїєґ"
_GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
_ALPHABETS = (_LATIN, _CYRILLIC, _GREEK)


def allowed_distance(word: str) -> int:
    """How many letters of a word may be wrong: 0, 1 or 2. Numbers and long words are as meant."""
    if word.isdigit() or not ONE_WRONG <= len(word) <= LONGEST:
        return 0
    return 2 if len(word) >= TWO_WRONG else 1


def one_edit_away(word: str) -> set[str]:
    """All strings at distance 1: a letter less, more or another, or two neighbours swapped."""
    letters = "".join(alphabet for alphabet in _ALPHABETS if set(alphabet) & set(word))
    cuts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    made = {head + tail[1:] for head, tail in cuts if tail}
    made |= {head + tail[1] + tail[0] + tail[2:] for head, tail in cuts if len(tail) > 1}
    made |= {head + letter + tail for head, tail in cuts for letter in letters}
    made |= {head + letter + tail[1:] for head, tail in cuts if tail for letter in letters}
    return made - {word}


def distance(left: str, right: str, limit: int) -> int:
    """Edits between two words, or `limit + 1` if there are more.

    Optimal string alignment: insert, delete, replace, swap neighbours, each place edited once
    (Damerau 1964).
    """
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    above = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        row = [i]
        for j, b in enumerate(right, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and b == left[i - 2]:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before, above = above, row
    return min(above[-1], limit + 1)


def nearest(word: str, known: Iterable[tuple[str, int]], limit: int) -> list[str]:
    """Of (term, items with it): the few nearest to `word`, the more frequent one first."""
    ranked = sorted(
        (far, -items, term)
        for term, items in known
        if (far := distance(word, term, limit)) <= limit
    )
    if not ranked:
        return []
    best = ranked[0][0]
    return [term for far, _, term in ranked if far == best][:MAX_CORRECTIONS]
