"""A place in a ranking that survives between two requests."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.errors import UsageError

if TYPE_CHECKING:
    from mmsearch.ranking.ranked import Ranked

_CHECK_BYTES = 6
_FORM = 1  # raised when the fields change: an old cursor is then refused, not misread


@dataclass(frozen=True)
class Cursor:
    """The last item that was shown: `id` and its `score`, `shown` items in all.

    `query` is a digest of the whole request (`query_digest`), `seq` the collection's sequence
    number. Search `shown` + page size candidates for the next page.
    """

    id: int
    score: float
    shown: int
    query: str
    seq: int

    def encode(self) -> str:
        """URL-safe text with a checksum. It is opaque, but no secret and no signature."""
        body = json.dumps([_FORM, self.id, self.score, self.shown, self.query, self.seq]).encode()
        return base64.urlsafe_b64encode(_check(body) + body).decode().rstrip("=")


@dataclass(frozen=True)
class Page:
    """Rows `start` to `stop` of the ranking; `changed`: the collection is not the one that the
    cursor was made for, so that items may be missed or come twice; `found`: the cursor's item is
    in the ranking."""

    start: int
    stop: int
    changed: bool = False
    found: bool = True


def query_digest(request: object) -> str:
    """What ties a cursor to its request: equal JSON values, equal digests."""
    form = json.dumps(request, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    # Names of files may hold bytes that are no UTF-8.
    return hashlib.blake2b(form.encode(errors="surrogateescape"), digest_size=8).hexdigest()


def decode(text: str, query: str) -> Cursor:
    """The cursor of the request whose digest is `query`.

    Raises UsageError for a text that is no cursor, was damaged, or belongs to another query.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        check, body = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        if check != _check(body):
            raise ValueError("its checksum is wrong")
        fields: list[Any] = json.loads(body)
        form, item, score, shown, digest, seq = fields
    except (ValueError, binascii.Error) as error:
        raise UsageError(
            f"{text[:80]!r} is not a cursor that a search gave ({error}): use it unchanged, or "
            "begin again without one"
        ) from error
    if form != _FORM:
        raise UsageError("the cursor is of another version of mmsearch: begin again without one")
    if digest != query:
        raise UsageError(
            "the cursor belongs to another query: repeat the query that gave it, with the same "
            "filter and the same options, or begin again without a cursor"
        )
    return Cursor(int(item), float(score), int(shown), str(digest), int(seq))


def page(
    ranking: Ranked, size: int, seq: int, after: Cursor | None = None, *, by_score: bool = True
) -> Page:
    """The next `size` rows of `ranking` after the cursor (None: the first ones).

    It goes on after the cursor's item, wherever that stands: while the collection does not change
    (same `seq`), no item is missed or repeated, in any deterministic order. If the item is gone,
    it goes on at the first one that would come after it by score and id, or, in an order that is
    not `by_score`, at the place that it has left.

    Raises UsageError for size < 1.
    """
    if size < 1:
        raise UsageError(f"a page holds at least one item, not {size}")
    if after is None:
        return Page(0, min(size, len(ranking)))
    (found,) = np.nonzero(ranking.ids == after.id)
    if len(found):
        start = int(found[0]) + 1
    elif not by_score:
        start = min(after.shown - 1, len(ranking))
    else:
        behind = (ranking.scores < after.score) | (
            (ranking.scores == after.score) & (ranking.ids > after.id)
        )
        start = int(np.argmax(behind)) if behind.any() else len(ranking)
    stop = min(start + size, len(ranking))
    return Page(start, stop, changed=seq != after.seq, found=bool(len(found)))


def cursor_at(ranking: Ranked, stop: int, query: str, seq: int) -> Cursor | None:
    """The cursor behind the rows before `stop`; None where the ranking ends there."""
    if not 0 < stop < len(ranking):
        return None
    score = float(ranking.scores[stop - 1])
    assert math.isfinite(score), "JSON holds finite scores only"
    return Cursor(int(ranking.ids[stop - 1]), score, stop, query, seq)


def _check(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK_BYTES, person=b"mmsearch-cursor").digest()
