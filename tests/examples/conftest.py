"""The generators of the example data, imported as a worker does: from the folder of validator.yml."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def translator() -> Iterator[ModuleType]:
    yield from _generator("translator")


@pytest.fixture(scope="module")
def llama() -> Iterator[ModuleType]:
    yield from _generator("llama")


def _generator(package: str) -> Iterator[ModuleType]:
    sys.path.insert(0, str(EXAMPLES))
    yield importlib.import_module(f"{package}.data")
    sys.path.remove(str(EXAMPLES))
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]
