"""A module fits in the head, a function on a screen, the product in a week of reading."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "validator"
MODULES = {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def test_no_module_is_too_long() -> None:
    assert {str(path): lines for path, text in MODULES.items() if (lines := text.count("\n")) > 420} == {}


def test_the_package_does_not_grow_unnoticed() -> None:
    """Lower the number where code goes; raise it with a reason in the commit."""
    assert sum(text.count("\n") for text in MODULES.values()) <= 64_480


def test_functions_are_short() -> None:
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for text in MODULES.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert statistics.median(lengths) < 12
