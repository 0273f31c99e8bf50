"""int8 rows: what is written is nearly what is read."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from mmsearch.models.weights import load_state
from mmsearch.training.quantise import quantise_state


def test_matrices_come_back_within_half_a_step_and_vectors_as_float16(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    state = {
        "matrix.weight": torch.randn(300, 200, generator=generator),
        "vector": torch.randn(300, generator=generator),
    }
    save_file(quantise_state(state), tmp_path / "x.safetensors")
    read = load_state(tmp_path / "x.safetensors")
    assert set(read) == set(state)
    step = state["matrix.weight"].abs().amax(dim=1, keepdim=True) / 127
    error = (read["matrix.weight"] - state["matrix.weight"]).abs()
    assert bool((error <= 0.51 * step + 1e-3).all())
    assert torch.allclose(read["vector"], state["vector"], atol=2e-3)
