"""Which wordings suit which model."""

from __future__ import annotations

from pathlib import Path

import pytest

import mmsearch
from mmsearch.models import templates
from mmsearch.models.registry import ALIASES
from mmsearch.models.templates import ensemble_of, worded_for
from tests.support import ColourEncoder, shop


@pytest.mark.parametrize("model", ["mini", "ViT-B-32/openai", "ViT-B-16-SigLIP/webli", *ALIASES])
def test_every_template_has_one_place_and_none_is_there_twice(model: str) -> None:
    found = ensemble_of(model)
    assert len(set(found)) == len(found) > 1
    assert all(template.count("{}") == 1 for template in found)


def test_families_have_their_own() -> None:
    assert ensemble_of("best") == ensemble_of("multilingual") == ensemble_of("ViT-L-16-SigLIP2/x")
    assert ensemble_of("fast") == ensemble_of("RN50/openai")
    assert len({ensemble_of(model) for model in ("best", "fast", "mini")}) == 3


def test_adapted_model_has_those_of_its_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Adapter:
        base = "best"

    monkeypatch.setattr(
        templates, "adapter_folder", lambda name: tmp_path if name == "mine" else None
    )
    monkeypatch.setattr(templates, "read_adapter", lambda folder: Adapter)
    assert ensemble_of("mine") == ensemble_of("best")


def test_other_templates_stay_as_they_are() -> None:
    assert worded_for(("a {}",), "mini") == ("a {}",)
    assert worded_for(("ensemble",), "mini") == ensemble_of("mini")


def test_query_is_worded_as_suits_the_model(tmp_path: Path) -> None:
    encoder = ColourEncoder(name="mini")
    with mmsearch.open(shop(tmp_path), create=True, encoder=encoder) as collection:
        collection.index([tmp_path])
        before = encoder.encoded_texts
        hits = collection.search("red", to="image", mode="vector", templates=("ensemble",), k=1)
        assert hits[0].key == "red.png"
        assert encoder.encoded_texts - before == len(ensemble_of("mini"))
        with pytest.raises(mmsearch.MmsearchError, match="once, where the query's words go"):
            collection.search("red", templates=("ensemble", "{}"))
