"""Late fusion ranks items with a picture, a text or both in one list, by standard scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.errors import UsageError
from mmsearch.ranking.late import Scale, Weights, combine, scale_of

NAN = float("nan")
WEIGHT = st.floats(0.1, 2)


@given(WEIGHT, WEIGHT, st.floats(-0.9, 0.9))
def test_combined_standard_scores_are_standard_scores(w: float, v: float, rho: float) -> None:
    # Two columns of exactly mean 0, deviation 1 and correlation rho.
    noise = np.random.default_rng(1).normal(size=(500, 3))
    noise[:, 0] = 1
    _, first, second = np.linalg.qr(noise)[0].T * np.sqrt(500)
    second = rho * first + np.sqrt(1 - rho**2) * second
    z = combine(first, second, Weights(w, v, rho))
    assert z.std() == pytest.approx(1)
    assert z.mean() == pytest.approx(0, abs=1e-9)


def test_items_with_one_modality_keep_its_score() -> None:
    image, text = np.array([1.0, 2.0, NAN, NAN]), np.array([1.0, NAN, 3.0, NAN])
    z = combine(image, text, Weights(1, 1, correlation=0))
    assert z[:3] == pytest.approx([2**0.5, 2, 3])
    assert np.isnan(z[3])


def test_the_scale_of_a_modality_does_not_matter() -> None:
    random = np.random.default_rng(2)
    image, text = random.normal(size=(2, 50))
    plain = combine(Scale(0, 1).standard(image), Scale(0, 1).standard(text))
    scaled = combine(
        Scale(0.3, 0.05).standard(image * 0.05 + 0.3), Scale(12, 4).standard(text * 4 + 12)
    )
    assert scaled == pytest.approx(plain)


def test_a_modality_of_weight_zero_is_ignored() -> None:
    image, text = np.array([1.0, NAN]), np.array([NAN, 2.0])
    assert np.isnan(combine(image, text, Weights(1, 0))[1])
    assert combine(image, text, Weights(0, 1))[1] == 2
    assert np.isnan(combine(image, text, Weights(0, 1))[0])


def test_the_scale_is_that_of_the_querys_scores() -> None:
    random = np.random.default_rng(3)
    sample = random.normal(size=(100, 8)).astype(np.float32)
    query = random.normal(size=8).astype(np.float32)
    scale = scale_of(query, sample)
    standard = scale.standard(sample @ query)
    assert standard.mean() == pytest.approx(0, abs=1e-5)
    assert standard.std() == pytest.approx(1, abs=1e-5)


def test_equal_items_stand_at_the_mean() -> None:
    sample = np.ones((5, 2), np.float32)
    scale = scale_of(np.ones(2, np.float32), sample)
    assert scale.standard(np.array([2.0])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("image", "text", "correlation", "fault"),
    [
        (-1.0, 1.0, 0.0, "images"),
        (1.0, NAN, 0.0, "texts"),
        (0.0, 0.0, 0.0, "above 0"),
        (1.0, 1.0, 1.5, "correlation"),
    ],
)
def test_weights_that_make_no_sense_are_refused(
    image: float, text: float, correlation: float, fault: str
) -> None:
    with pytest.raises(UsageError, match=fault):
        Weights(image, text, correlation)


def test_scores_of_different_items_are_refused() -> None:
    with pytest.raises(UsageError, match="3 image scores and 2"):
        combine(np.zeros(3), np.zeros(2))
    with pytest.raises(UsageError, match="at least 2"):
        scale_of(np.ones(2, np.float32), np.ones((1, 2), np.float32))
