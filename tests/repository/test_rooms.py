"""A room imports what stands to its left, and the leaves; the worker stands alone (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "validator"
#: The way of the data, from left to right.
ROOMS = (
    "config",
    "upgrade",
    "matrix",
    "environments",
    "runner",
    "compare",
    "diagnose",
    "verdict",
    "report",
    "github",
    "pipeline",
    "cli",
    "__main__",
)
ALONE = "worker"


def room_of(path: Path) -> str:
    """The room a module belongs to: the first part of its place in the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """The rooms and leaves of this package that a module imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import hides which room it reaches"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("validator."))


def forbidden(room: str, targets: set[str]) -> set[str]:
    """The targets that a room, or a leaf, must not import."""
    allowed_rooms = set(ROOMS[: ROOMS.index(room) + 1]) if room in ROOMS else set()
    return {
        target
        for target in targets - {room, "__version__"}
        if target == ALONE or (target in ROOMS and target not in allowed_rooms)
    }


MODULES = sorted(PACKAGE.rglob("*.py"))
OURS = [path for path in MODULES if room_of(path) != ALONE]


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_left(path: Path) -> None:
    targets = set(imported(ast.parse(path.read_text(encoding="utf-8"))))
    assert forbidden(room_of(path), targets) == set()


def test_the_worker_imports_nothing_of_ours() -> None:
    for path in MODULES:
        if room_of(path) == ALONE:
            assert set(imported(ast.parse(path.read_text(encoding="utf-8")))) == set(), path


def test_every_folder_is_a_known_room() -> None:
    folders = {path.parent.relative_to(PACKAGE).parts[0] for path in MODULES if path.parent != PACKAGE}
    assert folders <= {*ROOMS, ALONE}


def test_the_guard_sees_what_it_forbids() -> None:
    source = "from validator import report\ndef f():\n    import validator.worker.x, validator.errors"
    targets = set(imported(ast.parse(source)))
    assert targets == {"report", "worker", "errors"}
    assert forbidden("compare", targets) == {"report", "worker"}
    assert forbidden("github", targets) == {"worker"}
    assert forbidden("tensors", targets) == {"report", "worker"}
