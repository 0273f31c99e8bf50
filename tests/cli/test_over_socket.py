"""`mmsearch serve --socket` and `mmsearch query --socket`: a server of one's own, asked at once."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmsearch.cli import app, options, over_socket
from mmsearch.cli.place import terminal_width
from tests.cli.conftest import Cli

MMSEARCH = [sys.executable, "-m", "mmsearch"]


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server at the socket of the collection in `folder`, started there; killed at the end."""
    running = subprocess.Popen(
        [*MMSEARCH, "serve", "--socket", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert line.rstrip().endswith(b"/.mmsearch/serve.sock"), (line, running.communicate())
        yield running
    finally:
        running.kill()
        running.communicate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, indexed: Path) -> Path:
    """A collection of its own for the server of this module."""
    return Path(shutil.copytree(indexed, tmp_path_factory.mktemp("served") / "corpus"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with served(folder) as running:
        yield running


def ask(
    *arguments: str | Path, cwd: Path, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*MMSEARCH, "query", "--socket", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "line",
    [
        ["a red ball"],
        ["a red ball", "-k", "2"],
        ["-k2", "a red ball"],
        ["a red ball", "--json"],
        ["a red ball", "--to", "text", "--json"],
        ["a red ball", "--to", "text", "--paths"],
        ["a red ball", "-0"],
        ["ein größeres Wort 犬"],
        ["taxi", "--to", "text", "--where", "price > 10", "--facet", "price"],
        ["taxi", "--to", "text", "--where", '{"price": {"gt": 10}}', "--json"],
        ["taxi", "--to", "text", "--where=price > 10", "--sort=-price", "--pages"],
        ["taxi", "--to", "both", "--mode", "hybrid", "--weights", "image=1,lexical=2"],
        ["--where", "price > 1000"],
        ["a red ball", "--minus", "dog^0.3", "--plus", "blue", "--boost", "price=12^3"],
        ["--like", "green.png"],
        ["--like", "green.png", "--up", "red.png", "--exclude", "blue.png", "--to", "image"],
        ["quarterly tax declaration of 1984", "--min-relevance", "auto", "--json"],
        ["quarterly tax declaration of 1984"],
        # What is wrong is said in the same words.
        ["a red ball", "-k", "0"],
        ["a red ball", "-k", "many"],
        ["a red ball", "--to", "sound"],
        ["a red ball", "--where", "prise > 3"],
        ["a red ball", "--where", "price >"],
        ["a red ball", "--json", "--paths"],
        ["a red ball", "--min-relevance", "high"],
        ["a red ball", "--no-such-option"],
        ["--like", "no/such.jpg"],
        [" "],
        [],
        ["--help"],
    ],
    ids=lambda line: " ".join(line) or "nothing",
)
@pytest.mark.usefixtures("server")
def test_it_prints_what_the_command_itself_prints(folder: Path, line: list[str]) -> None:
    # As a process too: usage messages name the program.
    command = [*MMSEARCH, "query", *line]
    alone = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    for _ in range(2):  # computed, and kept
        done = ask(*line, cwd=folder)
        assert (done.returncode, done.stderr) == (alone.returncode, alone.stderr)
        (text, scores), (expected, others) = without_scores(done), without_scores(alone)
        assert text == expected
        assert scores == pytest.approx(others, abs=2e-6)


def without_scores(done: subprocess.CompletedProcess[bytes]) -> tuple[bytes, list[float]]:
    """What was printed, and apart the scores in JSON: their last digit depends on the order in
    which an index or a reader of its own adds up."""
    score = rb'"score": ([-.e\d]+)'
    return re.sub(score, b"", done.stdout), [float(one) for one in re.findall(score, done.stdout)]


@pytest.mark.usefixtures("server")
def test_paths_and_keys_are_those_of_where_it_is_typed(folder: Path) -> None:
    below = folder / "below"
    below.mkdir(exist_ok=True)
    for where, like in ((folder, "green.png"), (below, "../green.png"), (folder.parent, "x")):
        line = ["--like", like] if where != folder.parent else ["a red ball", "--collection"]
        line += ["corpus"] if where == folder.parent else ["--paths"]
        command = [*MMSEARCH, "query", *line]
        alone = subprocess.run(command, cwd=where, capture_output=True, check=True, timeout=120)
        done = ask(*line, cwd=where)
        assert (done.stdout, done.stderr) == (alone.stdout, alone.stderr)
        assert done.stdout


@pytest.mark.usefixtures("server")
def test_paths_are_those_of_the_name_that_the_collection_is_called_by(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(folder)
    done = ask("a red ball", "--paths", "-k", "1", "--collection", tmp_path / "link", cwd=tmp_path)
    assert done.stdout == b"link/red.png\n"


@pytest.mark.usefixtures("server")
def test_collection_is_named_before_after_or_by_the_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ask("a taxi", "--json", cwd=folder).stdout
    assert expected
    query = ["query", "--socket", "a taxi", "--json"]
    for line in (
        ["--collection", str(folder), *query],
        [f"--collection={folder / '.mmsearch'}", *query],
        ["--collection", "nowhere", *query, "--collection", str(folder)],
    ):
        done = subprocess.run(
            [*MMSEARCH, *line], cwd=tmp_path, capture_output=True, check=True, timeout=120
        )
        assert done.stdout == expected
    monkeypatch.setenv("MMSEARCH_COLLECTION", str(folder))
    assert ask("a taxi", "--json", cwd=tmp_path).stdout == expected


@pytest.mark.parametrize(
    ("line", "option"),
    [
        (["-"], "stdin"),
        (["--image", "red.png"], "--image"),
        (["x", "--preview"], "--preview"),
        (["x", "--open"], "--open"),
        (["x", "--save-concept", "y"], "--save-concept"),
    ],
    ids=lambda line: " ".join(line) if isinstance(line, list) else None,
)
@pytest.mark.usefixtures("server")
def test_what_needs_the_caller_does_not_go_over_the_socket(
    folder: Path, line: list[str], option: str
) -> None:
    done = ask(*line, cwd=folder)
    assert done.returncode == 2
    assert done.stdout == b""
    assert option in done.stderr.decode()
    assert b"leave --socket out" in done.stderr


@pytest.mark.usefixtures("server")
def test_all_of_the_server_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx2

    path = str(folder / ".mmsearch" / over_socket.NAME)
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=path)) as client:
        (hit, *_) = client.get("http://localhost/v1/search?q=a+red+ball").json()["hits"]
        assert hit["key"] == "red.png"
        assert client.get("http://localhost/readyz").status_code == 200
        for body in (b"", b"\0", b"a\0b\0\0--no-such-option"):
            assert client.post("http://localhost/query", content=body).status_code == 422


def test_only_its_owner_may_connect(folder: Path, server: subprocess.Popen[bytes]) -> None:
    found = os.stat(folder / ".mmsearch" / over_socket.NAME)
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_uid == os.getuid()


@pytest.mark.usefixtures("server")
def test_second_server_is_refused_and_the_first_goes_on(folder: Path) -> None:
    command = [*MMSEARCH, "serve", "--socket"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"error: another `mmsearch serve --socket` serves ")
    assert ask("a taxi", cwd=folder).returncode == 0


def test_changes_of_another_process_are_seen_at_once(indexed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(indexed, tmp_path / "corpus"))
    with served(folder):
        assert b"blue.png" in ask("a blue ball", "--paths", cwd=folder).stdout
        remove = [*MMSEARCH, "remove", "blue.png"]
        subprocess.run(remove, cwd=folder, capture_output=True, timeout=120, check=True)
        assert b"blue.png" not in ask("a blue ball", "--paths", cwd=folder).stdout


def test_socket_of_a_killed_server_is_replaced_and_that_of_a_stopped_one_is_gone(
    indexed: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(indexed, tmp_path / "corpus"))
    path = folder / ".mmsearch" / over_socket.NAME
    with served(folder) as running:
        running.kill()
        running.wait()
    assert path.is_socket()
    require_nobody(folder)
    with served(folder) as running:
        assert ask("a taxi", cwd=folder).returncode == 0
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=180) == 0
    assert not path.exists()
    require_nobody(folder)


def require_nobody(folder: Path) -> None:
    done = ask("a taxi", cwd=folder)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"error: no server answers at ")
    assert b"start `mmsearch serve --socket`" in done.stderr


def test_without_a_collection_it_says_so(tmp_path: Path) -> None:
    done = ask("a taxi", cwd=tmp_path)
    assert done.returncode == 1
    assert b"no collection in " in done.stderr


@contextmanager
def listening(folder: Path) -> Iterator[socket.socket]:
    """A socket in the place of a server's, which answers as the test has it."""
    path = folder / ".mmsearch" / over_socket.NAME
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield listener
    path.unlink()


def test_answer_that_breaks_off_is_no_answer(indexed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(indexed, tmp_path / "corpus"))
    for reply in (b"", b"HTTP/1.1 200 OK\r\n\r\n0 10 0\nrank", b"HTTP/1.1 200 OK\r\n\r\n{}"):
        with listening(folder) as listener:
            asking = subprocess.Popen(
                [*MMSEARCH, "query", "--socket", "a taxi"],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            with listener.accept()[0] as wire:
                wire.recv(1 << 16)
                wire.sendall(reply)
            out, err = asking.communicate(timeout=120)
        assert (asking.returncode, out) == (1, b"")
        assert err.startswith(b"error: no server answers at ")


def test_long_path_is_served_from_its_folder_and_refused_from_elsewhere(
    indexed: Path, tmp_path: Path
) -> None:
    above = tmp_path / ("long " * 12) / ("longer" * 12)
    above.mkdir(parents=True)
    folder = Path(shutil.copytree(indexed, above / "corpus"))
    elsewhere = ["--collection", str(folder)]
    with served(folder) as running:
        assert ask("a taxi", cwd=folder).returncode == 0
        done = ask("a taxi", *elsewhere, cwd=tmp_path.parent)
        assert done.returncode == 1
        assert b"103 at most" in done.stderr
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=180) == 0
    assert not (folder / ".mmsearch" / over_socket.NAME).exists()
    command = [*MMSEARCH, *elsewhere, "serve", "--socket"]
    refused = subprocess.run(command, cwd="/", capture_output=True, timeout=120, check=False)
    assert refused.returncode == 1
    assert b"103 at most" in refused.stderr


@pytest.mark.parametrize("option", ["--port=0", "--host=127.0.0.1", "--open", "--keys=k.json"])
def test_port_and_socket_exclude_each_other(cli: Cli, indexed: Path, option: str) -> None:
    done = cli("--collection", indexed, "serve", "--socket", option)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {option.partition('=')[0]} is of a server at a port")


def test_file_that_is_no_socket_is_left_alone(indexed: Path, tmp_path: Path, cli: Cli) -> None:
    folder = Path(shutil.copytree(indexed, tmp_path / "corpus"))
    file = folder / ".mmsearch" / over_socket.NAME
    file.write_text("mine")
    done = cli("--collection", folder, "serve", "--socket")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: cannot make {file}")
    assert file.read_text() == "mine"


@pytest.mark.usefixtures("server")
def test_reader_that_has_gone_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m mmsearch query --socket 'a dog' | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, check=False, timeout=120
    )
    assert done.stdout.strip() in (b"0", b"141")
    assert done.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.usefixtures("server")
def test_full_disk_is_one_line(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*MMSEARCH, "query", "--socket", "a dog"],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )
    assert done.returncode == 1
    assert done.stderr == b"error: cannot write: No space left on device\n"


def test_ctrl_c_ends_the_waiting(indexed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(indexed, tmp_path / "corpus"))
    with listening(folder) as listener:
        asking = subprocess.Popen(
            [*MMSEARCH, "query", "--socket", "a taxi"],
            cwd=folder,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        with listener.accept()[0]:
            time.sleep(0.2)
            asking.send_signal(signal.SIGINT)
            _, err = asking.communicate(timeout=60)
    assert (asking.returncode, err) == (130, b"interrupted\n")


# ---- the client


def test_client_imports_nothing_that_python_has_not_loaded(
    folder: Path, server: subprocess.Popen[bytes]
) -> None:
    code = """
import os, sys
before = set(sys.modules)
import mmsearch.__main__
from mmsearch.cli import over_socket
assert over_socket.run(["query", "--socket", "a red ball"]) == 0
print("LOADED", *sorted(set(sys.modules) - before), file=sys.stderr)
"""
    # -S: without site-packages, of which some load half of the standard library themselves.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(over_socket.__file__).parents[2])},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert b"red.png" in done.stdout, done.stderr
    assert done.stderr.decode().split() == [
        "LOADED",
        "__future__",
        "_socket",
        "gc",
        "mmsearch",
        "mmsearch.__main__",
        "mmsearch.cli",
        "mmsearch.cli.over_socket",
        "mmsearch.cli.place",
    ]


def test_exit_codes_are_those_of_the_program() -> None:
    assert options.EXIT_INTERRUPTED == over_socket.INTERRUPTED
    assert app.EXIT_BROKEN_PIPE == over_socket.BROKEN_PIPE


@pytest.mark.parametrize(
    "line",
    [
        "query x",
        "query x --socket --help",
        "query --socket -- x",
        "serve --socket",
        "--version --socket",
        "query --socket x --collection",
        "query --socket x --collection=",
        "--socket",
    ],
)
def test_any_other_line_is_left_to_the_whole_program(line: str) -> None:
    assert over_socket.split(line.split()) is None


@pytest.mark.parametrize("columns", ["", "0", "33", "wide", "-1"])
def test_terminal_is_as_wide_as_shutil_says(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert terminal_width() == shutil.get_terminal_size().columns
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert terminal_width() is None


@pytest.mark.usefixtures("server")
def test_lines_are_cut_to_the_terminal_of_the_caller(folder: Path) -> None:
    reply = over_socket.written(0, b"out", b"err")
    assert over_socket._read(reply) == (0, b"out", b"err")
    code = (
        "import sys; sys.stdout.isatty = lambda: True\n"
        "from mmsearch.cli import over_socket\n"
        "sys.exit(over_socket.run(['query', '--socket', 'a red ball']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "COLUMNS": "20"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    lines = done.stdout.decode().splitlines()
    assert max(map(len, lines)) == 20
    assert lines[1].endswith("…")
