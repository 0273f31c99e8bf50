"""`mmsearch query --socket`: the server of the collection runs the command, here it is printed.

What was typed goes to `errands.py` as it is, and comes back as it is to be printed: whoever only
carries it needs neither a parser nor json. `socket` would be half of the time: 10 ms of enums and
selectors, where what it is made of takes 1 (2026-11). So nothing of all that is imported here.
"""

from __future__ import annotations

import os
import sys
from _socket import AF_UNIX, SOCK_STREAM, socket

from mmsearch.cli.place import root_of, terminal_width

OPTION = "--socket"
NAME = "serve.sock"  # in the collection's directory
MOST_BYTES = 103  # of an address: macOS takes 104 and Linux 108, a zero at the end among them
ADDRESS = "/query"
INTERRUPTED = 130  # as options.EXIT_INTERRUPTED and app.EXIT_BROKEN_PIPE, whose modules bring typer
BROKEN_PIPE = 141
CANNOT_WRITE = 1
_WHOLE = ("-h", "--help", "--")  # whatever stands with these, the whole program reads it


def exit_if_answered(arguments: list[str]) -> None:
    """End the process with the exit code of `run`; comes back where that did nothing."""
    code = run(arguments)
    if code is not None:
        os._exit(code)  # everything was flushed, and nothing is left to be closed


def run(arguments: list[str]) -> int | None:
    """Answer on stdout and stderr, and give the exit code; None: nothing was done, and the whole
    program says why."""
    try:
        told = split(arguments)
        root = None if told is None else root_of(told[0])
        if told is None or root is None:
            return None
        reply = ask(root, told[1])
        if reply is None:
            return None
        code, out, err = reply
        sys.stdout.buffer.write(out)
        sys.stdout.buffer.flush()
        sys.stderr.buffer.write(err)
        sys.stderr.buffer.flush()
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:  # the disk that stdout goes to is full
        sys.stderr.write(f"error: cannot write: {error.strerror}\n")
        sys.stderr.flush()
        return CANNOT_WRITE
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.stderr.flush()
        return INTERRUPTED
    return code


def split(arguments: list[str]) -> tuple[str | None, list[str]] | None:
    """The collection that `[--collection DIR] query --socket ...` names, and the rest of it after
    `query`; None for any other line."""
    named = os.environ.get("MMSEARCH_COLLECTION") or None
    rest: list[str] | None = None
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--collection":
            given = value if equals else next(words, "")
            if not given:
                return None
            named = given
        elif rest is not None:
            rest.append(word)
        elif word == "query":
            rest = []
        else:
            return None
    if rest is None or OPTION not in rest or any(word in _WHOLE for word in rest):
        return None
    return named, rest


def ask(root: str, words: list[str]) -> tuple[int, bytes, bytes] | None:
    """Exit code, stdout and stderr of `mmsearch query WORDS`, by the server of the collection in
    the directory `root`; None where no server answers that."""
    width = terminal_width()
    given = (root, os.getcwd(), "" if width is None else str(width), *words)
    body = b"\0".join(map(os.fsencode, given))
    head = f"POST {ADDRESS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    wire = socket(AF_UNIX, SOCK_STREAM)
    pieces = []
    try:
        wire.connect(address(root))
        wire.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        while piece := wire.recv(1 << 16):
            pieces.append(piece)
    except OSError:
        return None
    finally:
        wire.close()
    head_of_reply, _, content = b"".join(pieces).partition(b"\r\n\r\n")
    return _read(content) if head_of_reply.startswith(b"HTTP/1.1 200 ") else None


def address(root: str) -> str:
    """What the socket of the collection in `root` is bound and connected to.

    Its path; seen from the working directory where that one is too long for an address.
    """
    path = os.path.join(root, NAME)
    return path if len(os.fsencode(path)) <= MOST_BYTES else os.path.relpath(path)


def require_address(root: str) -> None:
    """Raises StorageError for a socket that has no address from here."""
    from mmsearch.errors import StorageError

    length = len(os.fsencode(address(root)))
    if length > MOST_BYTES:
        raise StorageError(
            f"the path of the socket {os.path.join(root, NAME)} is too long ({length} bytes, "
            f"{MOST_BYTES} at most): go to the collection's own folder, from where it is short"
        )


def written(code: int, out: bytes, err: bytes) -> bytes:
    """What a server sends: the exit code and both lengths on a line of their own, then both."""
    return b"%d %d %d\n" % (code, len(out), len(err)) + out + err


def _read(content: bytes) -> tuple[int, bytes, bytes] | None:
    """What was `written`; None for anything else, or a part of it."""
    line, _, printed = content.partition(b"\n")
    try:
        code, out, err = map(int, line.split(b" "))
    except ValueError:
        return None
    return (code, printed[:out], printed[out:]) if len(printed) == out + err else None
