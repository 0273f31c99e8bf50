"""The list of open_clip's models, made without open_clip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mmsearch.encoders.torchvision_shim import import_open_clip
from mmsearch.errors import ModelError
from mmsearch.models import pretrained
from mmsearch.models.registry import list_models


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered, before or after."""
    monkeypatch.setattr(pretrained, "_listed", [])


def test_the_models_are_those_of_open_clip_in_its_order() -> None:
    names = import_open_clip().pretrained
    assert pretrained.pretrained() == [
        (architecture, tag, names.get_pretrained_cfg(architecture, tag)["hf_hub"])
        for architecture, tag in names.list_pretrained()
    ]


def test_listing_everything_leaves_torch_out() -> None:
    code = (
        "import sys; from mmsearch.models.registry import list_models\n"
        "assert len(list_models(everything=True)) > 100\n"
        "assert not {'torch', 'open_clip'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_open_clip_whose_list_does_not_stand_alone_is_imported_whole(tmp_path: Path) -> None:
    package = tmp_path / "open_clip"
    package.mkdir()
    (package / "__init__.py").write_text("from open_clip import pretrained\n")
    (package / "pretrained.py").write_text(
        "import safetensors.torch\n"
        "list_pretrained = lambda: [('A', 'tag')]\n"
        "get_pretrained_cfg = lambda *of: {'hf_hub': 'owner/name/'}\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from mmsearch.models.pretrained import pretrained\n"
        "assert pretrained() == [('A', 'tag', 'owner/name/')], pretrained()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_list_is_made_once_and_the_disk_looked_at_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    before = {model.name: model.on_disk for model in list_models(everything=True)}
    monkeypatch.setattr(pretrained, "_START", "raise SystemExit('asked again')")
    name = "ViT-B-32/laion2b_s34b_b79k"
    (hub,) = (one.hub for one in pretrained.pretrained() if "/".join(one[:2]) == name)
    owner, repo = hub.split("/")[:2]
    snapshot = tmp_path / f"models--{owner}--{repo}" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "open_clip_model.safetensors").touch()
    after = {model.name: model.on_disk for model in list_models(everything=True)}
    assert {model for model in after if after[model] != before[model]} == {name}


def test_a_process_that_fails_is_an_error_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(pretrained, "_START", "import nothing_of_this_name")
        with pytest.raises(ModelError, match=r"cannot be listed: .*nothing_of_this_name"):
            pretrained.pretrained()
        broken.setattr(pretrained, "_START", "import time; time.sleep(60)")
        broken.setattr(pretrained, "TIMEOUT_S", 0.01)
        with pytest.raises(ModelError, match="not listed within"):
            pretrained.pretrained()
    assert pretrained.pretrained()


def test_where_no_process_can_be_started_open_clip_is_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listed = pretrained.pretrained()
    monkeypatch.setattr(pretrained, "_listed", [])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    assert pretrained.pretrained() == listed
