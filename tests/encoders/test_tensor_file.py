"""Which files are taken for whole safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from mmsearch.encoders.tensor_file import TensorFile

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


def write(path: Path, header: Any, data: bytes = ROWS.tobytes()) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **changes}


def test_what_safetensors_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    tensors: dict[str, Any] = {"rows": ROWS, "one": np.array(3, np.float16), "none": ROWS[:0]}
    save_file(tensors, path, {"format": "np"})
    read = TensorFile(path)
    assert set(read.names()) == set(tensors)
    for name, values in tensors.items():
        np.testing.assert_array_equal(read.raw(name), values)


def test_a_tensor_of_a_type_that_is_not_read_does_no_harm_to_the_others(tmp_path: Path) -> None:
    header = {"a": entry(dtype="F64", shape=[3]), "b": entry()}
    np.testing.assert_array_equal(TensorFile(write(tmp_path / "a", header)).whole("b"), ROWS)


@pytest.mark.parametrize("missing", [1, 23, 24, 40, 1000])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, missing: int) -> None:
    path = write(tmp_path / "a", {"rows": entry()})
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(ValueError, match=r"cut off|not a safetensors file|empty file"):
        TensorFile(path)


@pytest.mark.parametrize(
    "header",
    [
        [],
        7,
        None,
        {"rows": None},
        {"rows": {}},
        {"rows": entry(shape=None)},
        {"rows": entry(shape=[2.0, 3])},
        {"rows": entry(shape=["2", 3])},
        {"rows": entry(shape=[-2, -3])},
        {"rows": entry(shape=[3, 3])},
        {"rows": entry(dtype=["F32"])},
        {"rows": entry(data_offsets=[])},
        {"rows": entry(data_offsets=[0])},
        {"rows": entry(data_offsets=[24, 0])},
        {"rows": entry(data_offsets=[-4, 20])},
        {"rows": entry(data_offsets=[4, 28])},
        {"rows": entry(data_offsets="024")},
    ],
)
def test_a_header_of_junk_is_refused(tmp_path: Path, header: Any) -> None:
    with pytest.raises(ValueError, match=r"not a safetensors file|does not fit"):
        TensorFile(write(tmp_path / "a", header))
