"""Names are the field's: no filler, two words for two sides, no two public classes of one name."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "validator"
MODULES = sorted(PACKAGE.rglob("*.py"))
#: What a name says nothing with, and words for the two sides other than baseline and candidate.
FILLER = frozenset(
    [
        "one",
        "ones",
        "found",
        "told",
        "said",
        "heard",
        "here",
        "there",
        "ours",
        "theirs",
        "mine",
        "thing",
        "things",
        "looked",
        "wanted",
        "got",
        "tried",
        "shown",
    ]
)
#: Words of the first edition that the field does not use.
RETIRED = frozenset({"twin", "twins", "golden", "inherit", "inherits", "inherited"})


def names(tree: ast.AST) -> Iterator[str]:
    """Every identifier that a module binds."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr
            case ast.alias(asname=str() as alias):
                yield alias
            case ast.ExceptHandler(name=str() as name):
                yield name
            case ast.MatchAs(name=str() as name):
                yield name


def words(name: str) -> list[str]:
    """`read_HTTPReply2` → read, http, reply."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def bad(source: str) -> set[str]:
    return {name for name in names(ast.parse(source)) if (FILLER | RETIRED) & set(words(name))}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_name_says_what_it_is(path: Path) -> None:
    assert bad(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    "source",
    [
        "one = 1",
        "def told(): ...",
        "class _OneMore: ...",
        "for x_found in (): ...",
        "self.here = 1",
        "import a as mine",
    ],
)
def test_the_ban_sees_filler(source: str) -> None:
    assert bad(source)


def test_no_two_public_classes_of_one_name() -> None:
    tool = [path for path in MODULES if PACKAGE / "worker" not in path.parents]
    worker = [path for path in MODULES if PACKAGE / "worker" in path.parents]
    for side in (tool, worker):  # the worker stands alone: it has its own form of what crosses the border
        defined = Counter(
            node.name
            for path in side
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        )
        assert {name for name, count in defined.items() if count > 1} == set()
