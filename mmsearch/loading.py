"""The encoders of one collection: handed over by the caller, or loaded by name on first use."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from mmsearch.catalog.records import EncoderInfo
from mmsearch.encoders.devices import require_device as require_device
from mmsearch.encoders.text_cache import TextCache
from mmsearch.errors import EncoderMismatchError, ModelError, UsageError
from mmsearch.types import (
    Encoder,
    ImageEncoder,
    PreciseEncoder,
    Precision,
    TextEncoder,
    WantedPrecision,
)

if TYPE_CHECKING:
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder

# Texts of queries that are kept encoded: 8 MB at 512 numbers each.
CACHED_TEXTS = 4096

log = logging.getLogger("mmsearch")


class Encoders:
    """Loads each encoder once. `given` ones take the place of every model named.

    `cached_texts`: so many texts of queries are kept encoded.
    """

    def __init__(self, given: Sequence[Encoder] = (), cached_texts: int = CACHED_TEXTS) -> None:
        self._given = list(given)
        self._cached_texts = cached_texts
        self._loaded: dict[str, Encoder] = {}  # by name
        self._text: dict[str, TextCache] = {}  # by fingerprint
        self._image: dict[tuple[str, Precision | None], ImageEncoder] = {}  # by fingerprint
        self._towerless: set[str] = set()  # fingerprints whose text tower takes torch
        self._loading = threading.Lock()  # pictures' tower may be loaded beside text queries

    def add(self, encoder: Encoder) -> None:
        """Take one more into account, before all others."""
        self._given.insert(0, encoder)

    def lasting_name(self, name: str) -> str:
        """What to keep of the name of a model, so that it is found from any folder.

        Raises ModelError for a name that can mean nothing.
        """
        if self._given:
            return name
        from mmsearch.encoders.model_source import lasting_name

        return lasting_name(name)

    def load(
        self,
        name: str,
        device: str | None = None,
        batch_size: int | None = None,
        on_note: Callable[[str], None] | None = None,
    ) -> Encoder:
        """The encoder called `name`; a given one, even of another name, if any was given."""
        if self._given:
            return next((one for one in self._given if one.name == name), self._given[0])
        with self._loading:
            if name not in self._loaded:
                from mmsearch.encoders.open_clip_encoder import load_encoder

                self._loaded[name] = load_encoder(
                    name, device=device, batch_size=batch_size, on_note=on_note
                )
            return self._loaded[name]

    def of(
        self,
        info: EncoderInfo,
        device: str | None = None,
        batch_size: int | None = None,
        on_note: Callable[[str], None] | None = None,
    ) -> Encoder:
        """The encoder of the space `info`.

        Raises ModelError, and EncoderMismatchError when that name is another model by now.
        """
        encoder = self._given_for(info) or self.load(info.name, device, batch_size, on_note)
        require_same(info, encoder)
        return encoder

    def text_tower_of(self, info: EncoderInfo) -> TextCache:
        """The text tower without torch where there is one, else the full encoder."""
        if info.fingerprint not in self._text:
            tower = self._open_text_tower(info)
            self._text[info.fingerprint] = TextCache(tower, self._cached_texts)
        return self._text[info.fingerprint]

    def text_tower_at_hand(self, info: EncoderInfo) -> TextEncoder | None:
        """One that is loaded already, or comes without torch; None: the model would be loaded, or
        even fetched."""
        if info.fingerprint in self._text or self._given_for(info) is not None:
            return self.text_tower_of(info)
        tower = self.kept_text_tower(info)
        if tower is not None:
            self._text[info.fingerprint] = TextCache(tower, self._cached_texts)
            return self._text[info.fingerprint]
        loaded = self._loaded.get(info.name)
        return loaded if loaded and loaded.fingerprint == info.fingerprint else None

    def image_tower_of(self, info: EncoderInfo, own: Precision | None) -> ImageEncoder:
        """The image tower without torch where one is kept, else the full encoder; for pictures
        beside those that were encoded in the precision `own`.

        Raises as `of` does.
        """
        if (info.fingerprint, own) not in self._image:
            tower = self._kept_image_tower(info, own) or self._own_image_tower(info, own)
            self._image[info.fingerprint, own] = tower
        return self._image[info.fingerprint, own]

    def _own_image_tower(self, info: EncoderInfo, own: Precision | None) -> ImageEncoder:
        encoder = self.of(info)
        if not self._given:
            from mmsearch.encoders.text_tower import keep_text_tower

            keep_text_tower(info.fingerprint, info.name)  # an image tower needs an adapter's copy
        if own != "int8":
            return encoder
        # Made now, it answers in the encoder's place, which would try it again for each picture.
        encoder = settle_precision(encoder, None, own, log.warning)
        return self._kept_image_tower(info, own) or encoder

    def keep_image_tower(
        self, info: EncoderInfo, own: Precision | None, on_note: Callable[[str], None]
    ) -> bool:
        """Write the image tower of the encoder that a query by picture has loaded, for those of
        other processes. False: none was loaded, or it has no such form, or there is no room."""
        encoder = self._image.get((info.fingerprint, own))
        if not any(encoder is one for one in self._loaded.values()):
            return False
        from mmsearch.encoders.image_tower import keep_image_tower

        base = _with_tower(encoder)
        return base is not None and own != "int8" and keep_image_tower(base, on_note)

    def _kept_image_tower(self, info: EncoderInfo, own: Precision | None) -> ImageEncoder | None:
        # What was loaded is there, and may be on a GPU, where nothing is encoded in int8.
        if self._given or (info.name in self._loaded and own != "int8"):
            return None
        from mmsearch.encoders.image_tower import open_image_tower

        return open_image_tower(info.fingerprint, own)

    def kept_text_tower(self, info: EncoderInfo) -> TextEncoder | None:
        """The text tower without torch; None where there is none, or an encoder was given."""
        if self._given:
            return None
        from mmsearch.encoders.text_tower import open_text_tower

        return open_text_tower(info.fingerprint, info.name)

    def own_text_tower(self, name: str) -> tuple[EncoderInfo, TextEncoder] | None:
        """The same of a model that no space is known of yet, with what its space will be."""
        if self._given:
            return None
        from mmsearch.encoders.text_tower import open_own_tower

        tower = open_own_tower(name)
        if tower is None:
            return None
        return EncoderInfo(name, tower.fingerprint, tower.dim), tower

    def keep_towers(self, encoder: Encoder) -> None:
        """Write the text tower for queries without torch, and the image tower of a small model,
        unless they are there or `encoder` was given."""
        if any(encoder is one for one in self._given):
            return
        from mmsearch.encoders.image_tower import keep_if_small

        self._keep_text_tower(encoder)
        base = _with_tower(encoder)
        if base is not None:
            keep_if_small(base)

    def _keep_text_tower(self, encoder: Encoder) -> None:
        from mmsearch.encoders.text_tower import export_text_tower, open_text_tower

        # Tried once: every run asks, and to write a tower only to see it fail takes seconds.
        is_tried = encoder.fingerprint in self._towerless
        if is_tried or open_text_tower(encoder.fingerprint, encoder.name) is not None:
            return
        if export_text_tower(cast("OpenClipEncoder", encoder)) is None:
            self._towerless.add(encoder.fingerprint)

    def _given_for(self, info: EncoderInfo) -> Encoder | None:
        return next((one for one in self._given if one.fingerprint == info.fingerprint), None)

    def _open_text_tower(self, info: EncoderInfo) -> TextEncoder:
        if self._given:
            return self.of(info)
        from mmsearch.encoders.text_tower import open_text_tower

        tower = open_text_tower(info.fingerprint, info.name)
        if tower is None:
            log.warning("no text tower of %s that runs without torch: loading torch", info.name)
            return self.of(info)
        return tower


def _with_tower(encoder: object) -> OpenClipEncoder | None:
    """The encoder whose image tower can be kept: an adapter's is that of its base."""
    from mmsearch.encoders.adapted_encoder import AdaptedEncoder
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder

    base = encoder.base if isinstance(encoder, AdaptedEncoder) else encoder
    return base if isinstance(base, OpenClipEncoder) else None


def settle_precision(
    encoder: Encoder,
    wanted: WantedPrecision | None,
    own: Precision | None,
    on_note: Callable[[str], None],
) -> Encoder:
    """`encoder`, from now on in the precision `wanted`; None: in the collection's `own`, if any.

    Raises UsageError or ModelError for a wish that cannot be met. Where the own one cannot be had
    on this machine it stays as it is, with a note: the vectors are nearly the same.
    """
    if wanted is None and own is None:
        return encoder
    if not isinstance(encoder, PreciseEncoder):
        if wanted is not None:
            raise UsageError(
                f"the encoder {encoder.name} has no choice of precision: leave out {wanted}"
            )
        return encoder
    if wanted is not None:
        if own is not None and wanted not in (own, "auto"):
            on_note(f"pictures so far are encoded in {own}, from now on in {wanted}")
        if encoder.precision != wanted:
            encoder.use_precision(wanted)
    elif own is not None and encoder.precision != own:
        try:
            encoder.use_precision(own)
        except ModelError as error:
            on_note(f"the collection's pictures are encoded in {own}, but here not: {error}")
    return encoder


def require_same(info: EncoderInfo, encoder: Encoder) -> None:
    """Raises EncoderMismatchError unless `encoder` made the vectors of the space `info`."""
    if encoder.fingerprint != info.fingerprint:
        raise EncoderMismatchError(
            f"the collection holds vectors of {info.name} ({info.fingerprint}), but {encoder.name} "
            f"is {encoder.fingerprint}: vectors of two models cannot be compared. Leave --model "
            f"out, or move the collection to it with `mmsearch reindex --model {encoder.name}`"
        )
