"""Pictures made small and written into the page as data URIs."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from mmsearch import images
from mmsearch.errors import ImageError, InputError
from mmsearch.evaluation.pictures import read
from mmsearch.evaluation.report.markup import Markup, element

SIDE = 160  # pixels of the longer side: sharp at the 80 CSS pixels that a phone with 2x shows
QUALITY = 72


class Thumbnails:
    """Each picture decoded once; `failures` are those that could not be, with their reasons."""

    def __init__(self) -> None:
        self.failures: dict[str, str] = {}
        self._made: dict[str, tuple[str, int, int] | None] = {}

    def image(self, name: str, alt: str) -> Markup:
        """An `img` of the picture `name` (see `pictures.read`), or a box in its place."""
        if name not in self._made:
            self._made[name] = self._make(name)
        made = self._made[name]
        if made is None:
            return element("span", "no picture", class_="missing", role="img", aria_label=alt)
        source, width, height = made
        return element("img", src=source, alt=alt, width=width, height=height, loading="lazy")

    def _make(self, name: str) -> tuple[str, int, int] | None:
        try:
            picture = images.decode(read(name), SIDE).image
        except (ImageError, InputError) as error:
            self.failures[name] = str(error)
            return None
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        return f"data:image/jpeg;base64,{data}", *picture.size


def short_name(name: str) -> str:
    """What to call a picture in a caption: the last part of its path or of its place in a shard."""
    return Path(name.rpartition("::")[2]).name
