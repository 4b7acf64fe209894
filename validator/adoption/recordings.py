"""Recorded inputs and labels beside a model, whatever their form: chosen by name, checked, converted."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.adoption.scan import Artifact
from validator.documents import open_regular
from validator.errors import ConfigurationError
from validator.inputs import Specification, misfit, synthesise
from validator.inputs.synthesis import synthetic_ids
from validator.recorder import RecordingError
from validator.recorder.writing import SampleTable, write
from validator.storage.recording import MANIFEST, RecordingManifest, prepare

Array = NDArray[Any]
_ENDS = (".npz", ".npy", ".parquet", "")
_INPUTS = ("inputs", "x_test", "test_inputs", "x")
_LABELS = ("labels", "y_test", "test_labels", "y", "targets")
#: A word for labels in the name of a file: `eval_labels`, `y_eval`.
_ANSWERS = re.compile(r"(^|[_.-])(labels?|targets?|classes|y)([_.-]|$)", re.IGNORECASE)
_MOST_FILES, _MOST_BYTES = 50, 256 << 20  # of arrays that are tried


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


def recordings_that_fit(artifact: Artifact, specification: Specification | None) -> Beside:
    """The only file beside a model whose arrays fit its inputs, whatever its name, and the labels of it."""
    if specification is None or specification.nested:
        return Beside()
    near = artifact.path.parent
    known = {path: recording for place in (near, near / "data") for path, recording in _readable(place)}
    fitting = [
        path
        for path, recording in known.items()
        if not _ANSWERS.search(path.stem) and not misfit(specification, recording.tensors)
    ]
    return Beside(fitting[0], labels_beside(fitting[0])) if len(fitting) == 1 else Beside()


def labels_beside(inputs: Path) -> Path | None:
    """Labels within a recording, or the only file beside inputs that is named like labels and has as many
    samples; None where none is."""
    if (inputs / "labels" / MANIFEST).is_file():
        return inputs / "labels"
    known = dict(_readable(inputs.parent))
    samples = known[inputs].samples if inputs in known else None
    alike = [
        path
        for path, recording in known.items()
        if path != inputs and recording.samples == samples and _ANSWERS.search(path.stem)
    ]
    return alike[0] if len(alike) == 1 else None


def _readable(place: Path) -> Iterator[tuple[Path, RecordingManifest]]:
    """The arrays in a folder that can be read, and are not too large to try."""
    paths = sorted(path for end in (".npz", ".npy", ".parquet") for path in place.glob(f"*{end}"))
    for path in paths[:_MOST_FILES]:
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    yield path, prepare(path, Path(folder) / "recording").manifest
                except ConfigurationError:
                    continue


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
