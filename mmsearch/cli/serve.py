"""`mmsearch serve`: a collection over HTTP, with a search page."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmsearch.cli import over_socket
from mmsearch.cli.options import CollectionOption, named_path, open_collection
from mmsearch.errors import StorageError, UsageError

if TYPE_CHECKING:
    import socket

    from mmsearch.server.settings import Settings


def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8765,
    root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="Clients may have folders beneath it indexed.", parser=named_path
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="API keys: `mmsearch keys` makes them.", parser=named_path
        ),
    ] = None,
    trusted_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name that this server is called by."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Pages of https://shop.example may use the API."),
    ] = None,
    allow_url: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Fetch pictures that clients name there by URL."),
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make the collection if there is none.")
    ] = False,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the search page in a browser.")
    ] = False,
    max_body: Annotated[int, typer.Option(min=1, help="Most MiB of one request.")] = 64,
    request_seconds: Annotated[float, typer.Option(min=0.1, help="Most seconds of one.")] = 30.0,
    rate: Annotated[
        float, typer.Option(min=0, help="Requests a second of one client; 0: no limit.")
    ] = 0.0,
    log_queries: Annotated[
        bool, typer.Option("--log-queries", help="Let the log hold what is searched for.")
    ] = False,
    warm_pictures: Annotated[
        bool,
        typer.Option("--warm-pictures", help="Load what pictures are searched by at the start."),
    ] = False,
    picture_metadata: Annotated[
        bool,
        typer.Option(
            "--picture-metadata", help="Send where, when and by whom a picture was taken with it."
        ),
    ] = False,
    at_socket: Annotated[
        bool,
        typer.Option(
            "--socket",
            help="In the place of a port, a socket in the collection's directory, for its owner "
            "alone and `mmsearch query --socket`.",
        ),
    ] = False,
    collection: CollectionOption = None,
) -> None:
    """Answer queries over HTTP, and show a search page, until it is stopped.

    Ctrl-C or SIGTERM finishes what was accepted and ends it, with exit code 0. Other processes may
    index meanwhile. Without --keys it serves this machine only.

    \b
    Example:
      mmsearch serve --open
      mmsearch serve --host 0.0.0.0 --keys keys.json --root /srv/photos
      mmsearch serve --socket
    """
    from mmsearch.server.hosts import require_keys
    from mmsearch.server.settings import MIB, Settings

    if at_socket:
        _require_no_port(ctx)
    # Before anything is made.
    require_keys(host, has_keys=keys is not None)
    _require_folders(root or ())

    with open_collection(ctx, collection, create=create) as opened:
        path = opened.path
    settings = Settings(
        collection=path,
        host=host,
        port=port,
        keys_file=keys,
        trusted_hosts=tuple(trusted_host or ()),
        allow_origins=tuple(allow_origin or ()),
        url_hosts=tuple(allow_url or ()),
        roots=tuple(root or ()),
        max_body_bytes=max_body * MIB,
        request_seconds=request_seconds,
        requests_per_second=rate,
        log_queries=log_queries,
        warm_pictures=warm_pictures,
        picture_metadata=picture_metadata,
    )
    if at_socket:
        with listening_at_socket(path) as listener:
            at = str(path / over_socket.NAME)
            _run(settings, listener, lambda: _announce(path, at), commands=True)
        return
    with listening(settings) as listener:
        address = f"http://{_in_url(host)}:{listener.getsockname()[1]}/"

        def announce() -> None:
            _announce(path, address)
            if open_page:
                import webbrowser

                webbrowser.open(address)

        _run(settings, listener, announce)


def _announce(path: Path, address: str) -> None:
    typer.echo(f"mmsearch serves {path} at {address}")
    sys.stdout.flush()


def _require_no_port(ctx: typer.Context) -> None:
    """Raises UsageError for an option that only means something for a port."""
    for name in ("host", "port", "keys", "trusted_host", "allow_origin", "open_page"):
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--open" if name == "open_page" else f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} is of a server at a port, and --socket is in the place of one: leave "
                "one of them out, or start two servers"
            )


def _require_folders(roots: Sequence[Path]) -> None:
    """Raises UsageError: jobs would be refused one by one, and nobody at the server would know."""
    for root in roots:
        if not root.is_dir():
            raise UsageError(f"--root {root} is no folder: check the name, or make it first")


def _run(
    settings: Settings,
    listener: socket.socket,
    announce: Callable[[], None],
    *,
    commands: bool = False,
) -> None:
    """Serve until it is stopped, and `announce` it once nothing stands against it.

    `commands`: run those of `mmsearch query --socket` too. Raises as `create_app` does.
    """
    import uvicorn

    from mmsearch.cli.errands import Errands
    from mmsearch.cli.heads import prompt_heads
    from mmsearch.server import logs
    from mmsearch.server.app import create_app

    app = create_app(settings)
    config = uvicorn.Config(
        Errands(app) if commands else app,
        log_config=logs.config(),
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        http=prompt_heads(settings.request_seconds),
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=round(settings.request_seconds) + 1,
    )
    announce()
    # uvicorn stops by itself, then raises the signal again for who was there before it: to be
    # stopped is how a server ends, so nobody was.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    uvicorn.Server(config).run([listener])


def listening(settings: Settings) -> socket.socket:
    """Raises StorageError."""
    import socket

    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise StorageError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror or error}): is "
            "another server running there? Choose another --port, or 0 for any"
        ) from error
    # Heads and bodies are sent apart. Held back for more, each answer takes 40 ms instead of 1.3
    # (2026-11); asyncio only sees to it for sockets of its own. Accepted ones inherit this.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


@contextmanager
def listening_at_socket(root: Path) -> Iterator[socket.socket]:
    """A socket in the collection's directory, which its owner alone may connect to; its file goes
    when the server does. Raises LockedError where one is served already, StorageError."""
    import socket

    from mmsearch.layout import Layout

    over_socket.require_address(str(root))
    path = root / over_socket.NAME
    with Layout(root).serving(), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        mask = os.umask(0o177)
        try:
            if path.is_socket():  # of a server that was killed: a live one holds the lock
                path.unlink()
            listener.bind(over_socket.address(str(root)))
        except OSError as error:
            raise StorageError(f"cannot make {path}: {error.strerror or error}") from error
        finally:
            os.umask(mask)
        try:
            listener.listen(2048)
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
