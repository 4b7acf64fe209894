"""Names of `keras` that a model's code uses, and that a newer release no longer has."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from validator.catalogue.entries import number
from validator.catalogue.reach import ReleasePair


@dataclass(frozen=True)
class GoneName:
    """A public name that is used at a line of a file, and the release that no longer has it."""

    name: str
    file: str
    line: int
    gone: str


@cache
def _lifetimes() -> dict[str, tuple[str, str]]:
    """Public name → the first release that has it, and the first that no longer does (empty for none).

    `python -m bench.catalogue names` makes the file from the wheels; it has only names that are gone.
    """
    text = files("validator.catalogue").joinpath("gone.json").read_text(encoding="utf-8")
    loaded: dict[str, list[str]] = json.loads(text)
    return {name: (born, gone) for name, (born, gone) in loaded.items()}


def gone_names(text: str, file: str, pair: ReleasePair) -> list[GoneName]:
    """Every use of a name that the older release has, and the newer one has not."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    lost = {name: gone for name, (born, gone) in _lifetimes().items() if _lost(born, gone, pair)}
    uses = sorted({(line, name) for name, line in _uses(tree) if name in lost})
    return [GoneName(name, file, line, lost[name]) for line, name in uses if not _longer(uses, line, name)]


def _longer(uses: list[tuple[int, str]], line: int, name: str) -> bool:
    """Whether a line uses a name below this one, which says more."""
    return any(at == line and other.startswith(f"{name}.") for at, other in uses)


def _lost(born: str, gone: str, pair: ReleasePair) -> bool:
    old, new = number(pair.baseline), number(pair.candidate)
    return number(born) <= old < number(gone) <= new


def _uses(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every dotted name below `keras`, with its line, whatever it was imported as."""
    known = dict(_imports(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield _public(f"{node.module}.{alias.name}"), node.lineno
        elif isinstance(node, ast.Attribute):
            dotted = _dotted(node)
            head, _, rest = dotted.partition(".")
            if head in known and rest:
                yield _public(f"{known[head]}.{rest}"), node.lineno


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                head = alias.name.partition(".")[0]
                yield (alias.asname or head), (alias.name if alias.asname else head)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield (alias.asname or alias.name), f"{node.module}.{alias.name}"


def _public(name: str) -> str:
    """A name as Keras itself has it: `tf.keras.layers.X` is `keras.layers.X`."""
    for prefix in ("tensorflow.keras.", "tf_keras."):
        if name.startswith(prefix):
            return f"keras.{name.removeprefix(prefix)}"
    return name


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""
