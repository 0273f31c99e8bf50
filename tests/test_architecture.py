"""The rooms keep their arrows, and the light paths stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mmsearch"

GROUND = {"types", "errors"}
# Each room, and the rooms that it may import; docs/architecture.md draws the same arrows.
ARROWS = {
    "types": set[str](),
    "blas": set[str](),
    "durable": set[str](),
    "halves": set[str](),
    "last": GROUND,
    "pool": set[str](),
    "collector": set[str](),
    "another_python": set[str](),
    "onnx_runtime": set[str](),
    "fetch": GROUND,
    "errors": set[str](),
    "stages": set[str](),
    "keys": set[str](),
    "images": GROUND,
    "tables": GROUND | {"collector", "another_python"},
    "scan": GROUND | {"images", "keys", "tables"},
    "catalog": GROUND | {"collector", "durable", "halves", "lexical", "filters"},
    "lexical": GROUND | {"last"},
    "columns": GROUND | {"catalog", "collector", "filters", "lexical"},
    "index": GROUND | {"blas", "durable", "halves", "last", "onnx_runtime", "pool", "ranking"},
    "filters": GROUND,
    "ranking": GROUND,
    "models": GROUND | {"encoders", "another_python"},
    "encoders": GROUND | {"blas", "models", "images", "pool", "stages", "onnx_runtime", "durable"},
    "layout": GROUND | {"catalog", "index"},
    "loading": GROUND | {"catalog", "encoders"},
    "check": GROUND | {"catalog", "layout"},
    "status": GROUND | {"catalog", "index", "layout"},
    "stored_vectors": GROUND | {"catalog"},
    "quick": GROUND
    | {"encoders", "ranking", "search", "lexical", "filters", "catalog", "durable", "halves"}
    | {"blas", "images", "pool"},
    "answers": GROUND | {"catalog", "layout", "loading", "search", "quick"},
    "ingest": GROUND
    | {"scan", "images", "tables", "catalog", "layout", "durable", "pool", "fetch"}
    | {"collector"},
    "search": GROUND
    | {"images", "encoders", "catalog", "index", "models", "filters", "columns"}
    | {"ranking", "durable", "pool", "stages"},
    "intake": GROUND | {"answers", "catalog", "ingest", "layout", "loading"},
    "collection": GROUND
    | {"ingest", "search", "scan", "catalog", "layout", "loading", "check", "status", "answers"}
    | {"intake", "ranking", "stored_vectors"},
    "evaluation": GROUND
    | {"collection", "catalog", "encoders", "images", "index", "scan", "search", "tables", "pool"}
    | {"durable", "models"},
    "duplicates": GROUND | {"collection", "catalog", "ranking", "images", "scan"},
    "tuning": GROUND | {"catalog", "index", "layout", "loading", "search"},
    "tagging": GROUND
    | {"collection", "catalog", "loading", "encoders", "models", "evaluation", "filters"},
    "watching": GROUND | {"collection", "scan", "images", "tables"},
    "cli": GROUND
    | {"duplicates", "tagging", "tuning", "watching", "tables", "index", "layout"}
    | {"collection", "encoders", "models", "scan", "images", "evaluation"}
    | {"adaptation", "training", "server", "quick", "keys"},
    "__main__": {"blas", "cli"},
    "client": GROUND | {"tables"},
    "server": GROUND
    | {"collection", "images", "catalog", "layout", "scan", "models", "evaluation", "fetch"}
    | {"durable", "stages", "tables"},
    "training": GROUND | {"models", "encoders", "images", "durable"},
    "adaptation": GROUND
    | {"collection", "encoders", "images", "scan", "tables", "training", "durable"},
}
# Heavy libraries, and the only rooms that may import them.
HOMES = {
    "torch": {"encoders", "models", "training", "adaptation"},
    "torchvision": {"encoders", "models", "training"},
    "open_clip": {"encoders", "models", "training"},
    "timm": {"encoders", "models", "training"},
    "onnx": {"encoders", "index"},
    "onnxruntime": {"encoders", "onnx_runtime"},
    "transformers": {"encoders", "models", "training"},
    "faiss": {"index"},
    "threadpoolctl": {"blas"},
    "sqlalchemy": {"catalog"},
    "pyarrow": {"tables"},
    "pillow_heif": {"images"},
    "ir_measures": {"evaluation"},
    "scipy": {"evaluation"},
    "typer": {"cli"},
    "tqdm": {"cli", "training"},
    "rich": {"cli"},
    "watchfiles": {"watching"},
    "fastapi": {"server"},
    "starlette": {"server"},
    "pydantic": {"server"},
    "uvicorn": {"cli"},
    "prometheus_client": {"server"},
    "opentelemetry": {"server"},
    "httpx2": {"client"},
}


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def imports_of(module: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import, also of those inside functions."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def test_every_room_is_on_the_map() -> None:
    assert {room_of(module) for module in modules()} <= set(ARROWS)


def test_arrows_point_down_only() -> None:
    wrong = []
    for module in modules():
        here = room_of(module)
        for line, name in imports_of(module):
            parts = name.split(".")
            if parts[0] != "mmsearch":
                continue
            # `from mmsearch import open` is the collection; so is all that is no room of its own.
            there = parts[1] if len(parts) > 1 and parts[1] in ARROWS else "collection"
            if there != here and there not in ARROWS[here]:
                wrong.append(f"{module.relative_to(ROOT)}:{line}: {here} must not import {there}")
    assert not wrong, "\n".join(wrong)


def type_checking_lines(module: Path) -> set[int]:
    """The lines under `if TYPE_CHECKING:`, which import nothing when the program runs."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            lines.update(range(node.lineno, (node.body[-1].end_lineno or node.lineno) + 1))
    return lines


def test_heavy_libraries_live_in_their_rooms() -> None:
    wrong = []
    for module in modules():
        here = room_of(module)
        unreal = type_checking_lines(module)
        for line, name in imports_of(module):
            homes = HOMES.get(name.split(".")[0])
            if homes is not None and here not in homes and line not in unreal:
                wrong.append(f"{module.relative_to(ROOT)}:{line}: {name} belongs in {homes}")
    assert not wrong, "\n".join(wrong)


HEAVY = ["torch", "faiss", "sqlalchemy", "numpy", "open_clip", "transformers", "pyarrow", "PIL"]


def loaded_by(code: str) -> set[str]:
    """The heavy libraries that running `code` in a new interpreter loads."""
    report = f"import sys; print('LOADED', *(m for m in {HEAVY!r} if m in sys.modules))"
    script = f"{code}\n{report}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("LOADED")]
    return set(line.split()[1:])


def test_importing_mmsearch_loads_nothing_heavy() -> None:
    assert loaded_by("import mmsearch") == set()


def test_the_process_that_reads_tables_loads_nothing_heavy() -> None:
    run = "import mmsearch.tables.ahead, mmsearch.ingest.new_items"
    assert loaded_by(run) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["query", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    run = f"""
import sys
from mmsearch.cli.app import app
try:
    app({arguments!r})
except SystemExit as done:
    assert not done.code, done.code
"""
    assert loaded_by(run) == set()


def test_readme_names_every_command() -> None:
    from mmsearch.cli.app import app

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [command.name for command in app.registered_commands]
    assert len(commands) == 17
    assert [name for name in commands if f"mmsearch {name}" not in readme] == []


def test_licence_is_apache_2() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
