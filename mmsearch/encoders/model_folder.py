"""An open_clip model as files: a folder that loads without a network, wherever it is put."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.encoders.model_source import CONFIG_NAME
from mmsearch.errors import ModelError

if TYPE_CHECKING:
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder

WEIGHTS_NAME = "open_clip_model.safetensors"
# What open_clip's CLIP and CustomTextCLIP share: other models (CoCa) have a decoder to train too.
KINDS = ("CLIP", "CustomTextCLIP")


def require_writable(encoder: OpenClipEncoder) -> None:
    """Raises ModelError for a model that `folder_files` cannot write."""
    kind = type(encoder.model).__name__
    if kind not in KINDS:
        raise ModelError(
            f"model {encoder.name!r}: a {kind} cannot be tuned; use --tune adapter, which works "
            "with every model"
        )


def folder_files(encoder: OpenClipEncoder) -> dict[str, bytes]:
    """Name -> content of all that the folder of this model holds, in float32.

    Raises ModelError for an architecture that cannot be written.
    """
    require_writable(encoder)
    model_cfg: dict[str, Any] = json.loads(json.dumps(encoder.model_cfg))
    text_cfg = model_cfg["text_cfg"]
    files: dict[str, bytes] = {}
    if hasattr(encoder.tokenizer, "tokenizer"):  # open_clip's HFTokenizer around transformers'
        files |= _tokenizer_files(encoder.tokenizer.tokenizer)
        text_cfg["hf_tokenizer_name"] = "."
    text: Any = getattr(encoder.model, "text", None)
    if type(text).__name__ == "HFTextEncoder":
        files["config.json"] = text.config.to_json_string(use_diff=False).encode()
        text_cfg |= {"hf_model_name": ".", "hf_model_pretrained": False}
    if type(encoder.model).__name__ == "CustomTextCLIP" and text_cfg.get("hf_model_name") != ".":
        model_cfg["custom_text"] = True
    if text_cfg.get("hf_model_name") == ".":
        model_cfg.pop("custom_text", None)  # implied, and no argument of the class
    if "timm_model_name" in model_cfg["vision_cfg"]:
        model_cfg["vision_cfg"]["timm_model_pretrained"] = False
    preprocess = {k: v for k, v in encoder.preprocess_cfg.items() if v is not None}
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    files[CONFIG_NAME] = json.dumps(config, indent=2).encode()
    files[WEIGHTS_NAME] = _weights(encoder.model)
    return files


def _tokenizer_files(tokenizer: Any) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer.save_pretrained(scratch)
        return {path.name: path.read_bytes() for path in Path(scratch).iterdir()}


def _weights(model: Any) -> bytes:
    from safetensors.torch import save

    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    return save(state)
