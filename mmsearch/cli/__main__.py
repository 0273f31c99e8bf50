"""`python -m mmsearch.cli` does what `mmsearch` does."""

import sys

from mmsearch.cli import over_socket
from mmsearch.cli.app import main

if __name__ == "__main__":
    over_socket.exit_if_answered(sys.argv[1:])
    main()
