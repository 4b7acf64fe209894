"""Recorded inputs and labels beside a model, whatever their form: chosen by name, checked, converted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.adoption.scan import Artifact
from validator.documents import open_regular, read_json
from validator.errors import ConfigurationError
from validator.inputs import Specification, synthesise
from validator.inputs.synthesis import synthetic_ids
from validator.recorder import RecordingError
from validator.recorder.writing import SampleTable, write

Array = NDArray[Any]
_ENDS = (".npz", ".npy", ".parquet", "")
_INPUTS = ("inputs", "x_test", "test_inputs", "x")
_LABELS = ("labels", "y_test", "test_labels", "y", "targets")
_EXAMPLE_BYTES = 64 << 20


@dataclass(frozen=True)
class Beside:
    """Inputs and labels that lie beside a model; None where there are none."""

    inputs: Path | None = None
    labels: Path | None = None


def recordings_beside(artifact: Artifact, folder: Path, alone: bool) -> Beside:
    """Files with the names that people give: `inputs.npz`, `<model>_inputs.npz`, `x_test.npy` …

    Args:
        artifact: the model.
        folder: of the repository; its `data` is looked into, too.
        alone: whether it is the only model. Otherwise files away from it must bear its name.
    """
    near = artifact.path.parent
    for place, plain in ((near, True), (near / "data", True), (folder, alone), (folder / "data", alone)):
        inputs = _first(place, artifact.name, _INPUTS, plain=plain)
        if inputs is not None:
            inside = inputs / "labels"
            labels = inside if inside.is_dir() else _first(place, artifact.name, _LABELS, plain=plain)
            return Beside(inputs, labels)
    return Beside()


def _first(place: Path, name: str, words: Sequence[str], *, plain: bool) -> Path | None:
    named = [f"{name}_{word}" for word in words] + [f"{name}.{word}" for word in words]
    for stem in (*named, *(words if plain else ())):
        for end in _ENDS:
            path = place / f"{stem}{end}"
            if (path.is_file() and end) or (path / "manifest.json").is_file():
                return path
    return None


def write_synthetic(specification: Specification, folder: Path, why: str) -> None:
    """Write made inputs as a recording that says so."""
    arrays = synthesise(specification)
    samples = len(next(iter(arrays.values())))
    _written(folder, SampleTable(arrays, synthetic_ids(samples), why, samples))


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
    _written(folder, SampleTable(arrays, ids, example.as_posix()))


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


def read_csv(path: Path) -> dict[str, Array]:
    """The columns of a CSV with a header: integers, floats (float32, empty cells NaN), otherwise text.

    Raises:
        ConfigurationError: there are no rows, or rows are longer or shorter than the header.
    """
    try:
        with open_regular(path) as raw:
            text = raw.read().decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}; name a CSV file") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    try:
        header, *rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (csv.Error, ValueError) as error:
        raise ConfigurationError(f"{path}: no CSV with a header ({error}); correct it") from None
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ConfigurationError(
                f"{path} line {number}: {len(row)} values, the header has {len(header)}; correct it"
            )
    if not rows:
        raise ConfigurationError(f"{path}: it has a header and no rows; record at least one sample")
    return {name: _column([row[at] for row in rows]) for at, name in enumerate(header)}


def _column(cells: list[str]) -> Array:
    try:
        return np.array([int(cell) for cell in cells], np.int64)
    except (ValueError, OverflowError):
        pass
    try:
        return np.array([float(cell) if cell.strip() else np.nan for cell in cells], np.float32)
    except ValueError:
        return np.array(cells)


def _written(folder: Path, table: SampleTable) -> None:
    try:
        write(folder, table)
    except RecordingError as error:
        raise ConfigurationError(str(error)) from None
