"""What the options of `mmsearch query` ask for, and how their answers are printed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mmsearch.cli import query_options
from mmsearch.errors import UsageError
from tests.cli.conftest import Cli


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("given", "text", "weight"),
    [
        ("red", "red", 1.0),
        ("red^0.5", "red", 0.5),
        ("a^b^2", "a^b", 2.0),
        ("x\ny^-1e-1", "x\ny", -0.1),
    ],
)
def test_weight_follows_the_last_caret(given: str, text: str, weight: float) -> None:
    assert query_options.weighted(given) == (text, weight)


@pytest.mark.parametrize(
    "given", ["red^1e", "red^--1", "red^.", "a^b", "^", "red^", "red^nan", "red^1e400"]
)
def test_caret_before_what_is_no_finite_number_is_an_error(given: str) -> None:
    with pytest.raises(UsageError, match="no weight"):
        query_options.weighted(given)


def test_modifier_options_add_to_the_json() -> None:
    whole = query_options.modifiers(
        '{"buried": ["a"], "decays": []}', ["brand=Acme^3", "stock=5"], ["k@1@2"], ["b"]
    )
    assert whole == {
        "boosts": [
            {"attribute": "brand", "in": ["Acme"], "factor": 3.0},
            {"attribute": "stock", "in": ["5", 5.0], "factor": 2.0},
        ],
        "decays": [],
        "pinned": {"k@1": 2},
        "buried": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["red", "--where", "colr = 1"], "unknown attribute"),
        (["red", "--where", '{"and": '], "--where is no JSON"),
        (["red", "--weights", "image=lots"], "no weight"),
        (["red", "--weights", "sound=1"], "no ranking 'sound'"),
        (["red", "--weights", "image"], "0 or more"),
        (["red", "--min-relevance", "much"], "0 to 1 or auto"),
        (["red", "--boost", "brand"], "NAME=VALUE^FACTOR"),
        (["red", "--boost", "colour=blue^nan"], "'nan' in 'colour=blue^nan' is no weight"),
        (["red", "--pin", "a@first"], "KEY@PLACE"),
        (["red", "--modifiers", "[1]"], "JSON object"),
        (["red", "--modifiers", '{"boosts": 5}', "--boost", "a=b"], "'boosts' in --modifiers"),
        (["red", "--modifiers", '{"pinned": [5]}', "--pin", "a@1"], "must be an object, not [5]"),
        (["red", "--modifiers", '{"buried": null}', "--bury", "a"], "must be a list, not null"),
        (["red", "--cursor", "xyz"], "not a cursor"),
        (["red", "--sort", "nope"], "unknown attribute"),
        (["--image", "-", "--image", "-"], "stdin is one picture"),
        (["--exclude", "red.png"], "say what to look for"),
        (["red", "--minus", "red^1"], "cancel"),
    ],
)
def test_bad_option_is_one_line_and_exit_code_2(
    cli: Cli, indexed: Path, arguments: list[str], said: str
) -> None:
    result = cli("query", *arguments, "--collection", indexed)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output


ODD = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    "arguments",
    [
        [ODD],
        [ODD, "--mode", "lexical"],
        [ODD, "-k", "1", "--json"],
        *(
            ["red", option, ODD]
            for option in ("--sort", "--facet", "--where", "--like", "--plus", "--concept")
        ),
        *(["red", option, ODD] for option in ("--within", "--exclude", "--up", "--down", "--bury")),
        ["red", "--template", f"{ODD} {{}}"],
        ["red", "--where", f"brand = '{ODD}'"],
        ["red", "--boost", f"brand={ODD}"],
        ["red", "--pin", f"{ODD}@1"],
        ["red", "--modifiers", '{"buried": ["\\udce9"]}'],
        ["red", "--save-concept", ODD],
        ["--like", ODD, "--save-concept", "odd"],
    ],
    ids=ascii,
)
def test_text_that_is_no_utf8_is_one_line_and_exit_code_2(
    cli: Cli, indexed: Path, arguments: list[str]
) -> None:
    result = cli("query", *arguments, "--collection", indexed)
    assert result.exit_code == 2, result.output
    assert "half a character" in result.stderr
    assert "Traceback" not in result.output
    assert cli("concepts", "--json", "--collection", indexed).stdout == ""


def test_json_has_hits_first_and_then_one_line_for_each_kind(cli: Cli, indexed: Path) -> None:
    result = cli(
        *("query", "a taxi", "--to", "text", "-k", "2", "--facet", "price", "--pages"),
        *("--explain", "--json", "--collection", indexed),
    )
    first, second, facet, pages, explain = lines(result.stdout)
    assert (first["rank"], second["rank"]) == (1, 2)
    assert set(first["parts"]) == {"text"}
    assert facet["facet"] == "price"
    assert facet["missing"] == 4
    assert pages["total"] == 4
    assert explain["explain"]
    again = cli(
        *("query", "a taxi", "--to", "text", "-k", "2", "--facet", "price"),
        *("--cursor", pages["cursor"], "--json", "--collection", indexed),
    )
    third, fourth, *_, last = lines(again.stdout)
    assert (third["rank"], fourth["rank"]) == (3, 4)
    assert last["cursor"] is None


def test_words_find_a_text_and_say_what_they_were_taken_for(cli: Cli, indexed: Path) -> None:
    result = cli(
        "query", "byciclesz taxi", "--mode", "lexical", "--explain", "--collection", indexed
    )
    assert result.exit_code == 0, result.output
    assert "a yellow taxi in the city" in result.stdout
    assert "word 'taxi': in 1 items" in result.stderr


def test_filter_alone_lists_items(cli: Cli, indexed: Path) -> None:
    result = cli("query", "--where", "price > 20", "--json", "--collection", indexed)
    assert [hit["text"] for hit in lines(result.stdout)] == ["two people ride bicycles"]


def test_saved_concept_is_listed_used_and_forgotten(cli: Cli, indexed: Path) -> None:
    at = ("--collection", indexed)
    saved = cli("query", "a dog", "--minus", "a beach", "--save-concept", "dogs", "--json", *at)
    assert saved.exit_code == 0, saved.output
    assert cli("concepts", *at).stdout == "dogs  'a dog', 'a beach'^-0.5\n"
    used = cli("query", "--concept", "dogs", "--json", *at)
    scores = [[hit["score"] for hit in lines(result.stdout)] for result in (saved, used)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    (one,) = lines(cli("concepts", "--json", *at).stdout)
    assert one["name"] == "dogs"
    assert cli("concepts", "--remove", "dogs", *at).exit_code == 0
    gone = cli("concepts", "--remove", "dogs", *at)
    assert gone.exit_code == 1
    assert gone.stderr == "error: no concept is called 'dogs': none is saved yet\n"
