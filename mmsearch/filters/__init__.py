"""Filters: a condition on items, read from text or JSON, and evaluated by a database or in Python.

    filter = parse("price < 50 and colour in ('red', 'blue')")
    matches(filter, {"attributes": {"price": 20, "colour": "red"}})  # True
    to_sql(filter).text  # a condition for WHERE

docs/filters.md has the grammar and the meaning of everything in it.
"""

from __future__ import annotations

from mmsearch.filters.json_form import from_json, to_json
from mmsearch.filters.match import matches
from mmsearch.filters.nodes import Filter, Schema, ValueType, schema_of, type_of
from mmsearch.filters.parser import parse
from mmsearch.filters.sqlite import Sql, live_items, to_sql
from mmsearch.filters.text_form import to_text

__all__ = [
    "Filter",
    "Schema",
    "Sql",
    "ValueType",
    "from_json",
    "live_items",
    "matches",
    "parse",
    "schema_of",
    "to_json",
    "to_sql",
    "to_text",
    "type_of",
]
