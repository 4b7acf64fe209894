"""A tree for mixtures of two versions: the one, and the files that only the other has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def joined(root: Path, left: Path, other: Path) -> Path:
    """A folder with every file of `one`, and those that only `other` has; made of links, once.

    Nothing of `other` takes part before a module imports it.
    """
    target = root / f"{left.name}+{other.name}"
    if (target / "complete").is_file():
        return target
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(left / "keras", target / "keras", copy_function=_link)
    for file in (other / "keras").rglob("*.py"):
        place = target / file.relative_to(other)
        if not place.exists() and not file.name.endswith("_test.py"):
            place.parent.mkdir(parents=True, exist_ok=True)
            _link(str(file), str(place))
    (target / "complete").touch()
    return target


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
    return target
