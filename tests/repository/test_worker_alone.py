"""The worker runs inside the environment under test, where nothing of the tool is installed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

WORKER = Path(__file__).resolve().parents[2] / "validator" / "worker"
#: What an environment with Keras may bring; each is imported where it is there.
ENVIRONMENT = {
    "numpy",
    "keras",
    "tf_keras",
    "tensorflow",
    "jax",
    "torch",
    "h5py",
    "ml_dtypes",
    "keras_capture",
}


def imported(tree: ast.AST) -> Iterator[str]:
    """The top-level packages that a module imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import hides what it reaches"
            yield (node.module or "").partition(".")[0]


def test_the_worker_imports_the_standard_library_and_the_environment() -> None:
    import sys

    modules = list(WORKER.rglob("*.py"))
    assert modules
    for path in modules:
        packages = set(imported(ast.parse(path.read_text(encoding="utf-8"))))
        assert packages <= ENVIRONMENT | set(sys.stdlib_module_names), path
