"""The program `mmsearch`: `python -m mmsearch` and the console script begin here.

A query that a server answers, and else a plain one, is answered before the parser of the command
line would be loaded; for all else, and where the quick ways are not sure, that is what happens.
"""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the program on `sys.argv`; never returns."""
    try:
        _run()
    except KeyboardInterrupt:  # while modules are loaded; what is running says it by itself
        sys.stderr.write("interrupted\n")
        sys.stderr.flush()
        os._exit(130)  # as options.EXIT_INTERRUPTED; nothing was begun


def _run() -> None:
    # Importing makes many objects and no garbage: 10 ms of collections that find nothing.
    gc.disable()
    _open_closed_streams()
    if "--socket" in sys.argv:
        from mmsearch.cli import over_socket

        over_socket.exit_if_answered(sys.argv[1:])
    from mmsearch.blas import keep_to_one_thread
    from mmsearch.cli import oneshot

    keep_to_one_thread(os.environ)
    try:
        afterwards = oneshot.run(sys.argv[1:])
        if afterwards is not None:
            afterwards()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)  # 15 ms of unloading NumPy otherwise; nothing is left to be closed
    except BrokenPipeError:
        pass  # the program meets it again, and says what it has to say
    gc.enable()
    from mmsearch.cli import app

    app.main()


def _open_closed_streams() -> None:
    """What was closed by whoever started the program (`>&-`) is None to Python: it reads nothing,
    and what is written there is lost."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  to the end


if __name__ == "__main__":
    main()
