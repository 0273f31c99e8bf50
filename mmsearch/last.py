"""What was made last of an array, for when the same array comes again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from mmsearch.types import Ids

_Made = TypeVar("_Made")


class Last(Generic[_Made]):
    """Remembers one thing by the very array that it was made of.

    Only of a read-only array: any other may hold other ids the next time.
    """

    def __init__(self) -> None:
        self._known: tuple[Ids, _Made] | None = None

    def of(self, ids: Ids, make: Callable[[Ids], _Made]) -> _Made:
        """`make(ids)`, or what that gave the last time."""
        if self._known is not None and self._known[0] is ids:
            return self._known[1]
        made = make(ids)
        if not ids.flags.writeable:
            self._known = ids, made
        return made
