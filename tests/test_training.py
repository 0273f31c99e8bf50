"""The recipe of the bundled model: its parts, and a small run of the whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmsearch.encoders.folding import folded
from mmsearch.models.bundled import build
from mmsearch.training import __main__ as command
from mmsearch.training.data import IMAGE_SIZE, fashion_held_out
from mmsearch.training.features import unfold
from mmsearch.training.losses import positives, symmetric_contrastive
from mmsearch.training.views import view


@pytest.fixture(scope="module")
def trunk() -> Any:
    """The bundled model's backbone."""
    return build(command.MODEL_DIR).visual.trunk


def jpeg(path: Path, colour: tuple[int, int, int]) -> bytes:
    image = Image.linear_gradient("L").resize((60, 40)).convert("RGB")
    Image.blend(image, Image.new("RGB", image.size, colour), 0.5).save(path)
    return path.read_bytes()


def test_folding_batch_norms_changes_no_feature(trunk: Any) -> None:
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(trunk(images), folded(trunk)(images), atol=1e-3)


def test_weights_trained_on_a_folded_copy_mean_the_same_when_put_back(trunk: Any) -> None:
    copy = folded(trunk)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.mul_(1.01).add_(0.001)
    images = torch.rand(2, 3, 64, 64)
    target = build(command.MODEL_DIR).visual.trunk
    unfold(copy, target)
    with torch.inference_mode():
        assert torch.allclose(target(images), copy(images), atol=1e-3)


def test_an_odd_view_mirrors_and_a_late_one_crops(tmp_path: Path) -> None:
    encoded = jpeg(tmp_path / "a.jpg", (200, 30, 30))
    plain, mirrored, crop = (view(encoded, number, seed=3) for number in (0, 1, 2))
    assert plain.shape == mirrored.shape == crop.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
    assert np.array_equal(plain[:, ::-1], mirrored)
    assert not np.array_equal(plain, crop)


def test_a_view_depends_on_its_number_and_seed_alone(tmp_path: Path) -> None:
    encoded = jpeg(tmp_path / "a.jpg", (200, 30, 30))
    assert np.array_equal(view(encoded, 2, seed=3), view(encoded, 2, seed=3))
    assert not np.array_equal(view(encoded, 2, seed=3), view(encoded, 2, seed=4))


def test_a_caption_of_no_picture_in_the_batch_is_only_a_negative() -> None:
    rows = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    owned, scale = torch.tensor([[0], [1], [2]]), torch.tensor(10.0)
    alone = symmetric_contrastive(rows, rows, positives(owned, torch.arange(3)), scale)
    far = -rows.mean(dim=0, keepdim=True)
    more = torch.cat([rows, far / far.norm()])
    with_negative = symmetric_contrastive(rows, more, positives(owned, torch.arange(4)), scale)
    logits = scale * rows @ more.T
    by_image = torch.nn.functional.cross_entropy(logits, torch.arange(3))
    by_text = torch.nn.functional.cross_entropy(logits[:, :3].T, torch.arange(3))
    assert torch.allclose(with_negative, (by_image + by_text) / 2)
    assert with_negative > alone


def test_pictures_of_one_title_fall_on_one_side() -> None:
    titles = ["Red shirt", "red shirt ", "Blue cap", "Green shoe"]
    kept = fashion_held_out(titles, 2)
    assert len(kept) == 2
    assert kept <= {"red shirt", "blue cap", "green shoe"}
    assert kept == fashion_held_out(titles[::-1], 2)


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    """Arguments of a run on twelve drawn pictures, some of them held out, from random weights."""
    from safetensors.torch import save_file

    renders = tmp_path / "renders"
    renders.mkdir()
    colours = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220)}
    with (renders / "captions.jsonl").open("w") as lines:
        for number in range(40):
            name, rgb = list(colours.items())[number % 3]
            jpeg(renders / f"{number}.jpg", rgb)
            row = {"image": f"{number}.jpg", "captions": [f"a {name} picture", f"number {number}"]}
            lines.write(json.dumps(row) + "\n")
    model = build(command.MODEL_DIR)
    for name, module in (("image", model.visual.trunk), ("text", model.text.transformer)):
        save_file(module.state_dict(), tmp_path / f"{name}.safetensors")
    return [
        *("--data", str(tmp_path), "--renders", str(renders)),
        *("--weights", str(tmp_path / "image.safetensors")),
        *("--text-weights", str(tmp_path / "text.safetensors")),
        *("--steps", "2", "2", "--threads", "1"),
    ]


@pytest.mark.slow
def test_the_recipe_makes_a_model_that_loads_and_the_same_one_twice(
    sources: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("first", "second"):
        command.main([*sources, "--out", str(tmp_path / name)])
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [report["phase"] for report in reports] == ["heads", "last stages"] * 2
    assert set(reports[0]["hits"]) == {"text to image", "image to text"}
    first, second = (build(tmp_path / name).state_dict() for name in ("first", "second"))
    for name, tensor in first.items():
        assert torch.allclose(tensor.float(), second[name].float(), atol=1e-3), name
