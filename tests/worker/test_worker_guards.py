"""The worker stands alone, on the oldest Python, and shadows nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from worker.support import WORKER

FILES = sorted(WORKER.rglob("*.py"))
ANYWHERE = frozenset(sys.stdlib_module_names) | {"numpy", "keras_capture"}
#: Modules that are imported where their backend runs and nowhere else.
OF_BACKEND = {"jax": ("jaxpr.py",), "torch": (), "tensorflow": ()}
INSIDE_FUNCTIONS = frozenset({"keras", "tf_keras", "tensorflow", "h5py", "ml_dtypes", "jax", "torch"})


def _imports(tree: ast.AST, allowed: frozenset[str]) -> list[str]:
    """Imports that are not allowed where they stand."""
    found = []
    for node in ast.iter_child_nodes(tree):
        inner = allowed | INSIDE_FUNCTIONS if isinstance(node, ast.FunctionDef) else allowed
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] not in allowed]
        elif isinstance(node, ast.ImportFrom):
            name = node.module or "."
            found += [name] if node.level or name.partition(".")[0] not in allowed else []
        else:
            found += _imports(node, inner)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imports_and_syntax(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    own = {name for name, files in OF_BACKEND.items() if path.name in files or path.stem.endswith(f"_{name}")}
    assert _imports(tree, ANYWHERE | own) == []


def test_the_guard_sees_a_forbidden_import() -> None:
    source = "import os\nimport tensorflow\nfrom validator import text\ndef f():\n    import keras, yaml"
    assert _imports(ast.parse(source), ANYWHERE) == ["tensorflow", "validator", "yaml"]


def test_the_folder_offers_one_name_that_shadows_nothing() -> None:
    offered = {path.stem for path in WORKER.iterdir() if path.name != "__pycache__"}
    assert offered == {"__main__", "keras_capture"}


def test_an_old_python_is_told_so() -> None:
    """The gate stands before the first import of the package."""
    tree = ast.parse((WORKER / "__main__.py").read_text(encoding="utf-8"))
    kinds = [type(node).__name__ for node in tree.body]
    assert kinds[:4] == ["Expr", "Import", "If", "ImportFrom"]


def test_it_says_how_it_is_used() -> None:
    command = [sys.executable, "-I", str(WORKER), "a folder"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "usage" in done.stderr
