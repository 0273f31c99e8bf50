"""What the grammar takes, and how it says no: always with the place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsearch.errors import FilterError, UsageError, exit_code
from mmsearch.filters import Filter, Schema, parse
from mmsearch.filters.build import MAX_CONDITIONS, MAX_DEPTH, MAX_PATTERN
from mmsearch.filters.nodes import (
    And,
    Between,
    Compare,
    Contains,
    Exists,
    Field,
    In,
    IsNull,
    Like,
    Not,
    Or,
)
from mmsearch.filters.parser import MAX_TEXT
from mmsearch.filters.tokens import KEYWORDS

SCHEMA: Schema = {
    "price": {"number"},
    "stock": {"number", "null"},
    "colour": {"string"},
    "tags": {"list", "null"},
    "size": {"string", "number"},
    "sale": {"boolean"},
    "odd name": {"string"},
}

A, B, C = (Compare(Field(name), "=", 1) for name in "abc")


@pytest.mark.parametrize(
    ("text", "filter"),
    [
        ("a = 1", A),
        ("a=1", A),
        ("  a\n=\t1  ", A),
        ("a <> 1", Compare(Field("a"), "!=", 1)),
        ("a >= -1.5e3", Compare(Field("a"), ">=", -1500.0)),
        ("a < .5", Compare(Field("a"), "<", 0.5)),
        ("a = +2.", Compare(Field("a"), "=", 2.0)),
        ("a = 'it''s'", Compare(Field("a"), "=", "it's")),
        ("a = ''", Compare(Field("a"), "=", "")),
        ("a = TRUE", Compare(Field("a"), "=", True)),
        ('"say ""hi""" = 1', Compare(Field('say "hi"'), "=", 1)),
        ('"not" = 1', Compare(Field("not"), "=", 1)),
        ("größe = 1", Compare(Field("größe"), "=", 1)),
        ("_x1 = 1", Compare(Field("_x1"), "=", 1)),
        ("key = 'x'", Compare(Field("key", "key"), "=", "x")),
        ("title = 'x'", Compare(Field("text", "text"), "=", "x")),
        ("Key = 'x'", Compare(Field("Key"), "=", "x")),
        ("a in ('x')", In(Field("a"), ("x",))),
        ("a NOT IN (1,2.5)", Not(In(Field("a"), (1, 2.5)))),
        ("a between 1 and 2 and b = 1", And((Between(Field("a"), 1, 2), B))),
        ("a not like 'x%'", Not(Like(Field("a"), "x%", fold=False))),
        ("a ilike 'x%'", Like(Field("a"), "x%", fold=True)),
        ("a contains 'x'", Contains(Field("a"), "x")),
        ("a is null", IsNull(Field("a"))),
        ("a is not null", Not(IsNull(Field("a")))),
        ("a exists", Exists(Field("a"))),
        ("a not exists", Not(Exists(Field("a")))),
        ("a = 1 or b = 1 and c = 1", Or((A, And((B, C))))),
        ("(a = 1 or b = 1) and c = 1", And((Or((A, B)), C))),
        ("not a = 1 and b = 1", And((Not(A), B))),
        ("not (a = 1 and b = 1)", Not(And((A, B)))),
        ("not not a = 1", Not(Not(A))),
        ("a = 1 and (b = 1 and c = 1)", And((A, B, C))),
        ("((a = 1))", A),
        ("a = 9223372036854775808", Compare(Field("a"), "=", float(2**63))),
    ],
)
def test_reads(text: str, filter: Filter) -> None:
    # repr tells 1 from 1.0 and from True, which are equal.
    assert repr(parse(text)) == repr(filter)


@pytest.mark.parametrize("keyword", sorted(KEYWORDS))
def test_keywords_in_any_case_are_names_only_in_quotes(keyword: str) -> None:
    assert parse(f'"{keyword}" = 1') == Compare(Field(keyword), "=", 1)
    with pytest.raises(FilterError):
        parse(f"{keyword.upper()} = 1")


@pytest.mark.parametrize(
    ("text", "marked", "says"),
    [
        ("colr = 'red'", "colr", "unknown attribute 'colr': did you mean colour?"),
        ("PRICE = 1", "PRICE", "did you mean price?"),
        ("oddname = 1", "oddname", 'did you mean "odd name"?'),
        ("xyzzy = 1", "xyzzy", "there are key, text, group, path, colour, odd name, price"),
        ("price < 5 and\n  colr = 'red'", "colr", "did you mean colour?"),
        ("price < '50'", "price < '50'", "never a string: write the number without quotes"),
        ("colour = 5", "colour = 5", "'colour' is a string, never a number: put the value in"),
        ("size = true", "size = true", "'size' is a number or string, never a boolean"),
        ("tags = 'x'", "tags = 'x'", "write tags contains …"),
        ("colour contains 'x'", "colour contains 'x'", "write colour like … or colour = …"),
        ("price like '%5'", "'%5'", "'price' is a number, never a string"),
        ("key = 5", "key = 5", "'key' is a string, never a number"),
        ("key contains 'x'", "key contains 'x'", "contains is for lists"),
        ("sale < true", "sale < true", "true and false have no order"),
        ("sale between false and true", "sale between false and true", "have no order"),
        ("size in (1, 'a')", "size in (1, 'a')", "1 is a number and 'a' is a string"),
        ("size between 1 and 'a'", "size between 1 and 'a'", "give values of one type"),
        ("colour like 5", "5", "like compares strings"),
        (r"colour like 'a\b'", r"'a\b'", r"\ before 'b' of a pattern"),
        ("colour like 'a\\'", "'a\\'", r"\ at the end of a pattern"),
        ("colour like '\ufffd'", "'\ufffd'", "U+FFFD cannot stand in a pattern"),
        ("colour = 'red", "'", "this string has no closing '"),
        ("colour = 'it''s", "'", "this string has no closing '"),
        ('"odd = 3', '"', 'this name has no closing "'),
        ("colour = ‘red’", "‘", "quotes are straight"),
        ("colour = red", "red", "a string is written 'red'"),
        ('colour = "red"', '"red"', "a string is written 'red'"),
        ("price = null", "null", "write is null or is not null"),
        ("price in (1, null)", "null", "write is null or is not null"),
        ("price in ()", ")", "in () is never true"),
        ("price in 1", "1", "expected ( and values"),
        ("price in (1 2)", "2", "expected , or )"),
        ("price in (1, 2", "(", "this ( is never closed"),
        ("(price < 1 or stock > 2", "(", "this ( is never closed"),
        ("(price < 1 stock", "stock", "expected and, or, or )"),
        ("price < 5)", ")", "expected and, or, or the end"),
        ("price < 5 stock = 3", "stock", "expected and, or, or the end"),
        ("5 < price", "5", "the name comes first"),
        ("like = 3", "like", 'an attribute of that name is written "like"'),
        ("price is 5", "5", "expected null or not null"),
        ("price == 5", "==", "equality is written ="),
        ("price < 5 && stock > 1", "&&", "write and"),
        ("price < 5 || stock > 1", "||", "write or"),
        ("!price = 5", "!", "write not"),
        ("price < 5; drop table items", ";", "one condition, not a statement"),
        ("price < 5 -- all", "--", "no comments"),
        ("price < 5 /* all */", "/*", "no comments"),
        ("price @ 5", "@", "unexpected '@'"),
        ("price < 5\x00", "\x00", "unexpected U+0000"),
        ("colour = 'a\x00b'", "a\x00b", "U+0000 cannot stand in a filter"),
        ("colour = '\udc80'", "\udc80", "half a character"),
        ("price < 5abc", "5abc", "quote it?"),
        ("price < 1.2.3", "1.2.3", "quote it?"),
        ("price < 1e999", "1e999", "too large"),
        (f"price < 1{'0' * 399}", f"1{'0' * 399}", "too large"),
        (f"price < {'9' * 5000}", "9" * 5000, "a number of 5,000 characters"),
        ("price < nan", "nan", "expected a value"),
        ("price << 5", "<", "expected a value"),
        ("price between 1 or 2", "or", "expected and, as in between 1 and 5"),
        ("price", "", "ends where it needs a condition"),
        ("price not", "", "ends where it needs a condition"),
        ("price <", "", "ends where it needs a value"),
        ("price < 5 and", "", "ends where it needs the name"),
        ("not", "", "ends where it needs the name"),
        ("", "", "the filter is empty"),
        (" \n ", "", "the filter is empty"),
        ("()", ")", "expected the name of an attribute"),
    ],
)
def test_no_is_said_with_the_place(text: str, marked: str, says: str) -> None:
    with pytest.raises(FilterError) as raised:
        parse(text, SCHEMA)
    error = raised.value
    message, line, caret = str(error).rsplit("\n", 2)
    assert says in message
    assert error.position is not None
    assert text[error.position :].startswith(marked)
    carets = caret.strip()
    assert set(carets) == {"^"}
    under = line[caret.index("^") :][: len(carets)]
    if marked and marked.isprintable() and len(marked) < 30:
        assert under == marked


def test_caret_stands_under_wide_characters() -> None:
    with pytest.raises(FilterError) as raised:
        parse("名前 = '名' and 色 < 'x'", {"名前": {"string"}, "色": {"number"}})
    _, line, caret = str(raised.value).rsplit("\n", 2)
    columns = sum(2 if character in "名前色" else 1 for character in line[: line.index("色")])
    assert caret == " " * columns + "^" * len("xx < 'x'")


def test_long_filters_are_shown_around_the_place() -> None:
    text = " or ".join(f"price = {number}" for number in range(400))
    with pytest.raises(FilterError) as raised:
        parse(text.replace("price = 200", "prize = 200"), SCHEMA)
    _, line, caret = str(raised.value).rsplit("\n", 2)
    assert len(line) < 100
    assert line.startswith("  …")
    assert line.endswith("…")
    assert line[caret.index("^") :].startswith("prize = 200")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("(" * (MAX_DEPTH + 1) + "a = 1" + ")" * (MAX_DEPTH + 1), "nested more than"),
        ("not " * (MAX_DEPTH + 1) + "a = 1", "nested more than"),
        ("(" * 100_000, "nested more than"),
        (" and ".join(["a = 1"] * (MAX_CONDITIONS + 1)), "conditions"),
        (f"a like '{'x' * (MAX_PATTERN + 1)}'", "a pattern of"),
        ("a" * (MAX_TEXT + 1), "a filter of"),
    ],
)
def test_limits(text: str, says: str) -> None:
    with pytest.raises(FilterError, match=says):
        parse(text)


def test_without_a_schema_any_attribute_may_be_of_any_type() -> None:
    assert parse("anything = 1 and anything = 'x'")


def test_a_bad_filter_is_a_usage_error() -> None:
    with pytest.raises(UsageError) as raised:
        parse("price <")
    assert exit_code(raised.value) == 2


def refusal(text: str) -> FilterError | None:
    try:
        parse(text)
    except FilterError as error:
        return error
    return None


PIECES = [*KEYWORDS, *"=<>!(),'\"%-.;\\\0\n 5aé‘", "<=", "<>", "price", "'x'", '"y"', "1e5", "''"]


@settings(max_examples=500, derandomize=True)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.sampled_from(["", " "]))
def test_any_text_is_a_filter_or_a_filter_error(pieces: list[str], between: str) -> None:
    text = between.join(pieces)
    refused = refusal(text)
    if refused is not None:
        assert refused.position is not None
        assert 0 <= refused.position <= len(text)
