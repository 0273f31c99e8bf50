"""The Hugging Face hub: whether it answers, and how to do without it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from mmsearch.errors import HubUnreachableError

# A reachable hub answers a TCP connect within a fraction of this.
CONNECT_TIMEOUT_S = 3.0
_TRUE = {"1", "ON", "YES", "TRUE"}


def endpoint() -> str:
    """The hub's address; HF_ENDPOINT overrides it."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def is_offline() -> bool:
    """Whether the user asked to stay offline (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE)."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in _TRUE for name in names)


def why_unreachable() -> str | None:
    """None if the hub (or the proxy in front of it) takes a connection, else the reason."""
    if is_offline():
        return "HF_HUB_OFFLINE is set"
    parts = urlsplit(endpoint())
    proxy = urllib.request.getproxies().get(parts.scheme)
    host = parts.hostname or ""
    if proxy and not urllib.request.proxy_bypass(host):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host = parts.hostname or ""
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return _connect(host, port)


def _connect(host: str, port: int) -> str | None:
    reasons: list[str | None] = [f"{host}:{port} did not answer in {CONNECT_TIMEOUT_S:g} s"]

    def attempt() -> None:
        try:
            socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S).close()
            reasons.append(None)
        except OSError as exc:
            reasons.append(f"{host}:{port}: {exc}")

    # In a thread: looking up a name has no timeout of its own.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(CONNECT_TIMEOUT_S)
    return reasons[-1]


def unreachable_error(name: str, reason: str) -> HubUnreachableError:
    """The error for model `name`, with the ways that need no network."""
    return HubUnreachableError(
        f"model {name!r} is not on this disk and {endpoint()} cannot be reached ({reason}). "
        "Without a network: use the bundled model `mini`; or a downloaded folder with "
        "open_clip_config.json and weights, `--model /path/to/dir`; or copy the Hugging Face "
        "cache (HF_HOME, by default ~/.cache/huggingface) from a machine that has the model."
    )


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Within it huggingface_hub and transformers read their caches and never the network."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
