"""From pairs to arrays: every picture and text once, encoded by the base, and cut in two."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmsearch.adaptation.features import FeatureStore, Floats, fill
from mmsearch.adaptation.pairs import Pair, Pairs
from mmsearch.adaptation.split import Link, Rule, split
from mmsearch.errors import ImageError, MmsearchError, TrainingError
from mmsearch.images import decode, digest_file
from mmsearch.types import Failure, OnProgress

if TYPE_CHECKING:
    from mmsearch.encoders.adapter import ImageInput
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder

# Below this a held-out tenth is two pictures, and any score is noise.
FEWEST_PAIRS = 20
WORKERS = 2


@dataclass(frozen=True)
class Side:
    """Pairs by row number: `images` and `texts` are (k,) rows of `Examples`, `weights` (k,)."""

    images: npt.NDArray[np.int64]
    texts: npt.NDArray[np.int64]
    weights: Floats


@dataclass(frozen=True)
class Examples:
    """Distinct pictures and texts with what the base makes of them.

    images: (n, d) and texts: (m, d), unit rows; inputs: (n, p), what the image map reads. paths:
    a file of each picture; words: each text. `failures` are the pairs left out, `merged` how many
    repeated another one.
    """

    images: Floats
    inputs: Floats
    texts: Floats
    paths: tuple[Path, ...]
    words: tuple[str, ...]
    train: Side
    held_out: Side
    rule: Rule
    failures: tuple[Failure, ...]
    merged: int
    digest: str


def prepare(
    given: Pairs,
    base: OpenClipEncoder,
    image_input: ImageInput,
    cache: Path,
    held_out: float,
    on_progress: OnProgress,
) -> Examples:
    """Read, encode and split. A pair whose picture cannot be read becomes a Failure.

    Raises TrainingError when too little is left to learn from, StorageError for a full disk.
    """
    places, unreadable = _digests(given.pairs)
    # Before anything is encoded; pictures that turn out damaged are counted out below.
    failures = _failures(given, unreadable)
    _require_enough(_merged(_kept(given, unreadable), places), failures)
    store = FeatureStore(cache / f"{base.fingerprint}-{image_input}")
    first_path = {digest: path for path, digest in reversed(places.items())}
    wanted = list(dict.fromkeys(places.values()))
    reader = _Reader(base, image_input, first_path)
    fill(store, wanted, reader.compute, "pictures", on_progress)
    reasons = unreadable | {p: reader.reasons[d] for p, d in places.items() if d in reader.reasons}
    failures = _failures(given, reasons)
    kept = _kept(given, reasons)
    merged = _merged(kept, places)
    _require_enough(merged, failures)
    links = list(merged)
    words = tuple(dict.fromkeys(link.text for link in links))
    texts = FeatureStore(cache / f"{base.fingerprint}-texts")
    rows = _encode_texts(base, words, texts, on_progress)
    digests = list(dict.fromkeys(link.image for link in links))
    both = store.rows(digests)
    cut = split(links, held_out)
    pick = _Sides(digests, words, links, list(merged.values()))
    return Examples(
        images=both[:, : base.dim],
        inputs=both[:, base.dim :] if image_input == "pooled" else both,
        texts=rows,
        paths=tuple(first_path[digest] for digest in digests),
        words=words,
        train=pick(cut.train),
        held_out=pick(cut.held_out),
        rule=cut.rule,
        failures=tuple(failures),
        merged=len(kept) - len(links),
        digest=_content(links, list(merged.values())),
    )


class _Reader:
    """Decodes and encodes chunks of pictures by digest; remembers those that it could not."""

    def __init__(
        self, base: OpenClipEncoder, image_input: ImageInput, paths: dict[bytes, Path]
    ) -> None:
        self._base, self._pooled, self._paths = base, image_input == "pooled", paths
        self.reasons: dict[bytes, str] = {}

    def compute(self, digests: Sequence[bytes]) -> tuple[Sequence[bytes], Floats]:
        with ThreadPoolExecutor(WORKERS) as pool:
            read = list(pool.map(lambda digest: self._read(self._paths[digest]), digests))
        good = [(d, pixels) for d, pixels in zip(digests, read, strict=True) if _is_pixels(pixels)]
        for digest, result in zip(digests, read, strict=True):
            if isinstance(result, ImageError):
                self.reasons[digest] = str(result)
        if not good:
            return [], np.zeros((0, 0), np.float32)
        pixels = np.stack([pixels for _, pixels in good if not isinstance(pixels, ImageError)])
        if self._pooled:
            rows = np.concatenate(self._base.encode_pooled_images(pixels), axis=1)  # (n, d + p)
        else:
            rows = self._base.encode_images(pixels)
        return [digest for digest, _ in good], rows

    def _read(self, path: Path) -> npt.NDArray[np.uint8] | ImageError:
        try:
            return self._base.preprocess(decode(path, self._base.image_size).image)
        except ImageError as error:
            return error


class _Sides:
    """Makes a Side of positions in the list of links."""

    def __init__(
        self,
        digests: Sequence[bytes],
        words: Sequence[str],
        links: Sequence[Link],
        weights: Sequence[float],
    ) -> None:
        image_row = {digest: row for row, digest in enumerate(digests)}
        text_row = {word: row for row, word in enumerate(words)}
        self._images = np.array([image_row[link.image] for link in links], np.int64)
        self._texts = np.array([text_row[link.text] for link in links], np.int64)
        self._weights = np.array(weights, np.float32)

    def __call__(self, positions: Sequence[int]) -> Side:
        at = np.array(positions, np.int64)
        return Side(self._images[at], self._texts[at], self._weights[at])


def _is_pixels(value: object) -> bool:
    return not isinstance(value, ImageError)


def _digests(pairs: Sequence[Pair]) -> tuple[dict[Path, bytes], dict[Path, str]]:
    """The digest of each file, and why the others could not be read."""
    digests: dict[Path, bytes] = {}
    reasons: dict[Path, str] = {}
    for path in dict.fromkeys(pair.image for pair in pairs):
        try:
            digests[path] = digest_file(path)
        except MmsearchError as error:
            reasons[path] = str(error)
    return digests, reasons


def _kept(given: Pairs, reasons: Mapping[Path, str]) -> list[Pair]:
    return [pair for pair in given.pairs if pair.image not in reasons]


def _failures(given: Pairs, reasons: Mapping[Path, str]) -> list[Failure]:
    left_out = [pair for pair in given.pairs if pair.image in reasons]
    return [*given.failures, *(Failure(pair.key, reasons[pair.image]) for pair in left_out)]


def _merged(pairs: Sequence[Pair], digests: dict[Path, bytes]) -> dict[Link, float]:
    """Each distinct pair once, with all of its groups and the sum of the weights."""
    weights: dict[tuple[bytes, str], float] = {}
    groups: dict[tuple[bytes, str], set[str]] = {}
    for pair in pairs:
        content = digests[pair.image], pair.text
        weights[content] = weights.get(content, 0.0) + pair.weight
        groups.setdefault(content, set()).update(() if pair.group is None else (pair.group,))
    return {
        Link(*content, tuple(sorted(groups[content]))): weight
        for content, weight in weights.items()
    }


def _require_enough(merged: dict[Link, float], failures: Sequence[Failure]) -> None:
    note = ""
    if failures:
        note = f" ({len(failures)} were left out, the first: {failures[0].reason})"
    if len(merged) < FEWEST_PAIRS:
        raise TrainingError(
            f"only {len(merged)} distinct pairs{note}: at least {FEWEST_PAIRS} are needed, and a "
            "hundred before anything can be expected; add pairs"
        )
    for what, distinct in (
        ("text", {link.text for link in merged}),
        ("picture", {link.image for link in merged}),
    ):
        if len(distinct) == 1:
            raise TrainingError(
                f"all {len(merged)} pairs have the same {what}{note}: there is nothing to tell "
                f"apart; add pairs with another {what}"
            )


def _encode_texts(
    base: OpenClipEncoder, words: Sequence[str], store: FeatureStore, on_progress: OnProgress
) -> Floats:
    by_digest = {hashlib.blake2b(word.encode(), digest_size=16).digest(): word for word in words}
    compute: Callable[[Sequence[bytes]], tuple[Sequence[bytes], Floats]] = lambda part: (  # noqa: E731
        part,
        base.encode_texts([by_digest[digest] for digest in part]),
    )
    fill(store, list(by_digest), compute, "texts", on_progress)
    return store.rows(list(by_digest))


def _content(links: Sequence[Link], weights: Sequence[float]) -> str:
    """A digest of all pairs, in their order: what a checkpoint must have been made from."""
    digest = hashlib.blake2b(digest_size=16)
    for link, weight in zip(links, weights, strict=True):
        digest.update(repr((link.image, link.text, link.groups, weight)).encode())
    return digest.hexdigest()
