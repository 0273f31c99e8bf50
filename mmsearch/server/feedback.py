"""What people did with hits, one line each in the collection's directory.

A line of `feedback.jsonl` is a row of queries with judgements for `mmsearch evaluate --queries`,
and a pair of picture and words for `mmsearch train`. What was turned down lies in `dislikes.jsonl`
apart: as a query without any right answer it would only weigh down a measure.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmsearch.errors import StorageError, UsageError
from mmsearch.server.schemas import FeedbackIn
from mmsearch.server.shelf import Held, Shelf

LIKES = "feedback.jsonl"
DISLIKES = "dislikes.jsonl"
GRADES = {"click": 1, "up": 2, "down": 0}


class Feedback:
    """Appends to the two files. For any thread."""

    def __init__(self, root: Path, shelf: Shelf) -> None:
        self._root = root
        self._shelf = shelf
        self._lock = threading.Lock()

    def add(self, given: FeedbackIn) -> None:
        """Raises ItemNotFoundError, UsageError for a query without words, StorageError."""
        item = self._shelf.item(given.key)
        row = self._row(given, item, self._words(given))
        path = self._root / (DISLIKES if given.action == "down" else LIKES)
        line = json.dumps(row, ensure_ascii=False) + "\n"
        try:
            with self._lock, open(path, "a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise StorageError(f"cannot write to {path.name}: {error.strerror}") from error

    def _words(self, given: FeedbackIn) -> str:
        """What was asked, in words; those of an item where its like was asked for."""
        said = [given.query.text]
        said += [
            term.text if term.item is None else self._shelf.item(term.item).text
            for term in given.query.terms
            if term.weight > 0
        ]
        words = [one.strip() for one in said if one is not None and one.strip()]
        if not words:
            raise UsageError("feedback is kept of queries with words: this one has none")
        return " ".join(words)

    def _row(self, given: FeedbackIn, item: Held, words: str) -> dict[str, Any]:
        grade = GRADES[given.action]
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        row: dict[str, Any] = {
            "id": f"{now}-{secrets.token_hex(4)}",  # each click is a query of its own
            "text": words,
            "relevant": {item.key: grade},
            "action": given.action,
            "rank": given.rank,
            "query": given.query.model_dump(exclude_defaults=True),
        }
        if item.picture is not None:  # `train` looks for pictures from the file's own folder
            row["path"] = os.path.relpath(item.picture, self._root)
        if item.group is not None:
            row["group"] = item.group
        if grade:
            row["weight"] = grade
        return row
