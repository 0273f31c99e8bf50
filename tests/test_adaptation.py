"""A model is fitted to pairs, end to end, on a tiny CLIP and painted pictures."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmsearch.adaptation.pairs import Pair, Pairs, read_pairs
from mmsearch.adaptation.report import TrainReport
from mmsearch.adaptation.train import TrainOptions, train
from mmsearch.encoders.model_source import lasting_name
from mmsearch.encoders.open_clip_encoder import load_encoder, load_open_clip
from mmsearch.errors import ModelError, StorageError, TrainingError, UsageError
from mmsearch.training.optimise import Step
from tests.encoders.conftest import save_tiny_model
from tests.support import COLOURS, paint

FILES = {
    "MODEL_CARD.md",
    "adapter.safetensors",
    "curve.png",
    "mmsearch_adapter.json",
    "report.json",
    "training.jsonl",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures of six colours, each with one of six labels."""
    folder = tmp_path_factory.mktemp("pairs")
    lines = ["image,text"]
    for number in range(60):
        colour = list(COLOURS)[number % len(COLOURS)]
        paint(folder / f"{number}.png", colour, size=64)
        lines.append(f"{number}.png,a {colour} square")
    (folder / "pairs.csv").write_text("\n".join(lines))
    return folder / "pairs.csv"


def options(base: Path, out: Path, **changed: object) -> TrainOptions:
    given: dict[str, object] = {"held_out": 0.2, "steps": 150, "device": "cpu", **changed}
    return TrainOptions(base=str(base), out=out, **given)  # type: ignore[arg-type]  # mixed values


@pytest.fixture(scope="module")
def trained(
    base: Path, table: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainReport]:
    out = tmp_path_factory.mktemp("out") / "model"
    return out, train(read_pairs(table), options(base, out))


def test_an_adapter_learns_labels_that_its_base_does_not_know(
    trained: tuple[Path, TrainReport],
) -> None:
    _, report = trained
    assert report.before.image_to_text_hit_1 < 0.6
    assert report.after.image_to_text_hit_1 > 0.9
    assert (report.train_pairs, report.held_out_pairs, report.rule) == (48, 12, "picture")
    assert report.text_geometry_change > 0


def test_the_folder_holds_a_model_and_what_is_to_be_known_of_it(
    trained: tuple[Path, TrainReport],
) -> None:
    out, report = trained
    assert {path.name for path in out.iterdir()} == FILES
    card = (out / "MODEL_CARD.md").read_text()
    assert f"| picture to text, hit@1 | {report.before.image_to_text_hit_1:.3f} |" in card
    assert report.base_fingerprint in card
    with Image.open(out / "curve.png") as curve:
        assert len(curve.convert("RGB").getcolors(maxcolors=10_000) or ()) > 4
    log = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == list(range(1, report.steps + 1))
    assert json.loads((out / "report.json").read_text())["fingerprint"] == report.fingerprint


def test_the_saved_model_scores_what_was_reported(
    trained: tuple[Path, TrainReport], table: Path
) -> None:
    out, report = trained
    encoder = load_encoder(str(out), device="cpu")
    assert encoder.fingerprint == report.fingerprint
    labels = [f"a {colour} square" for colour in COLOURS]
    pairs = read_pairs(table).pairs
    pixels = [encoder.preprocess(Image.open(pair.image)) for pair in pairs]
    scores = encoder.encode_images(np.stack(pixels)) @ encoder.encode_texts(labels).T
    right = [labels[at] == pair.text for at, pair in zip(scores.argmax(axis=1), pairs, strict=True)]
    assert np.mean(right) > 0.9


def test_the_input_model_and_the_pairs_are_left_as_they_were(
    base: Path, table: Path, tmp_path: Path
) -> None:
    def state() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for f in (base, table.parent) for p in f.iterdir()}

    before = state()
    train(read_pairs(table), options(base, tmp_path / "m", steps=3))
    assert state() == before


def test_two_runs_of_one_seed_agree_and_another_seed_does_not(
    trained: tuple[Path, TrainReport], base: Path, table: Path, tmp_path: Path
) -> None:
    encoders = [load_encoder(str(trained[0]), device="cpu")]
    for seed in (0, 1):
        train(read_pairs(table), options(base, tmp_path / str(seed), seed=seed))
        encoders.append(load_encoder(str(tmp_path / str(seed)), device="cpu"))
    first, same, other = (encoder.encode_texts(["a red square"])[0] for encoder in encoders)
    assert float(first @ same) >= 1 - 1e-4
    assert float(first @ other) < 1 - 1e-4


KILLED = """
import os, signal, sys
from pathlib import Path
from mmsearch.adaptation.pairs import read_pairs
from mmsearch.adaptation.train import TrainOptions, train

def die(step, total):
    if step.step == 130:
        os.kill(os.getpid(), signal.SIGKILL)

table, base, out = sys.argv[1:]
given = TrainOptions(base=base, out=Path(out), held_out=0.2, steps=150, device="cpu")
train(read_pairs(Path(table)), given, on_step=die)
"""


def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(
    trained: tuple[Path, TrainReport], base: Path, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    command = [sys.executable, "-c", KILLED, str(table), str(base), str(out)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (out / ".mmsearch-train" / "checkpoint.pt").is_file()
    with pytest.raises(ModelError):  # it is no model yet
        load_encoder(str(out), device="cpu")
    report = train(read_pairs(table), options(base, out))
    assert report.steps == trained[1].steps
    assert {path.name for path in out.iterdir()} == FILES
    mine, whole = (load_encoder(str(folder), device="cpu") for folder in (out, trained[0]))
    cosine = mine.encode_texts(["a red square"])[0] @ whole.encode_texts(["a red square"])[0]
    assert float(cosine) >= 1 - 1e-4


def test_a_finished_model_is_never_written_over(
    trained: tuple[Path, TrainReport], base: Path, table: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="already holds a model"):
        train(read_pairs(table), options(base, trained[0]))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="not empty"):
        train(read_pairs(table), options(base, tmp_path))


def test_a_second_run_into_one_folder_is_refused_while_the_first_is_at_work(
    base: Path, table: Path, tmp_path: Path
) -> None:
    pairs, out = read_pairs(table), tmp_path / "m"
    refused = []

    def start_another(step: Step, _most: int) -> None:
        with pytest.raises(UsageError, match=r"another `mmsearch train` is at work on it; wait"):
            train(pairs, options(base, out, steps=3, seed=7))
        refused.append(step.step)

    report = train(pairs, options(base, out, steps=3), on_step=start_another)
    assert refused == [1, 2, 3]
    assert load_encoder(str(out), device="cpu").fingerprint == report.fingerprint
    assert {path.name for path in out.iterdir()} == FILES


def test_a_full_disk_leaves_no_model(base: Path, table: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # every longer write fails
    try:
        with pytest.raises(StorageError, match="make room"):
            train(read_pairs(table), options(base, tmp_path / "m", steps=3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    left = {path.name for path in (tmp_path / "m").iterdir()}
    assert left == {".mmsearch-train", ".mmsearch-train.lock"}
    train(read_pairs(table), options(base, tmp_path / "m", steps=3))  # now there is room
    assert {path.name for path in (tmp_path / "m").iterdir()} == FILES


def test_pictures_that_cannot_be_read_are_left_out_and_named(
    base: Path, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    good = read_pairs(table)
    bad = (
        Pair("gone", tmp_path / "gone.png", "a red square"),
        Pair("broken", tmp_path / "broken.png", "a red square"),
    )
    again = good.pairs[0]
    report = train(Pairs((*good.pairs, *bad, again), ()), options(base, tmp_path / "m", steps=3))
    assert [failure.key for failure in report.failures] == ["gone", "broken"]
    assert "no such file" in report.failures[0].reason
    assert "not a picture" in report.failures[1].reason
    assert report.merged == 1
    assert report.pictures == 60


@pytest.mark.parametrize(
    ("keep", "text", "match"),
    [(19, None, "only 19 distinct pairs"), (60, "a square", "same text")],
)
def test_too_little_to_learn_from_is_told(
    base: Path, table: Path, tmp_path: Path, keep: int, text: str | None, match: str
) -> None:
    pairs = [
        Pair(pair.key, pair.image, text or pair.text) for pair in read_pairs(table).pairs[:keep]
    ]
    with pytest.raises(TrainingError, match=match):
        train(Pairs(tuple(pairs), ()), options(base, tmp_path / "m"))
    assert not (tmp_path / "m").exists()  # nothing was encoded, so nothing is kept


def test_a_pair_that_two_groups_repeat_ties_them_together(
    base: Path, table: Path, tmp_path: Path
) -> None:
    pairs = [
        replace(pair, group="one" if at < 30 else "other")
        for at, pair in enumerate(read_pairs(table).pairs)
    ]
    assert train(Pairs(tuple(pairs), ()), options(base, tmp_path / "m", steps=1)).rule == "group"
    again = replace(pairs[0], group="other")
    with pytest.raises(TrainingError, match="all 60 pairs belong to one group"):
        train(Pairs((*pairs, again), ()), options(base, tmp_path / "n", steps=1))


def test_an_adapter_of_a_relative_folder_works_from_any_working_directory(
    base: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(base.parent)
    name = f"local-dir:./{base.name}"
    report = train(read_pairs(table), replace(options(base, tmp_path / "m", steps=1), base=name))
    monkeypatch.chdir(tmp_path)
    assert load_encoder("m", device="cpu").fingerprint == report.fingerprint


def test_a_base_is_recorded_as_the_model_that_its_name_means(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("best", "mini", "own"):
        Path(folder).symlink_to(base)
    Path("weights").touch()
    Path("w.pt").symlink_to("weights")  # as in the hub's cache: the suffix tells the format
    for lasting in ("mini", "best", "ViT-B-32/laion2b_s34b_b79k", "hf-hub:own/model"):
        assert lasting_name(lasting) == lasting
    for folder in ("own", "./best", "local-dir:best", "~/own", str(base)):
        assert lasting_name(folder) == str(base.resolve())
    for file in ("w.pt", "~/w.pt", str(tmp_path / "w.pt")):
        assert lasting_name(f"ViT-B-32={file}") == f"ViT-B-32={tmp_path / 'w.pt'}"


def test_one_picture_for_all_texts_is_told(base: Path, table: Path, tmp_path: Path) -> None:
    image = read_pairs(table).pairs[0].image
    pairs = tuple(Pair(str(n), image, f"text {n}") for n in range(30))
    with pytest.raises(TrainingError, match="same picture"):
        train(Pairs(pairs, ()), options(base, tmp_path / "m"))


def test_a_rate_that_diverges_is_told_with_the_step(
    base: Path, table: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"at step .*learning rate"):
        train(read_pairs(table), options(base, tmp_path / "m", rate=1e30))


@pytest.mark.parametrize("tune", ["head", "full"])
def test_tuned_weights_are_an_ordinary_folder(
    base: Path, table: Path, tmp_path: Path, tune: str
) -> None:
    out = tmp_path / "model"
    report = train(read_pairs(table), options(base, out, tune=tune, steps=30, batch=24, rate=2e-3))
    assert report.best_step > 0
    assert report.after.score > report.before.score
    before, after = load_open_clip(str(base), "cpu"), load_open_clip(str(out), "cpu")
    assert after.fingerprint == report.fingerprint != before.fingerprint
    same = {
        name
        for name, value in before.model.state_dict().items()
        if value.equal(after.model.state_dict()[name])
    }
    trunk = "visual.transformer.resblocks.0.attn.in_proj_weight"
    assert (trunk in same) == (tune == "head")
    assert "visual.proj" not in same


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"held_out": 0.0}, "held-out"),
        ({"steps": 0}, "steps"),
        ({"rate": float("nan")}, "rate"),
        ({"tune": "full", "features": "pooled"}, "--features"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    base: Path, table: Path, tmp_path: Path, changed: dict[str, object], match: str
) -> None:
    with pytest.raises(UsageError, match=match):
        train(read_pairs(table), options(base, tmp_path / "m", **changed))
    assert not (tmp_path / "m").exists()
