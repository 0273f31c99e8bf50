"""Wordings that suit a family of models: prompt ensembling (Radford et al. 2021, section 3.1.4).

A label or a query is encoded in each template, and the mean of the unit vectors, renormalised,
stands for it. Which templates help depends on what a model was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmsearch.encoders.adapter import read_adapter
from mmsearch.encoders.model_source import adapter_folder, own_folder
from mmsearch.models.registry import ALIASES
from mmsearch.types import ENSEMBLE

# The seven that CLIP's authors chose by forward selection from 80 on ImageNet (openai/CLIP,
# notebooks/Prompt_Engineering_for_ImageNet.ipynb).
_CLIP = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
# The wording that transformers' zero-shot pipeline gives SigLIP, and the plain one. Not measured
# here: the weights were not at hand.
_SIGLIP = ("This is a photo of {}.", "a photo of {}.", "{}")
# Measured in November 2026 (docs/models.md): the best of nine sets on groceries, and on clothes and
# captions within the noise of the best.
_MINI = ("{}", "a photo of {}", "a picture of {}")


def ensemble_of(model: str) -> tuple[str, ...]:
    """The templates for the model of this name; an adapted or trained one has those of its base."""
    if (adapter := adapter_folder(model)) is not None:
        return ensemble_of(read_adapter(adapter).base)
    if own_folder(model) is not None:  # `mini`, or trained from it
        return _MINI
    architecture = ALIASES[model].architecture if model in ALIASES else model
    return _SIGLIP if "siglip" in architecture.lower() else _CLIP


def worded_for(templates: Sequence[str], model: str) -> tuple[str, ...]:
    """The templates, with those of the model in the place of `ensemble` alone."""
    return ensemble_of(model) if is_ensemble(templates) else tuple(templates)


def is_ensemble(templates: Sequence[str]) -> bool:
    """Whether the choice is left to the model."""
    return tuple(templates) == (ENSEMBLE,)
