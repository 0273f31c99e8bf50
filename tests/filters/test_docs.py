"""docs/filters.md shows what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mmsearch.errors import FilterError
from mmsearch.filters import build, from_json, parse, parser, to_text
from mmsearch.filters.json_form import OPERATORS
from mmsearch.filters.tokens import KEYWORDS

TEXT = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


EXAMPLES = [line for block in blocks("filter") for line in block.splitlines()]
IN_TABLE = re.findall(r"^\| `(.+?)`.* \| .* \|$", TEXT.split("## Conditions")[1], re.MULTILINE)


def test_examples_are_found() -> None:
    assert len(EXAMPLES) == 7
    assert len(IN_TABLE) == 8


@pytest.mark.parametrize("example", EXAMPLES + IN_TABLE)
def test_example_is_a_filter(example: str) -> None:
    assert parse(to_text(parse(example))) == parse(example)


def test_json_example_is_a_filter() -> None:
    (example,) = blocks("json")
    assert from_json(json.loads(example))


def test_mistake_looks_as_shown() -> None:
    (shown,) = blocks("text")
    with pytest.raises(FilterError) as raised:
        parse("price < 50 and colr = 'red'", {"price": {"number"}, "colour": {"string"}})
    assert shown == f"error: {raised.value}\n"


def test_grammar_is_the_parsers_own() -> None:
    (grammar,) = blocks("ebnf")
    rules = [line.strip() for line in grammar.splitlines()]
    own = [line.strip() for line in str(parser.__doc__).splitlines()]
    assert [line for line in rules[:11] if line not in own] == []
    assert {word for word in KEYWORDS if f'"{word}"' not in grammar} == set()


def test_operators_and_limits_are_named() -> None:
    assert [op for op in OPERATORS if f"`{op}`" not in TEXT.split("## As JSON")[1]] == []
    for limit in (build.MAX_DEPTH, build.MAX_CONDITIONS, f"{build.MAX_PATTERN:,} characters"):
        assert str(limit) in TEXT.split("**Limits**")[1].split("##")[0]
    assert parser.MAX_TEXT == 1_000_000, "a million characters in all"
