"""Measures a model that lives in this process, with the worker's own code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

from validator.runner.sandbox import WORKER

_PACKAGE = "keras_capture"


def measure_in_process(
    model: object, inputs: Mapping[str, Any], folder: Path, options: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """What `keras_capture.in_process.measure_model` answers; a fault of the model is its `failure`."""
    _provide()
    module = importlib.import_module(f"{_PACKAGE}.in_process")
    return cast("dict[str, JsonValue]", module.measure_model(model, inputs, folder, dict(options)))


def _provide() -> None:
    """Make the worker's package importable, without a further folder on the path."""
    if _PACKAGE in sys.modules:
        return
    root = WORKER / _PACKAGE
    spec = spec_from_file_location(_PACKAGE, root / "__init__.py", submodule_search_locations=[str(root)])
    assert spec is not None  # noqa: S101 - a file of this package
    assert spec.loader is not None  # noqa: S101 - likewise
    module = module_from_spec(spec)
    sys.modules[_PACKAGE] = module
    spec.loader.exec_module(module)
