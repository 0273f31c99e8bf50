"""`mmsearch serve`: a collection over HTTP, with a search page."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmsearch.cli.options import CollectionOption, open_collection
from mmsearch.errors import StorageError

if TYPE_CHECKING:
    import socket

    from mmsearch.server.settings import Settings


def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8765,
    root: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Clients may have folders beneath it indexed."),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE", help="API keys: `mmsearch keys` makes them.")
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
    collection: CollectionOption = None,
) -> None:
    """Answer queries over HTTP, and show a search page, until it is stopped.

    Ctrl-C or SIGTERM finishes what was accepted and ends it, with exit code 0. Other processes may
    index meanwhile. Without --keys it serves this machine only.

    \b
    Example:
      mmsearch serve --open
      mmsearch serve --host 0.0.0.0 --keys keys.json --root /srv/photos
    """
    from mmsearch.server.hosts import require_keys
    from mmsearch.server.settings import MIB, Settings

    require_keys(host, has_keys=keys is not None)  # before anything is made

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
    )
    with listening(settings) as listener:
        address = f"http://{_in_url(host)}:{listener.getsockname()[1]}/"
        typer.echo(f"mmsearch serves {path} at {address}")
        sys.stdout.flush()
        if open_page:
            import webbrowser

            webbrowser.open(address)
        _run(settings, listener)


def _run(settings: Settings, listener: socket.socket) -> None:
    import uvicorn

    from mmsearch.server import logs
    from mmsearch.server.app import create_app

    config = uvicorn.Config(
        create_app(settings),
        log_config=logs.config(),
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=round(settings.request_seconds) + 1,
    )
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


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
