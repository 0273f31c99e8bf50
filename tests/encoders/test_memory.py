"""The allocator's settings."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_glibc_takes_the_settings() -> None:
    code = "from mmsearch.encoders.memory import keep_freed_memory as keep; print(keep())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout in {"True\n", "False\n"}
    assert ended.stderr == ""
