"""How long one picture and one text take on one core, through ONNX Runtime and through the
project's own paths.

    python benchmarks/tower_latency.py [--model mini] [--repeat 200] [--json]

The towers of a model are exported with `torch.onnx`, the text tower at the true length of the
text, and timed in float32 and with matrices and convolutions in int8 (`onnxruntime.quantization`,
calibrated on the sample pictures). Needs `pip install onnx`. Times are medians in milliseconds
after a warm-up; the cosine says how near each path stays to torch in float32.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from photos import SAMPLES

from mmsearch.encoders.open_clip_encoder import load_open_clip
from mmsearch.images import decode

# Without VNNI, x86 adds pairs of int8 products in 16 bits, which may overflow; weights of 7 bits
# cannot.
CPU = Path("/proc/cpuinfo")
SEVEN_BITS = not (CPU.exists() and "vnni" in CPU.read_text(encoding="utf-8"))
TEXTS = {"short text": "red car", "text": "a red car parked in front of a brick house"}


class Pictures(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no stubs
    """Preprocessed pictures for the calibration of int8 ranges."""

    def __init__(self, pixels: list[np.ndarray[Any, Any]]) -> None:
        self._left = iter(pixels)

    def get_next(self) -> dict[str, Any] | None:
        pixels = next(self._left, None)
        return None if pixels is None else {"input": pixels}


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def median_ms(call: Callable[[], object], repeat: int) -> float:
    for _ in range(10):
        call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def cosine(a: Any, b: Any) -> float:
    a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def export(module: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (example,),
            str(path),
            input_names=["input"],
            output_names=["output"],
            opset_version=17,
            dynamo=False,
        )


def matmul_gflops() -> float:
    """float32 matrix products on one core: what no float32 path can exceed."""
    size = 1024
    a, b = torch.rand(size, size), torch.rand(size, size)
    return 2 * size**3 / 1e6 / median_ms(lambda: a @ b, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    gflops = matmul_gflops()
    encoder = load_open_clip(options.model, device="cpu")
    model = encoder.model.float().eval()
    pictures = sorted(SAMPLES.glob("*.jpg"))[:64]
    pixels = [
        encoder.normalised(
            encoder.preprocess(decode(path, encoder.image_size).image)[None]
        )  # (1, 3, h, w)
        for path in pictures
    ]
    inputs = [("image", model.visual, pixels[0])]
    for name, text in TEXTS.items():
        tokens = encoder.tokenizer([text])
        inputs.append((name, model.text, tokens[:, : int((tokens != 0).sum())]))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        folder = Path(scratch)
        for name, module, example in inputs:
            expected = module(example)
            rows.append(
                {
                    "tower": name,
                    "path": "torch float32",
                    "ms": median_ms(partial(module, example), options.repeat),
                    "cosine": 1.0,
                }
            )
            full, ready, small = (folder / f"{name}-{kind}.onnx" for kind in ("f", "p", "q"))
            export(module, example, full)
            quant_pre_process(str(full), str(ready), skip_symbolic_shape=name != "image")
            if name == "image":
                quantize_static(
                    str(ready),
                    str(small),
                    Pictures([p.numpy() for p in pixels]),
                    quant_format=QuantFormat.QDQ,
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    reduce_range=SEVEN_BITS,
                )
            else:
                quantize_dynamic(
                    str(ready),
                    str(small),
                    weight_type=QuantType.QInt8,
                    per_channel=True,
                    reduce_range=SEVEN_BITS,
                )
            for kind, path in (("float32", full), ("int8", small)):
                run = session(path)
                feed = {run.get_inputs()[0].name: example.numpy()}
                rows.append(
                    {
                        "tower": name,
                        "path": f"ONNX Runtime {kind}",
                        "ms": median_ms(partial(run.run, None, feed), options.repeat),
                        "cosine": cosine(run.run(None, feed)[0], expected),
                    }
                )
    if options.json:
        print(json.dumps({"matmul_gflops": gflops, "rows": rows}))
        return
    print(f"float32 matrix products on this core: {gflops:.0f} GFLOP/s")
    for row in rows:
        print(
            f"{row['tower']:10} {row['path']:22} {row['ms']:7.2f} ms   cosine {row['cosine']:.5f}"
        )


if __name__ == "__main__":
    main()
