"""Pictures on their way to a server: read here, sent as bytes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mmsearch.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

    Picture = bytes | Path | Image.Image

_LOSSLESS = ("1", "L", "LA", "RGB", "RGBA")  # modes that PNG keeps as they are


def picture_bytes(picture: Picture) -> bytes:
    """The file of a picture; of a Pillow image a PNG with the same pixels.

    Raises ImageError where it cannot be read.
    """
    if isinstance(picture, bytes | bytearray):
        return bytes(picture)
    if isinstance(picture, os.PathLike):
        path = Path(picture)
        try:
            return path.read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ImageError(
                f"{path}: cannot be read ({reason}); check that it is there and readable"
            ) from error
    if not hasattr(picture, "convert"):  # Pillow is not loaded for those who send none of its own
        raise ImageError(
            f"a picture is a path, bytes or a Pillow image, not {type(picture).__name__}"
        )
    out = io.BytesIO()
    try:
        whole = picture if picture.mode in _LOSSLESS else picture.convert("RGB")
        whole.save(out, "png", compress_level=1)
    except (OSError, ValueError) as error:  # its file is cut off, or closed
        raise ImageError(f"a Pillow image cannot be read ({error}); open it anew") from error
    return out.getvalue()
