"""Zero-shot tags: which of some labels a picture shows, by its stored vector, as an attribute.

A label's vector is the mean of its templates' text vectors, renormalised, and the confidence in
label l for picture x is CLIP's own (Radford et al. 2021, arXiv:2103.00020, section 3.1.2):

    p(l | x) = exp(t <x, l>) / sum over labels m of exp(t <x, m>)

with the temperature t that the model was trained with. It compares the labels with each other
only: of labels that all are wrong the least wrong one can be confident. No picture is opened, and
the text tower needs no torch.

Measured with `benchmarks/shop_commands.py` on the 144 single things of sample_data, bundled model
6432b3ae of 2026-11-25, "a photo of {}": right are 83 % of 11 colours, 48 % of 11 categories
("home", "garden") and 99 % of 38 kinds of thing. Of those with a confidence of 0.9 or more (58,
33 and 95 % of the pictures) they are 99, 77 and 100 %. With the model before, other templates
moved that by 2 points. So did taking off each label's mean score over the collection, which is
worse than useless where all items are alike: of things that all are red it called 5 % red, and
not 67 %.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.errors import EncoderMismatchError, NoCollectionError, UsageError
from mmsearch.evaluation.labels import DEFAULT_TEMPLATES, label_vectors
from mmsearch.filters.nodes import COLUMNS
from mmsearch.models.templates import is_ensemble, worded_for
from mmsearch.types import Failure, OnProgress, Progress

if TYPE_CHECKING:
    from mmsearch.catalog.records import StoredItem
    from mmsearch.collection import Collection
    from mmsearch.types import TextEncoder, Vectors

DEFAULT_ATTRIBUTE = "label"
LEAST_CONFIDENCE = 0.5  # more likely than all the other labels together
# F1 of the colours of all 160 sample pictures, 15 of which have two (as above): 0.72 at 0.1, 0.77
# at 0.2, 0.78 from 0.3 to 0.5; the lowest of these finds most of the second ones.
LEAST_CONFIDENCE_MULTI = 0.3
# Where a model does not say: CLIP's training stops it here, and the public models end near it
# (Radford et al., section 2.5).
CLIP_TEMPERATURE = 100.0
MAX_LABELS = 10_000

ITEMS_PER_UPDATE = 10_000
_BLOCK = 4096  # pictures at once: 4096 x 10,000 labels are 160 MB


@dataclass(frozen=True)
class Tagging:
    """What to write, and where.

    `attribute` gets the best label, or with `multi` the list of all that are likely enough.
    `min_confidence` None: LEAST_CONFIDENCE, or LEAST_CONFIDENCE_MULTI. `where` (docs/filters.md)
    chooses items. An item that has the attribute keeps it, unless `overwrite` is set: then it gets
    a new one, or none where no label is likely enough.
    """

    labels: tuple[str, ...]
    attribute: str = DEFAULT_ATTRIBUTE
    templates: tuple[str, ...] = DEFAULT_TEMPLATES
    multi: bool = False
    min_confidence: float | None = None
    where: str | Mapping[str, Any] | None = None
    overwrite: bool = False

    @property
    def least(self) -> float:
        """The confidence below which a label is not given."""
        if self.min_confidence is not None:
            return self.min_confidence
        return LEAST_CONFIDENCE_MULTI if self.multi else LEAST_CONFIDENCE


@dataclass(frozen=True)
class Tag:
    """What one item was given; both are empty where no label was likely enough."""

    key: str
    labels: tuple[str, ...]  # best first
    confidences: tuple[float, ...]


@dataclass(frozen=True)
class TagReport:
    """What a run of `tag` did, or would do.

    `counts` has every label. `unsure` items got none, `kept` had the attribute before. `updated`
    items were changed, `unchanged` ones had that very value.
    """

    attribute: str
    counts: Mapping[str, int]
    unsure: int
    kept: int
    updated: int = 0
    unchanged: int = 0
    failures: tuple[Failure, ...] = ()
    tags: tuple[Tag, ...] = ()


def tag(
    collection: Collection,
    wanted: Tagging,
    *,
    text_encoder: TextEncoder | None = None,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
) -> TagReport:
    """Give the pictures of `collection` an attribute: the labels that they show.

    `text_encoder` None: the text tower of the collection's model. With `dry_run` nothing is
    written. Raises UsageError (FilterError) for labels, templates or a filter that make no sense,
    NoCollectionError, EncoderMismatchError, ModelError, LockedError, StorageError.
    """
    _check(wanted)
    items, vectors = collection.vectors("image")
    # An item's further pictures get what the first one gets.
    chosen = [row for row in _chosen(items, wanted.where) if items[row].picture_of is None]
    todo = [
        row
        for row in chosen
        if wanted.overwrite or items[row].attributes.get(wanted.attribute) is None
    ]
    tags: list[Tag] = []
    if todo:
        encoder = text_encoder or _text_tower(collection)
        _require_same(encoder, collection)
        model = collection.status().model or ""
        templates = worded_for(wanted.templates, model)
        worded = [one.replace("{}", label) for label in wanted.labels for one in templates]
        labels = label_vectors(encoder.encode_texts(worded), len(templates))
        temperature = temperature_of(model) or CLIP_TEMPERATURE
        for start in range(0, len(todo), _BLOCK):
            rows = todo[start : start + _BLOCK]
            likely = confidences(vectors[rows], labels, temperature)
            keys = [items[row].key for row in rows]
            tags += [_tag(key, of, wanted) for key, of in zip(keys, likely, strict=True)]
    given = Counter(label for one in tags for label in one.labels)
    report = TagReport(
        wanted.attribute,
        {label: given[label] for label in wanted.labels},
        unsure=sum(not one.labels for one in tags),
        kept=len(chosen) - len(todo),
        tags=tuple(tags),
    )
    return report if dry_run else _write(collection, wanted, report, on_progress)


def confidences(pictures: Vectors, labels: Vectors, temperature: float) -> Vectors:
    """(n, d) and (m, d) float32 unit rows -> (n, m) float32: p(l | x), rows that sum to 1."""
    logits = temperature * (pictures @ labels.T)  # (n, m)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    likely: Vectors = powers / powers.sum(axis=1, keepdims=True)
    return likely


def _tag(key: str, likely: Vectors, wanted: Tagging) -> Tag:
    """The labels of one item by its (m,) confidences: best first, equal ones in their order."""
    order = np.argsort(-likely, kind="stable")[: None if wanted.multi else 1]
    found = [row for row in order.tolist() if likely[row] >= wanted.least]
    return Tag(
        key,
        tuple(wanted.labels[row] for row in found),
        tuple(round(float(likely[row]), 4) for row in found),
    )


def _write(
    collection: Collection, wanted: Tagging, report: TagReport, on_progress: OnProgress | None
) -> TagReport:
    updated = unchanged = 0
    failures: list[Failure] = []
    for start in range(0, len(report.tags), ITEMS_PER_UPDATE):
        part = report.tags[start : start + ITEMS_PER_UPDATE]
        done = collection.update({one.key: {wanted.attribute: _value(one, wanted)} for one in part})
        updated += done.updated
        unchanged += done.unchanged
        failures += done.failures
        if on_progress:
            on_progress(Progress("commit", start + len(part), len(report.tags)))
    return TagReport(
        **{**vars(report), "updated": updated, "unchanged": unchanged, "failures": tuple(failures)}
    )


def _value(one: Tag, wanted: Tagging) -> str | list[str] | None:
    if not one.labels:
        return None
    return list(one.labels) if wanted.multi else one.labels[0]


def _check(wanted: Tagging) -> None:
    if not wanted.labels or any(not label.strip() for label in wanted.labels):
        raise UsageError('the labels are words, none of them empty: "red,blue,green"')
    if len(wanted.labels) > MAX_LABELS:
        raise UsageError(f"{len(wanted.labels):,} labels: {MAX_LABELS:,} at most")
    twice = [label for label, count in Counter(wanted.labels).items() if count > 1]
    if twice:
        raise UsageError(f"the label {twice[0]!r} is there twice: give each once")
    if len(wanted.labels) < 2:
        raise UsageError(
            f"one label alone, {wanted.labels[0]!r}, is sure to be the best: give another one to "
            'tell it from, such as "something else"'
        )
    wrong = next((one for one in wanted.templates if one.count("{}") != 1), None)
    if (wrong is not None and not is_ensemble(wanted.templates)) or not wanted.templates:
        raise UsageError(f'the template {wrong!r} needs one place for the label: "a photo of {{}}"')
    if not wanted.attribute.strip():
        raise UsageError("the attribute needs a name of at least one letter")
    if (field := wanted.attribute.strip()) in COLUMNS:
        raise UsageError(
            f"{field} is a field that every item has, and in a filter it would hide an attribute "
            f"of this name: call the attribute otherwise, such as {field}_label"
        )
    if not (math.isfinite(wanted.least) and 0 <= wanted.least <= 1):
        raise UsageError(f"a confidence is between 0 and 1, not {wanted.least}")


def _chosen(items: list[StoredItem], where: str | Mapping[str, Any] | None) -> list[int]:
    """Rows of the items for which the filter is true. Raises FilterError."""
    if where is None:
        return list(range(len(items)))
    from mmsearch.filters import from_json, matches, parse, schema_of, type_of

    # The types that each attribute has here, against which names and values are checked.
    schema = schema_of(
        (name, type_of(value)) for item in items for name, value in item.attributes.items()
    )
    condition = parse(where, schema) if isinstance(where, str) else from_json(where, schema)
    return [row for row, item in enumerate(items) if matches(condition, item.fields)]


# ---- the model


def _text_tower(collection: Collection) -> TextEncoder:
    from mmsearch.catalog.records import EncoderInfo
    from mmsearch.loading import Encoders

    status = collection.status()
    if status.model is None or status.fingerprint is None or status.dim is None:
        raise NoCollectionError(f"{collection.path} holds nothing yet: run `mmsearch index PATH`")
    return Encoders().text_tower_of(EncoderInfo(status.model, status.fingerprint, status.dim))


def _require_same(encoder: TextEncoder, collection: Collection) -> None:
    own = collection.status()
    if encoder.fingerprint != own.fingerprint:
        raise EncoderMismatchError(
            f"the collection holds vectors of {own.model} ({own.fingerprint}), but the labels' "
            f"encoder is {encoder.fingerprint}: leave it out, or give the collection's own"
        )


def temperature_of(model: str) -> float | None:
    """The factor of cosines that the model of this name was trained with; None if unknown."""
    from mmsearch.encoders.adapter import read_adapter
    from mmsearch.encoders.model_source import adapter_folder, own_folder
    from mmsearch.encoders.tensor_file import TensorFile
    from mmsearch.models.bundled import WEIGHTS_NAME

    if (adapter := adapter_folder(model)) is not None:
        model = read_adapter(adapter).base
    folder = own_folder(model)
    if folder is None:
        return None
    weights = TensorFile(folder / WEIGHTS_NAME)
    return float(np.exp(weights.whole("logit_scale"))) if "logit_scale" in weights else None
