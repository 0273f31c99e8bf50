"""A query's journey, from terms to hits; searcher.py is the way through it."""
