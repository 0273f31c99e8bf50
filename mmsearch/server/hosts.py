"""Who can reach a server: this machine alone, or others, which takes keys."""

from __future__ import annotations

import ipaddress

from mmsearch.errors import UsageError


def is_local(name: str) -> bool:
    """Names that no DNS server of someone else can give to this machine."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def require_keys(host: str, *, has_keys: bool) -> None:
    """Raises UsageError for an address that is open to others where there are no keys."""
    if not has_keys and not is_local(host):
        raise UsageError(
            f"{host} is open to other machines, and there are no API keys: name a file of them "
            "with --keys (`mmsearch keys add NAME` makes one), or listen on 127.0.0.1"
        )
