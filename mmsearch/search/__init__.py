"""A query's journey, from terms to hits; searcher.py is the way through it."""

from __future__ import annotations

from mmsearch.search.request import MAX_K, validate
from mmsearch.search.searcher import Searcher
from mmsearch.search.terms import combine

__all__ = ["MAX_K", "Searcher", "combine", "validate"]
