"""`python tests/server/colours.py COLLECTION`: a server with the tests' own encoder."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import uvicorn

sys.path.insert(0, str(Path(__file__).parents[2]))

from mmsearch.server.app import create_app
from mmsearch.server.settings import Settings
from tests.support import ColourEncoder


def main() -> None:
    app = create_app(Settings(Path(sys.argv[1])), encoder=ColourEncoder())
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"at http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")).run([listener])


if __name__ == "__main__":
    main()
