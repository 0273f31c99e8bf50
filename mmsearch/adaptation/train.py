"""Fit a model to pairs: read, encode, split, train, measure, write the model's folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch import __version__
from mmsearch.adaptation import storage
from mmsearch.adaptation.curve import draw_curve
from mmsearch.adaptation.examples import Examples, prepare
from mmsearch.adaptation.measure import base_measures, measure, text_geometry_change
from mmsearch.adaptation.pairs import Pairs
from mmsearch.adaptation.report import TrainReport, Tune, model_card
from mmsearch.adaptation.residual import AdapterRecipe, train_adapter
from mmsearch.encoders.model_source import lasting_name
from mmsearch.errors import UsageError
from mmsearch.training.optimise import Outcome, Step
from mmsearch.types import OnProgress, Progress

if TYPE_CHECKING:
    from mmsearch.adaptation.fine_tune import TuneRecipe
    from mmsearch.encoders.adapter import ImageInput
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder

OnStep = Callable[[Step, int], None]  # the step, and how many there are at most


@dataclass(frozen=True)
class TrainOptions:
    """What to train and where. `features` None takes pooled features where the base has them.

    `steps`, `batch`, `rate` and `keep` None take the recipe's. `early_stop` False keeps the last
    step: for pairs that the base was itself trained on, whose held-out part can show no gain.
    `cache`: where features are kept between runs; None keeps them in `out` until the run is
    finished.
    """

    base: str
    out: Path
    tune: Tune = "adapter"
    features: ImageInput | None = None
    held_out: float = 0.1
    steps: int | None = None
    batch: int | None = None
    rate: float | None = None
    keep: float | None = None
    early_stop: bool = True
    seed: int = 0
    device: str | None = None
    cache: Path | None = None

    def check(self) -> None:
        """Raises UsageError for a value that makes no sense."""
        if not 0 < self.held_out <= 0.5:
            raise UsageError(f"--held-out {self.held_out}: must be above 0 and at most 0.5")
        for name, number in (("steps", self.steps), ("batch", self.batch)):
            if number is not None and number < 1:
                raise UsageError(f"--{name} {number}: must be at least 1")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise UsageError(f"--rate {self.rate}: must be a positive number, such as 0.001")
        if self.keep is not None and not 0 <= self.keep < float("inf"):
            raise UsageError(f"--keep {self.keep}: must be 0 or more")
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: must be 0 or more")
        if self.features is not None and self.tune != "adapter":
            raise UsageError(f"--features belongs to --tune adapter, not to {self.tune}")


def train(
    pairs: Pairs,
    options: TrainOptions,
    *,
    on_progress: OnProgress | None = None,
    on_step: OnStep | None = None,
) -> TrainReport:
    """Train, and write the model to `options.out`; the base and the pairs' files are only read.

    A run that was killed goes on where it was when it is called again with the same arguments.
    With one seed two runs on a CPU agree to 1e-4 in the cosine of what they encode.

    Raises UsageError (also while another run is at work on `options.out`), ModelError (the base
    cannot be loaded), TrainingError (too few pairs, one class only, a loss that is not finite) and
    StorageError (nothing half-written is left).
    """
    from mmsearch.encoders.open_clip_encoder import load_open_clip

    options.check()
    started = time.monotonic()
    progress = on_progress or (lambda _: None)
    with storage.claimed(options.out) as work:
        progress(Progress("loading model"))
        base = load_open_clip(
            options.base, options.device, on_note=lambda note: progress(Progress(f"note: {note}"))
        )
        features = _features(base, options)
        examples = prepare(pairs, base, features, options.cache or work, options.held_out, progress)
        run = _Run(base, examples, options, features, work, on_step or (lambda *_: None))
        report = run.adapter() if options.tune == "adapter" else run.weights()
        report = replace(report, seconds=time.monotonic() - started)
        run.publish(report)
        return report


def _features(base: OpenClipEncoder, options: TrainOptions) -> ImageInput:
    if options.tune != "adapter":
        return "embedding"
    if options.features is None:
        return "pooled" if base.has_pooled_features else "embedding"
    return options.features


class _Run:
    """One run from examples to files; `files` fills up on the way to `publish`."""

    def __init__(
        self,
        base: OpenClipEncoder,
        examples: Examples,
        options: TrainOptions,
        features: ImageInput,
        work: Path,
        on_step: OnStep,
    ) -> None:
        self.base, self.examples, self.options = base, examples, options
        self.features, self.work, self.on_step = features, work, on_step
        self.before = base_measures(examples)
        self.outcome: Outcome | None = None
        self.stage = work / "model"

    def adapter(self) -> TrainReport:
        """Train the maps and write them to the stage."""
        from safetensors.numpy import save

        from mmsearch.encoders import adapter as format_

        recipe = _changed(AdapterRecipe(), self.options)
        image, text, outcome = train_adapter(
            self.examples,
            _inverse_temperature(self.base),
            recipe,
            seed=self.options.seed,
            checkpoint=self.work / "checkpoint.pt",
            identity=self._identity(recipe),
            on_step=lambda step: self.on_step(step, recipe.steps),
        )
        described = {"tune": "adapter", "seed": self.options.seed, **asdict(recipe)}
        config = format_.adapter_config(
            lasting_name(self.base.name),
            self.base.fingerprint,
            self.base.dim,
            self.features,
            described,
        )
        self._stage(format_.ADAPTER_WEIGHTS, save(format_.tensors_of(image, text)))
        self._stage(format_.ADAPTER_CONFIG, _json(config))
        made = format_.read_adapter(self.stage)
        rows = made.text(self.examples.texts, self.examples.texts)
        pictures = made.image(self.examples.images, self.examples.inputs)
        return self._report(outcome, pictures, rows, made.fingerprint, described)

    def weights(self) -> TrainReport:
        """Train the model's own weights and write an ordinary model folder to the stage."""
        from mmsearch.adaptation.fine_tune import TuneRecipe, encode_side, fine_tune
        from mmsearch.encoders.model_folder import folder_files
        from mmsearch.encoders.open_clip_encoder import load_open_clip

        tune, examples = self.options.tune, self.examples
        recipe: TuneRecipe = _changed(TuneRecipe.of(tune), self.options)
        outcome = fine_tune(
            self.base,
            examples,
            tune,
            recipe,
            seed=self.options.seed,
            checkpoint=self.work / "checkpoint.pt",
            identity=self._identity(recipe),
            on_step=lambda step: self.on_step(step, recipe.steps),
        )
        for name, content in folder_files(self.base).items():
            self._stage(name, content)
        # Measured as it was saved: a folder that loads as another model is found out here.
        saved = load_open_clip(str(self.stage), str(self.base.device))
        pictures, rows = encode_side(saved, examples, examples.held_out)
        described = {"tune": tune, "seed": self.options.seed, **asdict(recipe)}
        return self._report(outcome, pictures, rows, saved.fingerprint, described)

    def publish(self, report: TrainReport) -> None:
        """Move the finished model to its place, what makes it a model last; drop the work."""
        outcome = self.outcome
        assert outcome is not None
        lines = (json.dumps(asdict(step)) for step in outcome.history)
        self._stage("training.jsonl", ("\n".join(lines) + "\n").encode())
        self._stage("report.json", _json(report.as_json()))
        self._stage("curve.png", draw_curve(outcome.history, self.before.score))
        self._stage("MODEL_CARD.md", model_card(report, __version__).encode())
        storage.publish(self.stage, self.options.out)
        shutil.rmtree(self.work, ignore_errors=True)

    def _stage(self, name: str, content: bytes) -> None:
        storage.write_file(self.stage / name, content)

    def _report(
        self, outcome: Outcome, pictures: Any, rows: Any, fingerprint: str, recipe: dict[str, Any]
    ) -> TrainReport:
        self.outcome = outcome
        examples = self.examples
        seen = np.unique(examples.held_out.texts)
        return TrainReport(
            out=self.options.out,
            base=self.base.name,
            base_fingerprint=self.base.fingerprint,
            fingerprint=fingerprint,
            tune=self.options.tune,
            features=self.features if self.options.tune == "adapter" else None,
            train_pairs=len(examples.train.images),
            held_out_pairs=len(examples.held_out.images),
            pictures=len(examples.paths),
            texts=len(examples.words),
            merged=examples.merged,
            rule=examples.rule,
            before=self.before,
            after=measure(examples.held_out, pictures, rows),
            text_geometry_change=text_geometry_change(examples.texts[seen], rows[seen]),
            steps=outcome.steps,
            best_step=outcome.best_step,
            stopped_early=outcome.stopped_early,
            seconds=0.0,
            failures=examples.failures,
            recipe=recipe,
        )

    def _identity(self, recipe: AdapterRecipe | TuneRecipe) -> str:
        """What must be equal for a checkpoint to be this run's."""
        options = self.options
        described = [
            __version__,
            self.base.fingerprint,
            self.examples.digest,
            self.features,
            options.tune,
            options.held_out,
            options.seed,
            asdict(recipe),
        ]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _changed(recipe: Any, options: TrainOptions) -> Any:
    """The recipe with the user's settings in place of its own."""
    names = ("steps", "batch", "rate", "keep", "early_stop")
    given = {name: getattr(options, name) for name in names}
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def _inverse_temperature(base: OpenClipEncoder) -> float:
    """The base's learned scale; CLIP's start (1 / 0.07) for a model without one."""
    scale = getattr(base.model, "logit_scale", None)
    return float(scale.detach().exp().mean()) if scale is not None else 1 / 0.07


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
