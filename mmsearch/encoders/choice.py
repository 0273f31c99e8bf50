"""Which precision a CPU encodes pictures in, and the towers among which that is decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from mmsearch.encoders import precision as precisions
from mmsearch.encoders.bf16_tower import Bf16Tower
from mmsearch.encoders.precision import MIN_COSINE, MIN_GAIN, Trial, compare
from mmsearch.errors import ModelError

if TYPE_CHECKING:
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder
    from mmsearch.types import Pixels, Precision, Vectors, WantedPrecision

# With fewer pictures a trial says little: it is made, but not remembered.
_ENOUGH = 8


class Tower(Protocol):
    """An image tower in another precision than fp32; one thread computes it alone."""

    @property
    def trial(self) -> Trial | None:
        """What it showed on this CPU; None before its first trial."""
        ...

    def keep(self, trial: Trial) -> None: ...

    def __call__(self, pixels: Pixels) -> Vectors: ...


class Choice:
    """The precision of one encoder on a CPU: what was asked for, then what it came to.

    Raises ModelError at once where what was asked for cannot be had here.
    """

    def __init__(
        self, encoder: OpenClipEncoder, wanted: WantedPrecision, on_note: Callable[[str], None]
    ) -> None:
        self._wanted = wanted
        self._on_note = on_note
        self._name = encoder.name
        self._towers = _towers(encoder, wanted)
        self._decided: tuple[Precision, Tower | None] | None = None
        if wanted == "fp32" or (wanted == "auto" and not self._towers):
            self._decided = "fp32", None
        elif all(tower.trial is not None for tower in self._towers.values()):
            self._decide([t.trial for t in self._towers.values() if t.trial is not None])

    @property
    def precision(self) -> Precision | None:
        """None until enough pictures came for a trial."""
        return self._decided[0] if self._decided else None

    def tower(self, pixels: Pixels, reference: Callable[[Pixels], Vectors]) -> Tower | None:
        """What is to encode these pictures; None: torch in fp32, which `reference` is too.

        Call it where torch has one thread: the first pictures are a trial. Raises ModelError if
        vectors of the precision asked for are too far from those of fp32.
        """
        if self._decided is None:
            if len(pixels) < _ENOUGH and self._wanted == "auto":
                return None
            trials = [
                tower.trial or compare(precision, tower, reference, pixels)
                for precision, tower in self._towers.items()
            ]
            if len(pixels) < _ENOUGH:
                _require_faithful(self._name, trials[0])
                return next(iter(self._towers.values()))
            for trial in trials:
                self._towers[trial.precision].keep(trial)
            self._decide(trials)
        assert self._decided is not None
        return self._decided[1]

    def _decide(self, trials: list[Trial]) -> None:
        if self._wanted != "auto":
            (trial,) = trials
            _require_faithful(self._name, trial)
            best: Trial | None = trial
        else:
            worth = [trial for trial in trials if trial.faithful and trial.gain >= MIN_GAIN]
            best = max(worth, key=lambda trial: trial.gain, default=None)
        for trial in trials:
            self._on_note(str(trial))
        if best is None:
            self._on_note(
                "pictures are encoded in fp32: nothing else is both faithful to it "
                f"(cosine {MIN_COSINE} or more) and {MIN_GAIN} x as fast"
            )
            self._decided = "fp32", None
        else:
            self._decided = best.precision, self._towers[best.precision]
        self._towers = {}  # those that lost give their memory back


def _towers(encoder: OpenClipEncoder, wanted: WantedPrecision) -> dict[Precision, Tower]:
    """What `wanted` allows here. For `auto` only what CPU and packages promise a gain from."""
    from mmsearch.encoders import int8_tower

    towers: dict[Precision, Tower] = {}
    if wanted == "bf16" and not precisions.has_bf16():
        raise ModelError(
            f"bf16 would be slower than fp32 on this CPU ({precisions.cpu_name()}): it has neither "
            "AVX512_BF16 nor AMX; use --precision auto"
        )
    if wanted == "int8" and (reason := int8_tower.missing()):
        raise ModelError(reason)
    # Convolutions stay fp32 in the int8 tower, and torch's fp32 ones are the faster.
    promising = not encoder.convolutional and int8_tower.missing() is None
    if wanted == "int8" or (wanted == "auto" and promising):
        try:
            towers["int8"] = int8_tower.Int8Tower(encoder)
        except ModelError:
            if wanted == "int8":
                raise
    if wanted == "bf16" or (wanted == "auto" and precisions.has_bf16()):
        try:
            towers["bf16"] = Bf16Tower(encoder)
        except ModelError:
            if wanted == "bf16":
                raise
    return towers


def _require_faithful(name: str, trial: Trial) -> None:
    if not trial.faithful:
        raise ModelError(
            f"model {name!r}: {trial}; below {MIN_COSINE} answers would suffer: "
            "use --precision fp32"
        )
