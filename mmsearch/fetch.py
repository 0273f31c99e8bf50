"""A picture from the web, from hosts that the caller allows and from nowhere else.

    fetch_image("https://cdn.example.com/shoe.jpg", ["cdn.example.com", "*.pictures.example"])

Who may name a URL chooses whom this machine talks to, and it stands inside a network that others
cannot reach (server-side request forgery, CWE-918; OWASP's cheat sheet has the cases). So a host
must be on the list, and every address of its name must be public; the connection goes to the very
address that was looked at, or a name could mean another one a moment later (DNS rebinding). Each
redirect is a new request that is looked at in the same way. Nothing that belongs to the user is
sent: no cookies, no credentials, no proxy settings.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TypeVar
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from mmsearch.errors import InputError, UsageError

LIMIT_BYTES = 32 * 1024 * 1024
TIMEOUT_S = 20.0
MAX_REDIRECTS = 3

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK = 64 * 1024
# Global by Python's tables, or by older ones, and yet no host's own.
_NO_HOST = (
    ipaddress.ip_network("64:ff9b::/96"),  # IPv4 behind a translator: RFC 6052
    ipaddress.ip_network("64:ff9b:1::/48"),  # the same: RFC 8215
    ipaddress.ip_network("192.0.0.0/24"),  # protocols: RFC 6890
    ipaddress.ip_network("192.88.99.0/24"),  # relays of 6to4: RFC 7526
    ipaddress.ip_network("3fff::/20"),  # documentation: RFC 9637
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
_HEADERS = {
    "User-Agent": "mmsearch",
    "Accept": "image/*",
    "Accept-Encoding": "identity",  # nothing to unpack, so that what is counted is what comes
    "Connection": "close",
}


_T = TypeVar("_T")


@dataclass(frozen=True)
class Host:
    """One entry of a list of allowed hosts; `below`: not the name itself but all names under it.

    `port` None stands for 80 and 443. A literal address with its port is meant as it is written:
    it may be of this machine or of a private network.
    """

    name: str
    port: int | None = None
    below: bool = False

    def allows(self, name: str, port: int) -> bool:
        if port not in (_PORTS.values() if self.port is None else (self.port,)):
            return False
        return name.endswith(f".{self.name}") if self.below else name == self.name

    @property
    def deliberate(self) -> bool:
        return self.port is not None and _address(self.name) is not None


def read_hosts(entries: Sequence[str]) -> tuple[Host, ...]:
    """Entries such as `cdn.example.com`, `*.example.com`, `example.com:8080`, `[::1]:8080`.

    Raises UsageError for one that is none.
    """
    return tuple(_read_host(entry) for entry in entries)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to a host of the public internet and to nothing else."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in network for network in _NO_HOST):
        return False
    if isinstance(ip, ipaddress.IPv6Address) and (
        ip.ipv4_mapped or ip.sixtofour or ip.teredo or ip.is_site_local
    ):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def addresses_of(name: str, port: int) -> list[str]:
    """All addresses of a name, in the system's order. Raises OSError."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[4][0]) for place in found))


@cache
def verified_tls() -> ssl.SSLContext:
    """Certificates are verified, against the system's authorities, for the name in the URL."""
    return ssl.create_default_context()


@dataclass(frozen=True)
class Network:
    """How names, addresses and certificates are judged: a seam for tests."""

    addresses_of: Callable[[str, int], list[str]] = addresses_of
    is_public: Callable[[str], bool] = is_public
    tls: Callable[[], ssl.SSLContext] = verified_tls


def fetch_image(
    url: str,
    allow: Sequence[str],
    *,
    limit_bytes: int = LIMIT_BYTES,
    timeout_s: float = TIMEOUT_S,
    network: Network | None = None,
) -> bytes:
    """The bytes of the picture at a web address, whose host `allow` names (`read_hosts`).

    All of it, redirects too, takes `timeout_s` seconds at most. Raises InputError when the
    address is not allowed, cannot be reached, is no picture, or is larger than `limit_bytes`;
    UsageError for a list that cannot be read.
    """
    hosts = read_hosts(allow)
    network = network or Network()
    deadline = time.monotonic() + timeout_s
    place = url
    with _faults(url, timeout_s, deadline):
        for _ in range(MAX_REDIRECTS + 1):
            target = _target(place, hosts)
            with _response(target, hosts, network, deadline) as response:
                if response.status not in _REDIRECTS:
                    return _body(response, limit_bytes, deadline)
                place = _redirected(place, response)
    raise InputError(
        f"{_shown(url)}: redirected more than {MAX_REDIRECTS} times; name the picture's own address"
    )


@dataclass(frozen=True)
class _Target:
    """Where one request goes. `name` is a host's, in ASCII, or a literal address."""

    scheme: str
    name: str
    port: int
    path: str


class _Refused(Exception):
    """Why a request is not made, or its answer not taken; the message lacks the URL."""


def _target(url: str, hosts: Sequence[Host]) -> _Target:
    parts = urlsplit(url.strip())
    if parts.scheme not in _PORTS:
        raise _Refused(f"{parts.scheme or 'no scheme'}: only http and https are fetched")
    if parts.username is not None or parts.password is not None:
        raise _Refused("it holds a user's name or password; remove them")
    name = _ascii(parts.hostname or "")
    if not name:
        raise _Refused("it names no host")
    port = parts.port or _PORTS[parts.scheme]
    if not any(host.allows(name, port) for host in hosts):
        entry = name if port in _PORTS.values() else _with_port(name, port)
        raise _Refused(
            f"pictures are fetched only from hosts that were allowed, and {entry} was not: "
            f"allow it (--allow-url {entry}, url_hosts in Python), or download the picture and "
            "name the file"
        )
    return _Target(parts.scheme, name, port, _path(parts))


def _path(parts: SplitResult) -> str:
    """Path and query as ASCII; what is escaped already stays as it is."""
    safe = "/%:@!$&'()*+,;=~-._?[]"
    query = f"?{quote(parts.query, safe)}" if parts.query else ""
    return (quote(parts.path, safe) or "/") + query


@contextmanager
def _response(
    target: _Target, hosts: Sequence[Host], network: Network, deadline: float
) -> Iterator[http.client.HTTPResponse]:
    connection = _Pinned(target, _checked(target, hosts, network, deadline), network, deadline)
    try:
        connection.request("GET", target.path, headers=_HEADERS)
        with connection.getresponse() as response:
            _left(deadline)  # raises where the deadline cut the answer's head short
            yield response
    finally:
        connection.end()


def _checked(
    target: _Target, hosts: Sequence[Host], network: Network, deadline: float
) -> list[str]:
    """The addresses to connect to, each of which was looked at."""
    if _address(target.name) is not None:
        addresses = [target.name]
        if any(h.deliberate and h.allows(target.name, target.port) for h in hosts):
            return addresses
    else:
        addresses = _within(deadline, lambda: network.addresses_of(target.name, target.port))
    for address in addresses:
        if not network.is_public(address):
            raise _Refused(
                f"{target.name} is {address}, which is no address of the public internet; if it is "
                f"meant, allow that very address with its port: {_with_port(address, target.port)}"
            )
    return addresses


class _Pinned(http.client.HTTPConnection):
    """A connection to one of some addresses that are known, which ends with the deadline."""

    def __init__(
        self, target: _Target, addresses: Sequence[str], network: Network, deadline: float
    ) -> None:
        self.default_port = _PORTS[target.scheme]  # what the Host header leaves out
        super().__init__(target.name, target.port)
        self._tls = network.tls() if target.scheme == "https" else None
        self._addresses = addresses
        self._deadline = deadline
        self._end: threading.Timer | None = None

    def connect(self) -> None:
        self.sock = self._line = self._connected()
        self.sock.settimeout(_left(self._deadline))
        if self._tls is not None:
            secure = self._tls.wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )
            self.sock = self._line = secure
        # A timeout of the socket is one of each read: who sends a byte now and then outlasts it.
        self._end = threading.Timer(_left(self._deadline), self._hang_up)
        self._end.daemon = True
        self._end.start()
        if self._tls is not None:
            secure.do_handshake()

    def end(self) -> None:
        """What `close` is not: http.client closes while the answer is still to be read."""
        if self._end is not None:
            self._end.cancel()
        self.close()

    def _connected(self) -> socket.socket:
        """A connection to the first address that answers in its share of the time left."""
        problem: OSError = OSError("the name has no address")
        for tried, address in enumerate(self._addresses):
            share_s = _left(self._deadline) / (len(self._addresses) - tried)
            try:
                return socket.create_connection((address, self.port), share_s)
            except OSError as error:
                problem = error
        raise problem

    def _hang_up(self) -> None:
        # Not SSLSocket's own, which a thread that is reading would not survive.
        with suppress(OSError):  # it has ended by itself
            socket.socket.shutdown(self._line, socket.SHUT_RDWR)


def _body(response: http.client.HTTPResponse, limit_bytes: int, deadline: float) -> bytes:
    if response.status != http.client.OK:
        raise _Refused(f"the server answered {response.status} {response.reason}".rstrip())
    kind = response.headers.get_content_type()
    if not kind.startswith("image/"):
        raise _Refused(f"it is {kind}, not a picture; name the address of the picture itself")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _Refused("the server packed it, which it was asked not to")
    length = response.length
    too_large = f"larger than {limit_bytes:,} bytes; offer a smaller picture"
    if length is not None and length > limit_bytes:
        raise _Refused(too_large)
    data = bytearray()
    while chunk := response.read(_CHUNK):
        data += chunk
        if len(data) > limit_bytes:
            raise _Refused(too_large)
    _left(deadline)  # or its body
    if length is not None and len(data) != length:
        raise _Refused(f"it broke off after {len(data):,} of {length:,} bytes; try again")
    return bytes(data)


def _redirected(place: str, response: http.client.HTTPResponse) -> str:
    location = response.headers.get("Location")
    if not location:
        raise _Refused(f"the server answered {response.status} and said not where to go")
    there = urljoin(place, location)
    if urlsplit(place).scheme == "https" and urlsplit(there).scheme == "http":
        raise _Refused("redirected from https to http, where anyone may change the picture")
    return there


@contextmanager
def _faults(url: str, timeout_s: float, deadline: float) -> Iterator[None]:
    """Everything that goes wrong is an InputError of one line that names the URL."""
    try:
        yield
    except _Refused as error:
        raise InputError(f"{_shown(url)}: {error}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        # A connection that the deadline ended may look like any of them.
        if isinstance(error, TimeoutError) or time.monotonic() >= deadline:
            reason = f"took longer than {timeout_s:g} s; try again"
        else:
            reason = _reason(error)
        raise InputError(f"{_shown(url)}: {reason}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted ({error.verify_message})"
    if isinstance(error, socket.gaierror):
        return f"the name of its host is not known ({error.strerror}); check it"
    detail = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"cannot be fetched ({detail}); check the address"


def _within(deadline: float, work: Callable[[], _T]) -> _T:
    """`work`, which knows no timeout itself; left to itself when it takes too long."""
    results: list[_T] = []
    errors: list[OSError | ValueError] = []

    def run() -> None:
        try:
            results.append(work())
        except (OSError, ValueError) as error:  # raised below, where someone waits for it
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_left(deadline))
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


def _left(deadline: float) -> float:
    """Seconds that are left. Raises TimeoutError."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _read_host(entry: str) -> Host:
    wrong = UsageError(
        f"{entry!r} is no host to allow: name it alone, such as cdn.example.com, *.example.com for "
        "all below it, or example.com:8080 for another port"
    )
    name, port = entry.strip(), None
    if match := re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(\d{1,5}))?", name):
        name, port = match[1].strip("[]"), int(match[2]) if match[2] else None
    below = name.startswith("*.")
    try:
        ascii_name = _ascii(name.removeprefix("*."))
    except ValueError:
        raise wrong from None
    literal = _address(ascii_name) is not None
    labels = ascii_name.split(".")
    if not literal and not all(_LABEL.fullmatch(label) for label in labels):
        raise wrong
    if below and (literal or len(labels) < 2):  # *.com would be half of the internet
        raise wrong
    if port is not None and not 0 < port < 65536:
        raise wrong
    return Host(ascii_name, port, below)


def _ascii(name: str) -> str:
    """A host's name as it is sent and compared. Raises ValueError."""
    address = _address(name)
    return str(address) if address else name.rstrip(".").lower().encode("idna").decode("ascii")


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _with_port(name: str, port: int) -> str:
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _shown(url: str) -> str:
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in url)
    return shown if len(shown) <= 200 else f"{shown[:199]}…"
