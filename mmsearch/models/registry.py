"""The models we vouch for, and which of them are already on this disk. Imports nothing heavy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

BUNDLED = "mini"
BUNDLED_FOLDER = Path(__file__).parent / "mini"


@dataclass(frozen=True)
class Alias:
    """A short name for an open_clip architecture and its pretrained tag, and why we chose it.

    `repo` is the Hugging Face repository of the weights.
    """

    architecture: str
    pretrained: str
    repo: str
    why: str

    @property
    def model(self) -> str:
        return f"{self.architecture}/{self.pretrained}"


# COCO and Flickr30k recalls (text to image / image to text, R@1) and parameter counts are those of
# mlfoundations/open_clip docs/openclip_retrieval_results.csv, unless another source is named.
ALIASES: dict[str, Alias] = {
    "best": Alias(
        "ViT-SO400M-16-SigLIP2-384",
        "webli",
        "timm/ViT-SO400M-16-SigLIP2-384",
        "SigLIP 2 (arXiv 2502.14786), the successor of the SigLIP that leads the table with COCO "
        "54.2 / 72.4; 1.14 G parameters, about 4.5 GB, Apache-2.0; wants a GPU",
    ),
    "fast": Alias(
        "ViT-B-32-256",
        "datacomp_s34b_b86k",
        "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K",
        "COCO 39.9 / 57.9, Flickr30k 64.9 / 84.8, the best of the ViT-B/32 class on COCO; "
        "151 M parameters, 605 MB, MIT; works on a CPU",
    ),
    "multilingual": Alias(
        "ViT-B-16-SigLIP-i18n-256",
        "webli",
        "timm/ViT-B-16-SigLIP-i18n-256",
        "COCO 44.9 / 64.5 in English, trained on more than 100 languages (arXiv 2303.15343); "
        "371 M parameters, 1.5 GB, Apache-2.0",
    ),
}

_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True)
class ModelRecord:
    """One loadable model. `name` is what `load_encoder` takes; `on_disk`: no download needed."""

    name: str
    architecture: str
    pretrained: str
    bundled: bool
    on_disk: bool
    why: str = ""


def list_models(everything: bool = False) -> list[ModelRecord]:
    """The bundled model and the aliases; with `everything` also all that open_clip knows.

    `everything` starts a process the first time, half a second. Raises ModelError.
    """
    records = [
        ModelRecord(
            BUNDLED,
            "mobilenetv2_100 + MiniLM-L6",
            "bundled",
            bundled=True,
            on_disk=(BUNDLED_FOLDER / _WEIGHTS[0]).is_file(),
            why="comes with the package: works offline and at once, with modest recall",
        )
    ]
    records += [
        ModelRecord(
            name, alias.architecture, alias.pretrained, False, is_on_disk(alias.repo), alias.why
        )
        for name, alias in ALIASES.items()
    ]
    return records + _open_clip_models() if everything else records


def _open_clip_models() -> list[ModelRecord]:
    from mmsearch.models.pretrained import pretrained

    records = []
    for architecture, tag, hub in pretrained():
        repo, file = os.path.split(hub)
        on_disk = bool(repo) and is_on_disk(repo, file)
        records.append(ModelRecord(f"{architecture}/{tag}", architecture, tag, False, on_disk))
    return records


def is_on_disk(repo: str, file: str = "") -> bool:
    """Whether the Hugging Face cache holds the weights of `repo` (`file`: their name, if odd)."""
    snapshots = hub_cache() / f"models--{repo.replace('/', '--')}" / "snapshots"
    names = {*_WEIGHTS, file, Path(file).with_suffix(".safetensors").name if file else ""} - {""}
    return any((snapshot / name).is_file() for snapshot in _folders(snapshots) for name in names)


def _folders(path: Path) -> list[Path]:
    try:
        return [child for child in path.iterdir() if child.is_dir()]
    except OSError:
        return []


def hub_cache() -> Path:
    """The Hugging Face hub cache, by huggingface_hub's own variables and their precedence."""
    if cache := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(cache).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or os.path.join(base, "huggingface")
    return Path(home).expanduser() / "hub"
