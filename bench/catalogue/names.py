"""Writes `validator/catalogue/gone.json`: public names of Keras that a later release no longer has.

    python -m bench.catalogue names

Names are read from the wheels' own `keras/api`, which lists what is public, without importing anything.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from bench.catalogue.wheels import bases, overlay
from validator.catalogue.entries import LEGACY, releases

TARGET = Path(__file__).resolve().parents[2] / "validator" / "catalogue" / "gone.json"


def public_names(wheel: Path) -> set[str]:
    """Every public name of the release in a folder, `keras.layers.Dense` for example."""
    top = wheel / "keras" / "api"
    if not top.is_dir():
        top = wheel / "keras"
    return {
        name
        for path in sorted(top.rglob("__init__.py"))
        if not {"src", "legacy", "_legacy", "_tf_keras"} & set(path.relative_to(top).parts)
        for name in _names(path, ".".join(("keras", *path.relative_to(top).parts[:-1])))
    }


def legacy_names(python: Path) -> set[str]:
    """Every public name of tf_keras, as names below `keras`."""
    top = next(python.parents[1].glob("lib/python*/site-packages/tf_keras/api/_v2/keras"))
    return {
        name
        for path in sorted(top.rglob("__init__.py"))
        for name in _names(path, ".".join(("keras", *path.relative_to(top).parts[:-1])))
    }


def _names(path: Path, package: str) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{package}.{alias.asname or alias.name}"


def write_names() -> int:
    """Write the file: name → the first release that has it, and the first after it that has not."""
    python = bases().tensorflow
    lives: dict[str, list[str]] = {}
    before: set[str] = set()
    for release in (LEGACY, *releases()):
        now = legacy_names(python) if release == LEGACY else public_names(overlay(release, python))
        for name in now - before:
            lives[name] = [lives[name][0] if name in lives else release, ""]
        for name in before - now:
            lives[name][1] = release
        before = now
    gone = {name: life for name, life in sorted(lives.items()) if life[1] and "__" not in name}
    TARGET.write_text(json.dumps(gone, indent=0) + "\n", encoding="utf-8")
    print(f"{len(lives)} public names, {len(gone)} are gone from a later release")
    return 0
