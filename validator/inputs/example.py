"""MLflow's input example → a recording: a data frame's columns, or the arrays of a request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.documents import read_json
from validator.errors import ConfigurationError
from validator.inputs.specification import Specification
from validator.recorder import RecordingError
from validator.recorder.writing import SampleTable, write

Array = NDArray[Any]
_EXAMPLE_BYTES = 64 << 20


def write_example(example: Path, specification: Specification | None, folder: Path) -> None:
    """Write MLflow's input example as a recording: a data frame's columns, or the arrays of a request.

    Raises:
        ConfigurationError: it is in no form that is known.
    """
    try:
        value = read_json(example, _EXAMPLE_BYTES)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{example}: {error}; record inputs instead") from None
    dtypes = {each.name: each.dtype for each in specification.inputs} if specification else {}
    arrays = {
        name: _array(example, name, values, dtypes.get(name, "")) for name, values in _parts(example, value)
    }
    if len(arrays) == 1 and len(dtypes) == 1:
        name, dtype = next(iter(dtypes.items()))
        arrays = {name: _array(example, name, next(iter(arrays.values())), dtype)}
    samples = len(next(iter(arrays.values())))
    ids = [f"{example.name}:{number}" for number in range(samples)]
    try:
        write(folder, SampleTable(arrays, ids, example.as_posix()))
    except RecordingError as error:
        raise ConfigurationError(str(error)) from None


def _parts(example: Path, value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        frame = value.get("dataframe_split", value)
        frame = frame if isinstance(frame, dict) else {}
        columns, data = frame.get("columns"), frame.get("data")
        data = data if data is not None else value.get("inputs", value.get("instances", value))
        if isinstance(columns, list) and isinstance(data, list):
            rows = [row for row in data if isinstance(row, list) and len(row) == len(columns)]
            for at, name in enumerate(columns):
                yield str(name), [row[at] for row in rows]
            return
        if isinstance(data, dict):
            yield from ((str(name), values) for name, values in data.items())
            return
        value = data
    if not isinstance(value, list) or not value:
        raise ConfigurationError(f"{example}: neither a data frame nor arrays; record inputs instead")
    yield "input", value


def _array(example: Path, name: str, values: Any, dtype: str) -> Array:
    try:
        array = np.asarray(values)
        if not dtype:
            dtype = "float32" if array.dtype.kind == "f" else array.dtype.name
        array = array if dtype == "string" or array.dtype.kind in "US" else array.astype(dtype)
    except (ValueError, TypeError):
        raise ConfigurationError(f"{example}: {name!r} is no array of {dtype}; record inputs") from None
    if array.dtype.kind == "O" or not array.ndim:
        raise ConfigurationError(f"{example}: {name!r} is no array of samples; record inputs instead")
    return array
