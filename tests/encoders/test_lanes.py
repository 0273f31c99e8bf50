"""Encoding on several cores: the same rows, in order, and torch as it was for everybody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.encoders.folding import faster_copy
from mmsearch.encoders.lanes import Lanes, share
from mmsearch.encoders.open_clip_encoder import OpenClipEncoder, load_open_clip


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_a_lane_has_one_thread_and_other_threads_keep_theirs() -> None:
    lanes = Lanes(2)
    seen: list[int] = []
    assert lanes.submit(torch.get_num_threads).result() == 1
    assert torch.get_num_threads() == 2
    other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert seen == [2]


@given(st.integers(1, 300), st.integers(1, 64), st.integers(1, 16))
def test_shares_cover_everything_once_and_in_order(total: int, at_most: int, lanes: int) -> None:
    parts = share(total, at_most, lanes, 4)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(total))
    assert all(0 < part.stop - part.start <= at_most for part in parts)


@pytest.mark.usefixtures("two_threads")
def test_pictures_that_are_under_way_together_keep_their_order(tiny_folder: Path) -> None:
    encoder = load_open_clip(str(tiny_folder), device="cpu", batch_size=8)
    pixels = np.random.default_rng(0).integers(0, 256, (23, 64, 64, 3), dtype=np.uint8)
    alone = np.concatenate([encoder.encode_images(one[None]) for one in pixels])
    first, second = encoder.start_images(pixels[:12]), encoder.start_images(pixels[12:])
    np.testing.assert_allclose(second(), alone[12:], atol=1e-5)
    np.testing.assert_allclose(first(), alone[:12], atol=1e-5)


def test_a_convolutional_tower_is_encoded_by_its_faster_copy(mini: OpenClipEncoder) -> None:
    norms = [p for p in mini.model.visual.modules() if isinstance(p, torch.nn.BatchNorm2d)]
    faster = faster_copy(mini.model.visual, mini.image_size)
    assert norms
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in faster.modules())
    pixels = np.random.default_rng(0).integers(0, 256, (2, *[mini.image_size] * 2, 3), np.uint8)
    with torch.inference_mode():
        own = torch.nn.functional.normalize(mini.model.encode_image(mini.normalised(pixels)))
    np.testing.assert_allclose(mini.encode_images(pixels), own.numpy(), atol=1e-5)


class Crossed(torch.nn.Module):
    """Its norm is declared behind one convolution and applied to another one."""

    def __init__(self) -> None:
        super().__init__()
        self.second = torch.nn.Conv2d(4, 4, 3)
        self.first = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)
        torch.nn.init.uniform_(self.norm.weight, -2, 2)
        torch.nn.init.uniform_(self.norm.bias, -2, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.norm(self.second(self.first(images))).mean(dim=(2, 3))
        return out


def test_a_norm_that_cannot_be_folded_leaves_the_tower_as_it_is() -> None:
    torch.manual_seed(3)
    tower = Crossed().eval()
    assert faster_copy(tower, 16) is tower


def test_training_a_model_reaches_the_pictures_encoded_after_it() -> None:
    encoder = load_open_clip("mini", device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (1, *[encoder.image_size] * 2, 3), np.uint8)
    before = encoder.encode_images(pixels)
    with torch.no_grad():
        for parameter in encoder.model.visual.head.parameters():
            parameter.mul_(torch.linspace(0.5, 1.5, parameter.shape[-1]))
    encoder.weights_changed()
    assert float((before * encoder.encode_images(pixels)).sum()) < 0.999
