"""The grammar, by recursive descent: or binds less than and, and less than not.

    filter     = all { "or" all } ;
    all        = one { "and" one } ;
    one        = "not" one | "(" filter ")" | condition ;
    condition  = field ( comparison value
                       | "is" [ "not" ] "null"
                       | [ "not" ] ( "in" "(" value { "," value } ")"
                                   | "between" value "and" value
                                   | ( "like" | "ilike" ) string
                                   | "contains" value
                                   | "exists" ) ) ;
    comparison = "=" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ;
    field      = name | quoted ;
    value      = string | number | "true" | "false" ;

By hand, not by a parser generator: most of the lines are error messages, which would remain, and
lark 1.3 takes 0.1 s to import and 0.03 s to build (2026-11), half of a cold query's time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from mmsearch.errors import FilterError
from mmsearch.filters import build
from mmsearch.filters.build import Builder
from mmsearch.filters.nodes import (
    NEGATED,
    And,
    Comparison,
    Condition,
    Field,
    Filter,
    Not,
    Or,
    Schema,
    Value,
)
from mmsearch.filters.place import error_at
from mmsearch.filters.tokens import Token, tokens

MAX_TEXT = 1_000_000


def parse(text: str, schema: Schema | None = None) -> Filter:
    """The filter that `text` says.

    With a schema, names that it lacks and values of a type that an attribute never has are errors.
    Raises FilterError, which shows the place.
    """
    if len(text) > MAX_TEXT:
        raise FilterError(f"a filter of {len(text):,} characters: {MAX_TEXT:,} at most")
    return _Parser(text, Builder(schema)).whole()


class _Parser:
    def __init__(self, text: str, builder: Builder) -> None:
        self._text = text
        self._build = builder
        self._tokens = tokens(text)
        self._next = next(self._tokens)
        self._end = 0  # of the last token taken
        self._depth = 0
        self._conditions = 0

    def whole(self) -> Filter:
        if self._at_end():
            raise self._error("the filter is empty: write for example price < 50")
        filter = self._any()
        if not self._at_end():
            raise self._unexpected("and, or, or the end")
        return filter

    # ---- the grammar

    def _any(self) -> Filter:
        parts = [self._all()]
        while self._accept("keyword", "or"):
            parts.append(self._all())
        return build.junction(Or, parts)

    def _all(self) -> Filter:
        parts = [self._one()]
        while self._accept("keyword", "and"):
            parts.append(self._one())
        return build.junction(And, parts)

    def _one(self) -> Filter:
        opening = self._next
        if opening.value not in ("not", "(") or opening.kind not in ("keyword", "symbol"):
            return self._condition()
        self._depth += 1
        if self._depth > build.MAX_DEPTH:
            raise self._error(f"nested more than {build.MAX_DEPTH} deep: take parentheses away")
        self._advance()
        inner: Filter
        if opening.kind == "keyword":
            inner = Not(self._one())
        else:
            inner = self._any()
            if not self._accept("symbol", ")"):
                if self._at_end():
                    raise self._error("this ( is never closed: write )", opening)
                raise self._unexpected("and, or, or )")
        self._depth -= 1
        return inner

    def _condition(self) -> Filter:
        self._conditions += 1
        if self._conditions > build.MAX_CONDITIONS:
            raise self._error(
                f"more than {build.MAX_CONDITIONS} conditions: write many values as field in (…)"
            )
        token = self._next
        field = self._field()
        if self._next.kind == "symbol" and self._next.value in NEGATED:
            op = cast("Comparison", self._advance().value)
            value = self._value()
            with self._checked(token):
                return self._build.compare(field, op, value)
        if self._accept("keyword", "is"):
            negated = self._accept("keyword", "not")
            if not self._accept("keyword", "null"):
                raise self._unexpected("null or not null")
            return self._negated(negated, self._build.is_null(field))
        negated = self._accept("keyword", "not")
        return self._negated(negated, self._predicate(token, field))

    def _predicate(self, token: Token, field: Field) -> Condition:
        """What may follow `field not`."""
        if self._accept("keyword", "in"):
            values = self._values()
            with self._checked(token):
                return self._build.within(field, values)
        if self._accept("keyword", "between"):
            low = self._value()
            if not self._accept("keyword", "and"):
                raise self._unexpected("and, as in between 1 and 5")
            high = self._value()
            with self._checked(token):
                return self._build.between(field, low, high)
        for word in ("like", "ilike"):
            if self._accept("keyword", word):
                place, pattern = self._next, self._value()
                with self._checked(place):
                    return self._build.like(field, pattern, fold=word == "ilike")
        if self._accept("keyword", "contains"):
            value = self._value()
            with self._checked(token):
                return self._build.contains(field, value)
        if self._accept("keyword", "exists"):
            return self._build.exists(field)
        raise self._unexpected(
            "a condition after the name: = != < <= > >= in between like contains is null exists"
        )

    def _field(self) -> Field:
        token = self._next
        if token.kind in ("word", "quoted"):
            self._advance()
            make = self._build.field if token.kind == "word" else self._build.attribute
            with self._checked(token):
                return make(str(token.value))
        hint = ""
        if token.kind == "keyword":
            hint = f'; an attribute of that name is written "{token.value}"'
        elif token.kind in ("string", "number"):
            hint = ": the name comes first, as in price < 50"
        raise self._unexpected(f"the name of an attribute{hint}")

    def _value(self) -> Value:
        token = self._next
        if token.kind in ("string", "number"):
            return self._advance().value
        if token.kind == "keyword" and token.value in ("true", "false"):
            return self._advance().value == "true"
        hint = ""
        if token.kind == "keyword" and token.value == "null":
            hint = ": nothing equals null, write is null or is not null"
        elif token.kind in ("word", "quoted"):
            hint = f": a string is written '{token.value}'"
        raise self._unexpected(f"a value{hint}")

    def _values(self) -> list[Value]:
        opening = self._next
        if not self._accept("symbol", "("):
            raise self._unexpected("( and values, as in colour in ('red', 'blue')")
        if self._next.kind == "symbol" and self._next.value == ")":
            raise self._error("in () is never true: name one value at least")
        values = [self._value()]
        while self._accept("symbol", ","):
            values.append(self._value())
        if not self._accept("symbol", ")"):
            if self._at_end():
                raise self._error("this ( is never closed: write )", opening)
            raise self._unexpected(", or )")
        return values

    # ---- tokens and errors

    def _at_end(self) -> bool:
        return self._next.kind == "end"

    def _advance(self) -> Token:
        token = self._next
        self._end = token.end
        self._next = next(self._tokens, token)
        return token

    def _accept(self, kind: str, value: str) -> bool:
        if (self._next.kind, self._next.value) != (kind, value):
            return False
        self._advance()
        return True

    @staticmethod
    def _negated(negated: bool, condition: Condition) -> Filter:
        return Not(condition) if negated else condition

    @contextmanager
    def _checked(self, token: Token) -> Iterator[None]:
        """Give a FilterError raised in it a place: all that was read since `token`."""
        try:
            yield
        except FilterError as error:
            raise error_at(str(error), self._text, token.start, self._end) from None

    def _error(self, what: str, token: Token | None = None) -> FilterError:
        token = token or self._next
        return error_at(what, self._text, token.start, token.end)

    def _unexpected(self, expected: str) -> FilterError:
        if self._at_end():
            return self._error(f"the filter ends where it needs {expected}")
        return self._error(f"expected {expected}")
