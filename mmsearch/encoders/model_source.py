"""From the name a user typed to a loaded open_clip model.

Names: `mini` (bundled); an alias (`best`, `fast`, `multilingual`); `ARCH/TAG`, such as
`ViT-B-32/laion2b_s34b_b79k`; `hf-hub:org/repo`; a folder with open_clip_config.json and weights;
the folder of an adapter that `mmsearch train` wrote; `ARCH=/path/to/weights.pt`, a checkpoint file
of a named architecture.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmsearch.encoders import hub
from mmsearch.encoders.adapter import is_adapter
from mmsearch.encoders.fingerprint import folder_fingerprint, model_fingerprint
from mmsearch.encoders.silence import quiet
from mmsearch.encoders.torchvision_shim import import_open_clip
from mmsearch.errors import MmsearchError, ModelError
from mmsearch.models.registry import ALIASES, BUNDLED, BUNDLED_FOLDER, is_on_disk

CONFIG_NAME = "open_clip_config.json"


@dataclass(frozen=True)
class Source:
    """Where a model comes from. `place`: folder, file, tag or repository, by `kind`."""

    kind: Literal["own-folder", "folder", "adapter", "file", "tag", "repo"]
    architecture: str
    place: str


@dataclass(frozen=True)
class Loaded:
    """An open_clip model on the CPU, in evaluation mode, with what belongs to it.

    model_cfg: the arguments of open_clip's model class; preprocess_cfg: those of its PreprocessCfg.
    """

    model: Any
    tokenizer: Any
    model_cfg: dict[str, Any]
    preprocess_cfg: dict[str, Any]
    dim: int
    fingerprint: str


def parse_name(name: str) -> Source:
    """What `name` stands for. Only a tag's architecture is not checked here.

    Raises ModelError for a name that can mean nothing.
    """
    if name == BUNDLED:
        return Source("own-folder", "", str(BUNDLED_FOLDER))
    if name in ALIASES:
        return Source("tag", ALIASES[name].architecture, ALIASES[name].pretrained)
    if name.startswith("hf-hub:"):
        return Source("repo", "", name.removeprefix("hf-hub:"))
    path = Path(name.removeprefix("local-dir:")).expanduser()
    if path.is_dir():
        return _folder_source(path)
    if "=" in name:
        architecture, _, file = name.partition("=")
        if not Path(file).expanduser().is_file():
            raise ModelError(f"model {name!r}: there is no file {file!r}")
        return Source("file", architecture.replace("/", "-"), str(Path(file).expanduser()))
    if name.startswith(("/", ".", "~", "local-dir:")):
        raise ModelError(f"model {name!r}: there is no such folder")
    architecture, _, tag = name.rpartition("/")
    return Source("tag", architecture.replace("/", "-"), tag)


def lasting_name(name: str) -> str:
    """A model's name with the full path of its folder or file, if it has one.

    So what is kept of it, an adapter or a collection, works from any working directory. Raises
    ModelError.
    """
    source = parse_name(name)
    if name == BUNDLED or source.kind in ("tag", "repo"):
        return name
    # Not resolved: the hub's cache links names to files without a suffix, which tells the format.
    place = str(Path(source.place).absolute())
    return f"{source.architecture}={place}" if source.kind == "file" else place


def own_folder(name: str) -> Path | None:
    """The folder of `mini`, or a folder in its format: everything in it, int8 rows allowed."""
    try:
        source = parse_name(name)
    except ModelError:
        return None
    return Path(source.place) if source.kind == "own-folder" else None


def adapter_folder(name: str) -> Path | None:
    """The folder that `name` means, if it holds an adapter of another model."""
    try:
        source = parse_name(name)
    except ModelError:
        return None
    return Path(source.place) if source.kind == "adapter" else None


def _folder_source(path: Path) -> Source:
    if is_adapter(path):
        return Source("adapter", "", str(path.resolve()))
    try:
        config = json.loads((path / CONFIG_NAME).read_text(encoding="utf-8"))
        text_cfg = config["model_cfg"]["text_cfg"]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ModelError(
            f"model folder {str(path)!r}: no usable {CONFIG_NAME} in it ({exc}); "
            "it must hold that file, the weights and, for a Hugging Face text tower, its tokenizer"
        ) from exc
    own = text_cfg.get("hf_model_name") == "."
    return Source("own-folder" if own else "folder", "", str(path.resolve()))


def load(name: str, on_note: Callable[[str], None]) -> Loaded:
    """The model called `name`, from disk if it is there, else from the hub.

    Raises ModelError (unknown name, unusable weights) or HubUnreachableError.
    """
    source = parse_name(name)
    if source.kind == "adapter":
        raise ModelError(
            f"model {name!r} is an adapter, and an open_clip model is needed here: name its base"
        )
    try:
        open_clip = import_open_clip()
    except ImportError as exc:
        raise ModelError(f"model {name!r} needs open_clip: pip install open_clip_torch") from exc
    if source.kind == "tag":
        _check_tag(open_clip, name, source)
    elif source.kind == "file" and source.architecture not in open_clip.list_models():
        raise ModelError(
            f"model {name!r}: open_clip knows no architecture {source.architecture!r}"
            + _suggest(source.architecture, open_clip.list_models())
        )
    with _quiet():
        return _load_anywhere(open_clip, name, source, on_note)


def _load_anywhere(
    open_clip: Any, name: str, source: Source, on_note: Callable[[str], None]
) -> Loaded:
    local = source.kind in ("own-folder", "folder", "file")
    failure: Exception | None = None
    if local or is_on_disk(*_repo(open_clip, source)):
        try:
            with hub.offline():
                return _load(open_clip, source)
        except Exception as exc:  # third parties raise anything here; judged below
            failure = exc
            if source.kind == "own-folder" or (local and not _wants_hub(exc)):
                raise _as_model_error(name, exc) from exc
    if reason := hub.why_unreachable():
        raise hub.unreachable_error(name, reason) from failure
    on_note(f"downloading {name} from {hub.endpoint()} into the Hugging Face cache")
    try:
        return _load(open_clip, source)
    except Exception as exc:
        if reason := hub.why_unreachable():
            raise hub.unreachable_error(name, reason) from exc
        raise _as_model_error(name, exc) from exc


def _load(open_clip: Any, source: Source) -> Loaded:
    if source.kind == "own-folder":
        return _load_own(open_clip, Path(source.place))
    named: dict[str, Any] = {
        "folder": {"model_name": f"local-dir:{source.place}"},
        "repo": {"model_name": f"hf-hub:{source.place}"},
    }.get(source.kind, {"model_name": source.architecture, "pretrained": source.place})
    model_name = named["model_name"]
    if source.kind == "tag":
        # open_clip only warns when a tag's activation differs from its architecture's.
        tag_cfg = open_clip.get_pretrained_cfg(source.architecture, source.place)
        named["force_quick_gelu"] = bool(tag_cfg.get("quick_gelu"))
    model = open_clip.create_model(**named, require_pretrained=True).eval()
    tokenizer = open_clip.get_tokenizer(model_name)
    cfg = dict(open_clip.get_model_config(model_name))
    cfg["quick_gelu"] = bool(named.get("force_quick_gelu") or cfg.get("quick_gelu"))
    preprocess_cfg = dict(model.visual.preprocess_cfg)
    if source.kind == "folder":
        # Where a model lies says nothing about its vectors.
        cfg["text_cfg"] = {k: v for k, v in cfg["text_cfg"].items() if not _is_folder(v)}
    described = f"{type(tokenizer).__name__} {getattr(tokenizer, 'context_length', None)}"
    fingerprint = model_fingerprint(cfg, model.state_dict(), preprocess_cfg, described)
    return Loaded(model, tokenizer, cfg, preprocess_cfg, int(cfg["embed_dim"]), fingerprint)


def _load_own(open_clip: Any, folder: Path) -> Loaded:
    from mmsearch.models import bundled

    config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    model: Any = bundled.build(folder)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    preprocess_cfg = {"size": model.visual.image_size, **config.get("preprocess_cfg", {})}
    cfg = dict(config["model_cfg"])
    dim = int(cfg["embed_dim"])
    return Loaded(model.eval(), tokenizer, cfg, preprocess_cfg, dim, folder_fingerprint(folder))


def _check_tag(open_clip: Any, name: str, source: Source) -> None:
    known = [f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()]
    if f"{source.architecture}/{source.place}" in known:
        return
    if not source.architecture and (tags := open_clip.list_pretrained_tags_by_model(name)):
        raise ModelError(
            f"model {name!r}: this architecture comes with several weights, name one of them: "
            + ", ".join(f"{name}/{tag}" for tag in tags)
        )
    raise ModelError(f"unknown model {name!r}" + _suggest(name, [BUNDLED, *ALIASES, *known]))


def _suggest(name: str, known: list[str]) -> str:
    folded = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.5)
    if not close:
        return f"; try {BUNDLED}, {', '.join(ALIASES)}, ARCH/TAG, hf-hub:org/repo or a folder"
    return "; did you mean " + " or ".join(repr(folded[match]) for match in close) + "?"


def _repo(open_clip: Any, source: Source) -> tuple[str, str]:
    """Repository and file name (empty: the usual one) of a `tag` or `repo` source."""
    if source.kind == "repo":
        return source.place, ""
    cfg = open_clip.get_pretrained_cfg(source.architecture, source.place)
    repo, file = os.path.split(cfg.get("hf_hub") or "")
    return repo, file


def _is_folder(value: Any) -> bool:
    return isinstance(value, str) and os.path.isabs(value)


def _wants_hub(exc: BaseException | None) -> bool:
    """Whether a load without network failed for want of a file from the hub."""
    while exc is not None:
        if "offline" in type(exc).__name__.lower() or "offline" in str(exc).lower():
            return True
        if type(exc).__name__ == "LocalEntryNotFoundError" or "couldn't connect" in str(exc):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


def _as_model_error(name: str, exc: Exception) -> MmsearchError:
    if isinstance(exc, MmsearchError):
        return exc
    lines = str(exc).strip().splitlines() or [type(exc).__name__]
    return ModelError(f"model {name!r} cannot be loaded: {lines[0][:400]}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep third parties' logging, warnings and progress bars off the user's terminal."""
    import huggingface_hub.utils
    import transformers.utils.logging

    # Any: both modules leave parts of what they document unannotated or not re-exported.
    hub_utils: Any = huggingface_hub.utils
    transformers_logging: Any = transformers.utils.logging

    bars = not hub_utils.are_progress_bars_disabled()
    hub_utils.disable_progress_bars()
    transformers_logging.disable_progress_bar()
    try:
        with quiet():
            yield
    finally:
        if bars:
            hub_utils.enable_progress_bars()
