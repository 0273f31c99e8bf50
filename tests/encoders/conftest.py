import json
from pathlib import Path
from typing import Any

import pytest

from mmsearch.encoders.open_clip_encoder import OpenClipEncoder, load_open_clip
from mmsearch.encoders.torchvision_shim import import_open_clip

TEXT_CFG = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
VISION_CFG = {"layers": 2, "width": 64, "patch_size": 16, "image_size": 64, "head_width": 32}


def save_tiny_model(folder: Path, **model_cfg: Any) -> Path:
    """A small random CLIP in open_clip's folder format."""
    import torch
    from safetensors.torch import save_file

    open_clip = import_open_clip()
    cfg: dict[str, Any] = {
        "embed_dim": 48,
        "vision_cfg": VISION_CFG,
        "text_cfg": TEXT_CFG,
        **model_cfg,
    }
    torch.manual_seed(0)
    custom = cfg.pop("custom_text", False)
    model = (open_clip.model.CustomTextCLIP if custom else open_clip.model.CLIP)(**cfg)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # zeros at birth, which would hide a forgotten one
            torch.nn.init.normal_(parameter, std=0.05)
    folder.mkdir(parents=True)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    config = {"model_cfg": {**cfg, "custom_text": custom}, "preprocess_cfg": {"size": 64}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def mini() -> OpenClipEncoder:
    return load_open_clip("mini", device="cpu", batch_size=2)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("MMSEARCH_CACHE", str(tmp_path / "cache"))
    proxies = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", *proxies):
        monkeypatch.delenv(name, raising=False)
