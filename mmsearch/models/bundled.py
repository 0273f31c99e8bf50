"""Build an open_clip model from a folder that holds everything it needs."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.models import architectures
from mmsearch.models.weights import load_state

if TYPE_CHECKING:
    from open_clip.model import CustomTextCLIP

CONFIG_NAME = "open_clip_config.json"
WEIGHTS_NAME = "open_clip_model.safetensors"


def read_model_cfg(directory: str | Path) -> dict[str, Any]:
    """The keyword arguments of open_clip's `CustomTextCLIP`, with the text tower's files found in
    `directory`."""
    directory = Path(directory).resolve()
    config = json.loads((directory / CONFIG_NAME).read_text(encoding="utf-8"))
    model_cfg: dict[str, Any] = copy.deepcopy(config["model_cfg"])
    model_cfg["text_cfg"].update(
        hf_model_name=str(directory), hf_tokenizer_name=str(directory), hf_model_pretrained=False
    )
    return model_cfg


def build_untrained(directory: str | Path) -> CustomTextCLIP:
    """The architecture that `directory` describes, with random weights."""
    from mmsearch.encoders.torchvision_shim import import_open_clip

    open_clip = import_open_clip()
    architectures.register()
    return open_clip.model.CustomTextCLIP(**read_model_cfg(directory))


def build(directory: str | Path) -> CustomTextCLIP:
    """The trained model in `directory`, in evaluation mode; reads no other file and no network."""
    model = build_untrained(directory)
    model.load_state_dict(load_state(Path(directory) / WEIGHTS_NAME), strict=True)
    return model.eval()
