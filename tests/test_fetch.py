"""Pictures from the web: from allowed hosts, at the address that was looked at, within limits."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mmsearch.errors import InputError, UsageError
from mmsearch.fetch import MAX_REDIRECTS, Network, fetch_image, is_public, read_hosts

TLS = Path(__file__).parent / "data" / "tls"
DATA = b"as good as a picture" * 5000  # nothing here decodes it

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def send(
    handler: http.server.BaseHTTPRequestHandler,
    status: int = 200,
    body: bytes = DATA,
    **headers: str,
) -> None:
    handler.send_response(status)
    usual = {"Content_Type": "image/png", "Content_Length": str(len(body))}
    for name, value in (usual | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def redirect(location: str) -> Answer:
    return lambda handler: send(handler, 302, b"", Location=location)


def trickle(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "image/png")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def trickle_header(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def chunked(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "image/png")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for part in (DATA[:70_000], DATA[70_000:], b""):
        handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")


@dataclass
class Server:
    """A real one, on this machine; `answers` by path, `asked` as (path, Host header)."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def here(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/a.png") -> str:
        return f"http://{self.here}{path}"


def serve(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers["Host"]))
            server.headers.append(dict(self.headers))
            with suppress(OSError):  # the client hung up, as it should
                server.answers.get(self.path, send)(self)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None: ...

    class Quiet(http.server.ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None: ...

    listener = Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True)
    server.port = listener.server_port
    thread = threading.Thread(target=lambda: listener.serve_forever(0.01), daemon=True)
    thread.start()
    yield server
    listener.shutdown()
    listener.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    yield from serve()


@pytest.fixture
def secure() -> Iterator[Server]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    yield from serve(tls)


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(TLS / "certificate.pem"))


def here(_name: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


# All names are this machine's, and that is taken for a public one.
LOCAL = Network(here, lambda address: address == "127.0.0.1", trusting)


def test_allowed_picture_comes_whole(server: Server) -> None:
    assert fetch_image(server.url(), [server.here]) == DATA
    server.answers["/chunked.png"] = chunked
    assert fetch_image(server.url("/chunked.png"), [server.here]) == DATA
    assert not {"Cookie", "Authorization", "Referer"} & set(server.headers[0])


def test_path_is_sent_as_ascii_and_what_is_escaped_stays(server: Server) -> None:
    fetch_image(server.url("/rote schuhe/größe 42%20.png?a=b&c=ü#part"), [server.here])
    ((path, _),) = server.asked
    assert path == "/rote%20schuhe/gr%C3%B6%C3%9Fe%2042%20.png?a=b&c=%C3%BC"


@pytest.mark.parametrize(
    ("url", "allow"),
    [
        ("https://cdn.example.com/a.png", []),
        ("https://cdn.example.com/a.png", ["example.com", "*.cdn.example.com"]),
        ("https://example.com/a.png", ["*.example.com"]),
        ("https://notexample.com/a.png", ["*.example.com", "example.com"]),
        ("https://cdn.example.com.evil.example/a.png", ["cdn.example.com", "*.example.com"]),
        ("https://cdn.example.com:8443/a.png", ["cdn.example.com"]),
        ("https://cdn.example.com/a.png", ["cdn.example.com:8443"]),
        ("http://evil.example/cdn.example.com", ["cdn.example.com"]),
        ("http://evil.example#@cdn.example.com/", ["cdn.example.com"]),
        ("http://evil.example\\@cdn.example.com/", ["evil.example.com"]),
    ],
)
def test_host_that_was_not_allowed_is_never_asked(url: str, allow: list[str]) -> None:
    def never(_name: str, _port: int) -> list[str]:
        raise AssertionError("it was looked up")

    with pytest.raises(InputError, match=r"not: allow it \(--allow-url|user's name"):
        fetch_image(url, allow, network=Network(never))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/passwd", "file: only http and https"),
        ("ftp://cdn.example.com/a.png", "ftp: only http and https"),
        ("gopher://cdn.example.com", "only http and https"),
        ("cdn.example.com/a.png", "no scheme: only http and https"),
        ("https:///a.png", "names no host"),
        ("https://user:secret@cdn.example.com/a.png", "user's name or password"),
        ("https://cdn.example.com:99999/a.png", "cannot be fetched"),
        ("https://[::1/a.png", "cannot be fetched"),
        ("https://" + "a" * 70 + ".example.com/", "cannot be fetched"),
    ],
)
def test_address_that_is_none_says_so(url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fetch_image(url, ["cdn.example.com"])


@pytest.mark.parametrize(
    ("entry", "name", "port"),
    [
        ("CDN.Example.com.", "cdn.example.com", 443),
        ("*.example.com", "a.b.example.com", 80),
        ("example.com:8080", "example.com", 8080),
        ("bücher.example", "xn--bcher-kva.example", 443),
        ("93.184.216.34", "93.184.216.34", 80),
        ("[2606:2800:220:1::1]:8080", "2606:2800:220:1::1", 8080),
    ],
)
def test_host_is_allowed_as_it_may_be_written(entry: str, name: str, port: int) -> None:
    (host,) = read_hosts([entry])
    assert host.allows(name, port)


@pytest.mark.parametrize(
    "entry",
    [
        *("", "*", "*.com", "https://cdn.example.com", "cdn.example.com/", "a b.com", "x:0"),
        *("x:99999", "*.10.0.0.1", "a..b", "user@example.com", "*.*.example.com", "[::1", "-a.com"),
    ],
)
def test_entry_that_is_no_host_is_a_usage_error(entry: str) -> None:
    with pytest.raises(UsageError, match="no host to allow: name it alone"):
        read_hosts([entry])


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("192.0.0.8", "192.0.0.9", "192.88.99.1", "3fff::1", "3fff:fff::1"),
        *("100.64.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
        *("198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1"),
        *("fec0::1", "::ffff:127.0.0.1", "::ffff:93.184.216.34", "64:ff9b::7f00:1"),
        *("64:ff9b:1::1", "2002:7f00:1::1", "2001::1", "2001:db8::1", "::127.0.0.1", "100::1"),
    ],
)
def test_address_of_no_public_host_is_refused(address: str) -> None:
    assert not is_public(address)
    network = Network(lambda _name, _port: ["93.184.216.34", address])
    with pytest.raises(InputError, match="which is no address of the public internet"):
        fetch_image("http://cdn.example.com/a.png", ["cdn.example.com"], network=network)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111"])
def test_public_address_is_one(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "2130706433", "127.1", "localhost"])
def test_this_machine_is_refused_however_it_is_written(server: Server, host: str) -> None:
    server_allow = [host] if host == "127.0.0.1" else [f"{host}:{server.port}", host]
    url = f"http://{host}/a.png" if host == "127.0.0.1" else f"http://{host}:{server.port}/a.png"
    with pytest.raises(InputError, match=r"no address of the public internet|not known"):
        fetch_image(url, server_allow)
    assert server.asked == []


def test_connection_goes_to_the_address_that_was_looked_at(server: Server) -> None:
    looked_up = []

    def rebinding(name: str, port: int) -> list[str]:
        looked_up.append((name, port))
        return ["127.0.0.1"] if len(looked_up) == 1 else ["127.0.0.2"]

    network = Network(rebinding, lambda address: address == "127.0.0.1")
    url = f"http://pictures.example:{server.port}/a.png"
    allow = [f"pictures.example:{server.port}"]
    assert fetch_image(url, allow, network=network) == DATA
    assert looked_up == [("pictures.example", server.port)]
    assert server.asked == [("/a.png", f"pictures.example:{server.port}")]
    with pytest.raises(InputError, match=r"pictures.example is 127.0.0.2"):
        fetch_image(url, allow, network=network)


def test_next_address_is_tried_where_one_does_not_answer(server: Server) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.3", server.port))  # nothing listens there
        network = Network(lambda _n, _p: ["127.0.0.3", "127.0.0.1"], lambda _address: True)
        url = f"http://pictures.example:{server.port}/a.png"
        assert fetch_image(url, [f"pictures.example:{server.port}"], network=network) == DATA


@pytest.fixture
def black_hole(server: Server) -> Iterator[str]:
    """An address where a connection to the server's port is neither made nor refused."""
    with ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.3", server.port))
        listener.listen(0)
        for _ in range(4):  # its queue is full
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.3", server.port))
        yield "127.0.0.3"


def fetch_from(addresses: list[str], server: Server, timeout_s: float) -> bytes:
    place = f"pictures.example:{server.port}"
    network = Network(lambda _name, _port: addresses, lambda _address: True)
    return fetch_image(f"http://{place}/a.png", [place], timeout_s=timeout_s, network=network)


def test_address_that_swallows_connections_leaves_time_for_the_next(
    server: Server, black_hole: str
) -> None:
    assert fetch_from([black_hole, "127.0.0.1"], server, 2) == DATA
    with pytest.raises(InputError, match=r"took longer than 0.4 s"):
        fetch_from([black_hole, black_hole], server, 0.4)


def test_time_to_connect_is_part_of_the_time_for_all(server: Server, black_hole: str) -> None:
    server.answers["/a.png"] = trickle
    started = time.monotonic()
    with pytest.raises(InputError, match=r"took longer than 4 s"):
        fetch_from([black_hole, "127.0.0.1"], server, 4)
    assert time.monotonic() - started < 5.5


def test_answer_may_take_what_connecting_left_of_the_time(server: Server) -> None:
    def late(handler: http.server.BaseHTTPRequestHandler) -> None:
        time.sleep(2.2)
        send(handler)

    server.answers["/a.png"] = late
    assert fetch_from(["127.0.0.1", "127.0.0.3"], server, 4) == DATA


def test_redirects_are_followed_and_looked_at_anew(server: Server) -> None:
    server.answers |= {
        "/1": redirect("/2"),
        "/2": redirect("3?x=1"),
        "/3?x=1": redirect(server.url("/a.png")),
        "/elsewhere": redirect("http://evil.example/a.png"),
        "/inside": redirect("http://169.254.169.254/latest/meta-data"),
        "/file": redirect("file:///etc/passwd"),
        "/round": redirect("/round"),
        "/nowhere": lambda handler: send(handler, 302, b""),
    }
    assert fetch_image(server.url("/1"), [server.here]) == DATA
    for path, message in {
        "/elsewhere": "evil.example was not",
        "/inside": "169.254.169.254 was not",
        "/file": "only http and https",
        "/round": f"redirected more than {MAX_REDIRECTS} times",
        "/nowhere": "said not where to go",
    }.items():
        with pytest.raises(InputError, match=message):
            fetch_image(server.url(path), [server.here])
    assert [path for path, _ in server.asked].count("/round") == MAX_REDIRECTS + 1


def test_redirect_to_an_allowed_name_of_a_private_address_is_refused(server: Server) -> None:
    server.answers["/1"] = redirect("http://cdn.example.com/a.png")
    network = Network(lambda _name, _port: ["10.0.0.1"])
    with pytest.raises(InputError, match=r"cdn.example.com is 10.0.0.1"):
        fetch_image(server.url("/1"), [server.here, "cdn.example.com"], network=network)


def test_limits_hold_while_the_picture_comes(server: Server) -> None:
    server.answers["/chunked.png"] = chunked
    for path in ("/a.png", "/chunked.png"):
        with pytest.raises(InputError, match="larger than 99,999 bytes"):
            fetch_image(server.url(path), [server.here], limit_bytes=99_999)
        assert len(fetch_image(server.url(path), [server.here], limit_bytes=100_000)) == 100_000


@pytest.mark.parametrize("slow", [trickle, trickle_header])
def test_server_that_sends_a_byte_now_and_then_is_left(server: Server, slow: Answer) -> None:
    server.answers["/slow"] = slow
    started = time.monotonic()
    with pytest.raises(InputError, match=r"took longer than 0.4 s"):
        fetch_image(server.url("/slow"), [server.here], timeout_s=0.4)
    assert time.monotonic() - started < 3


def test_name_server_that_does_not_answer_is_left() -> None:
    done = threading.Event()

    def slow(_name: str, _port: int) -> list[str]:
        done.wait(10)
        return []

    with pytest.raises(InputError, match=r"took longer than 0.1 s"):
        fetch_image("http://a.example", ["a.example"], timeout_s=0.1, network=Network(slow))
    done.set()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda handler: send(handler, Content_Type="text/html"), "it is text/html, not a picture"),
        (lambda handler: send(handler, 404), "the server answered 404 Not Found"),
        (lambda handler: send(handler, Content_Encoding="gzip"), "packed it"),
        (lambda handler: send(handler, Content_Length="100001"), r"broke off after 100,000 of"),
        (lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"), "cannot be fetched"),
    ],
)
def test_answer_that_is_no_whole_picture_says_why(
    server: Server, answer: Answer, message: str
) -> None:
    server.answers["/a.png"] = answer
    with pytest.raises(InputError, match=message) as raised:
        fetch_image(server.url(), [server.here])
    assert str(raised.value).startswith(server.url())


def test_unknown_name_and_closed_port_are_input_errors(server: Server) -> None:
    def unknown(_name: str, _port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(InputError, match="the name of its host is not known"):
        fetch_image("http://a.example", ["a.example"], network=Network(unknown))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(InputError, match="refused"):
            fetch_image(f"http://{place}/", [place])


def test_certificate_is_verified_for_the_name_of_the_url(secure: Server) -> None:
    def fetch(name: str, network: Network) -> bytes:
        place = f"{name}:{secure.port}"
        return fetch_image(f"https://{place}/a.png", [place], network=network)

    assert fetch("pictures.example", LOCAL) == DATA
    assert secure.asked == [("/a.png", f"pictures.example:{secure.port}")]
    for name, network in (
        ("other.example", LOCAL),  # the right machine, but not that name's
        ("127.0.0.1", LOCAL),
        ("pictures.example", Network(here, lambda _address: True)),  # nobody vouches for it
    ):
        with pytest.raises(InputError, match="certificate is not to be trusted"):
            fetch(name, network)
    assert len(secure.asked) == 1


def test_encrypted_address_does_not_lead_to_an_open_one(secure: Server, server: Server) -> None:
    secure.answers["/1"] = redirect(server.url())
    place = f"pictures.example:{secure.port}"
    with pytest.raises(InputError, match="from https to http"):
        fetch_image(f"https://{place}/1", [place, server.here], network=LOCAL)
    assert server.asked == []
