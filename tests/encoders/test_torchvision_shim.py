import subprocess
import sys
import textwrap
from pathlib import Path


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_open_clip_imports_whatever_torchvision_is_beside_torch() -> None:
    out = run_python("""
        from mmsearch.encoders.torchvision_shim import import_open_clip
        print(import_open_clip().__name__, hasattr(import_open_clip(), "create_model"))
    """)
    assert out == "open_clip True"


FAKE = """
    import sys, torch
    sys.path.insert(0, {folder!r})
    from mmsearch.encoders import torchvision_shim as shim
    try:
        print(shim.import_past_missing_operators("needs_nms").answer)
    except RuntimeError as exc:
        print("RuntimeError", exc)
    print(len(shim._libraries))
"""


def test_a_missing_nms_is_declared_and_the_import_tried_again(tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text(
        "import torch\n"
        "try:\n    torch.ops.torchvision.nms.default\n    torch.ops.torchvision.qnms.default\n"
        "except AttributeError:\n"
        "    raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    (tmp_path / "needs_nms.py").write_text("import torchvision\nanswer = 42\n")
    assert run_python(FAKE.format(folder=str(tmp_path))).split() == ["42", "1"]


def test_any_other_runtime_error_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "needs_nms.py").write_text("raise RuntimeError('something else')\n")
    out = run_python(FAKE.format(folder=str(tmp_path)))
    assert out.splitlines() == ["RuntimeError something else", "0"]
