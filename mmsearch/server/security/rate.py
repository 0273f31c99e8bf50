"""How often one client may ask: a token bucket for each key, or else each address."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

from mmsearch.server.security.refusal import Facts, Refusal

# Of about 200 bytes each. More clients than that at a time: the longest silent one starts afresh.
MAX_CLIENTS = 20_000

# A page of answers is one search and dozens of pictures, most of which the browser keeps.
_CHEAP = {"/v1/thumbnails/{key:path}", "/v1/images/{key:path}", "/static/{name:path}"}
_CHEAP_COST = 0.1
_FREE = {"/healthz"}


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Rate:
    """A bucket of `burst` tokens that fills with `per_second`; a request takes one out."""

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = max(1.0, float(burst))
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()  # the longest silent first

    def __len__(self) -> int:
        return len(self._buckets)

    def __call__(self, scope: Scope, facts: Facts) -> None:
        template = facts.route.template
        if template in _FREE:
            return
        cost = _CHEAP_COST if template in _CHEAP else 1.0
        wait_s = self.take(client_of(scope, facts), cost)
        if wait_s > 0:
            seconds = max(1, math.ceil(wait_s))
            raise Refusal(
                429,
                "rate",
                f"more than {self._per_second:g} requests a second: again in {seconds} s",
                {"Retry-After": str(seconds)},
            )

    def take(self, client: str, cost: float) -> float:
        """0 where there were `cost` tokens, else the seconds until there are."""
        now = self._clock()
        bucket = self._buckets.pop(client, None) or _Bucket(self._burst, now)
        bucket.tokens = min(
            self._burst, bucket.tokens + (now - bucket.filled_at) * self._per_second
        )
        bucket.filled_at = now
        self._buckets[client] = bucket
        while len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if bucket.tokens < cost:
            return (cost - bucket.tokens) / self._per_second
        bucket.tokens -= cost
        return 0.0


def client_of(scope: Scope, facts: Facts) -> str:
    """Whose bucket it is. Of IPv6 the network: one household has 2**64 addresses (RFC 6177)."""
    if facts.key_name is not None:
        return f"key {facts.key_name}"
    address = (scope.get("client") or ("",))[0]
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"at {address[:80]}"
    if parsed.version == 6:
        return f"at {ipaddress.ip_network((int(parsed), 64), strict=False)}"
    return f"at {parsed}"
