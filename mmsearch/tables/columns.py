"""Which columns of a table hold what: names of columns, and the cells found by them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mmsearch.tables.values import clean_text, python_value

Row = dict[str, Any]

# In order of preference; names are compared without case.
TEXT_COLUMNS = ("caption", "captions", "text")
JOINED_COLUMNS = ("title", "description")
IMAGE_COLUMNS = ("image", "image_path", "path", "file", "filename", "filepath", "img")
KEY_COLUMNS = ("key", "id", "sku", "item_id", "product_id", "asin")
GROUP_COLUMNS = ("group", "group_id", "parent_id")
IMAGES_COLUMN = "images"  # several pictures of one item; so do image2, image3, ...
CONTENT_COLUMNS = frozenset((*TEXT_COLUMNS, *JOINED_COLUMNS, *IMAGE_COLUMNS, IMAGES_COLUMN))
_NUMBERED_IMAGE = re.compile(r"image[ _]?([2-9]|[1-9][0-9])")


@dataclass(frozen=True)
class Columns:
    """The columns of a row by what they may hold, in order of preference."""

    key: tuple[str, ...]
    group: tuple[str, ...]
    text: tuple[str, ...]
    joined: tuple[str, ...]
    pictures: tuple[tuple[str, ...], ...]  # one picture, or list of pictures, of each
    with_nul: bool  # whether U+0000 stands in one of the names


@lru_cache(maxsize=64)
def columns_of(columns: tuple[str, ...]) -> Columns:
    names = by_folded(columns)

    def there(wanted: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names[column] for column in wanted if column in names)

    pictures = there(IMAGE_COLUMNS), *((name,) for name in there(picture_columns(names)))
    return Columns(
        there(KEY_COLUMNS),
        there(GROUP_COLUMNS),
        there(TEXT_COLUMNS),
        there(JOINED_COLUMNS),
        tuple(filter(None, pictures)),
        any("\0" in name for name in columns),
    )


@lru_cache(maxsize=64)  # the rows of a table have the same columns, or a few kinds of them
def by_folded(columns: tuple[str, ...]) -> Mapping[str, str]:
    """Column names by how they are looked for: trimmed, in lower case; the first of equals."""
    return {folded(name): name for name in reversed(columns)}


def folded(name: str) -> str:
    return name.strip().lower()


def picture_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """Those of the folded column names that may hold further pictures, in their order."""
    return _picture_columns(tuple(columns))


@lru_cache(maxsize=64)
def _picture_columns(columns: tuple[str, ...]) -> tuple[str, ...]:
    numbered = sorted(
        (int(match[1]), name) for name in columns if (match := _NUMBERED_IMAGE.fullmatch(name))
    )
    return (IMAGES_COLUMN, *(name for _, name in numbered))


def take_first(rest: Row, names: Mapping[str, str], wanted: tuple[str, ...]) -> Any:
    """Remove and return the first of these columns that is not empty, else None.

    `names`: see by_folded.
    """
    return take_there(rest, [name for column in wanted if (name := names.get(column)) in rest])


def take_there(rest: Row, columns: Sequence[str]) -> Any:
    """`take_first` of columns that are all there."""
    found = None
    for name in columns:
        value = rest[name]
        if isinstance(value, str):
            empty = not value or value.isspace()
        else:
            value = python_value(value)
            empty = value is None or value == []
        if empty:
            del rest[name]
        elif found is None:
            found = value
            del rest[name]
    return found


def take_name(rest: Row, names: Mapping[str, str], wanted: tuple[str, ...]) -> str | None:
    """`take_first` of a column that names something."""
    return _name(take_first(rest, names, wanted))


def take_there_name(rest: Row, columns: Sequence[str]) -> str | None:
    """`take_name` of columns that are all there."""
    return _name(take_there(rest, columns)) if columns else None


def _name(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():  # pandas' integers with a gap
        value = int(value)
    return None if value is None else clean_text(str(value))
