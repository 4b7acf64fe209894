"""Sentences are for people: with every one replaced by a hash of itself, verdicts, gates and counts stay."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.pipeline.small_project import run, write_project

#: Three words in a row: prose. Names, keys, formats, SQL-like or shell-like texts have none.
PROSE = re.compile(r"[A-Za-z]{2,} [a-z]+ [a-z]+")
#: What a text decides where it is not prose at all: uv's and git's own output is matched here.
KEPT = ("environments", "upgrade", "worker", "text.py")


class Hashed(ast.NodeTransformer):
    """Replaces every prose constant, docstrings apart."""

    def __init__(self) -> None:
        self.count = 0

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, str) or not PROSE.search(node.value):
            return node
        self.count += 1
        edges = re.fullmatch(r"(\s*).*?(\s*)", node.value, re.DOTALL)
        assert edges
        digest = hashlib.sha256(node.value.encode()).hexdigest()[:12]
        return ast.copy_location(ast.Constant(f"{edges[1]}{digest}{edges[2]}"), node)


def hashed_package(folder: Path) -> int:
    """Copy the package with its sentences hashed; returns how many there were."""
    package = folder / "validator"
    shutil.copytree(ROOT / "validator", package, ignore=shutil.ignore_patterns("__pycache__"))
    count = 0
    for path in package.rglob("*.py"):
        if path.relative_to(package).parts[0] in KEPT:
            continue
        hashed = Hashed()
        tree = hashed.visit(ast.parse(path.read_text(encoding="utf-8")))
        path.write_text(ast.unparse(ast.fix_missing_locations(tree)), encoding="utf-8")
        count += hashed.count
    return count


def decided(report: dict[str, Any]) -> dict[str, Any]:
    """All that a program reads: everything but what is there for people, and what the clock says."""
    for_people = {"message", "title", "log", "reproduce", "configuration"}

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: stripped(item)
                for key, item in value.items()
                if key not in for_people | {"seconds", "started"}
            }
        return [stripped(item) for item in value] if isinstance(value, list) else value

    return {key: stripped(value) for key, value in report.items() if key not in {"seconds", "started"}}


@pytest.mark.environment
def test_no_verdict_gate_or_count_depends_on_a_sentence(tmp_path: Path) -> None:
    config = write_project(tmp_path)
    plain = run(config, ROOT, "run", "--json", "--output", str(tmp_path / "plain"))
    assert hashed_package(tmp_path / "copy") > 300
    hashed = run(config, tmp_path / "copy", "run", "--json", "--output", str(tmp_path / "hashed"))
    assert (plain.returncode, hashed.returncode) == (1, 1), hashed.stderr
    reports = [json.loads(done.stdout) for done in (plain, hashed)]
    assert decided(reports[0]) == decided(reports[1])
    messages = [[model["cells"][0]["message"] for model in report["models"]] for report in reports]
    assert messages[0] != messages[1]
