"""`keras-validator record`: a file or a function → a recording, sampled, with ids, labels and bounds."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.adoption.recordings import read_csv
from validator.config import is_function
from validator.errors import ConfigurationError
from validator.inputs import make_adequate, read_specification
from validator.recorder import Recorder, RecordingError
from validator.recorder import record as recorder_of
from validator.runner import run_recorder
from validator.storage import recording

Array = NDArray[Any]


@dataclass(frozen=True)
class RecordRequest:
    """What the command line asks for; empty texts ask for nothing."""

    source: str
    folder: Path
    labels: str = ""
    ids: str = ""
    samples: int = 512
    megabytes: float = 256
    seed: int = 0
    python: str = ""
    redact: str = ""
    adequate: bool = False
    model: Path | None = None


def record_inputs(request: RecordRequest, say: Callable[[str], None]) -> None:
    """Record, and with `adequate` add the rows that are missing.

    Raises:
        ConfigurationError: the source, its labels or the folder cannot be used.
    """
    folder = request.folder
    if request.adequate and Path(request.source).is_dir():
        folder = Path(request.source)
    elif is_function(request.source):
        _from_function(request)
    else:
        _from_file(request)
    if request.adequate:
        high = _vocabularies(request.model)
        added = make_adequate(folder, high)
        names = ", ".join(added) or "nothing: the inputs can show every change that is known"
        say(f"added synthetic rows: {names}")
    recorded = recording.load(folder)
    tensors = ", ".join(
        f"{each.name} {each.dtype} {list(each.shape[1:])}" for each in recorded.manifest.tensors
    )
    say(f"{folder}: {recorded.samples} samples of {tensors}")
    labelled = (folder / "labels" / recording.MANIFEST).is_file()
    say(f"in validator.yml: inputs: {folder}" + (f", labels: {folder / 'labels'}" if labelled else ""))


def _from_function(request: RecordRequest) -> None:
    """Run the function where its packages are: nothing of a model is imported into this process."""
    for option, value in (("--labels", request.labels), ("--id", request.ids)):
        if value:
            raise ConfigurationError(f"{option} is for files; a function returns `inputs, labels` itself")
    python = request.python or _python_beside(Path.cwd())
    arguments = [request.source, str(request.folder)]
    arguments += [
        f"--samples={request.samples}",
        f"--megabytes={request.megabytes}",
        f"--seed={request.seed}",
    ]
    arguments += [f"--redact={request.redact}"] if request.redact else []
    failure = run_recorder(python, arguments, Path.cwd())
    if failure is not None:
        raise ConfigurationError(failure.message)


def _python_beside(folder: Path) -> str:
    """The Python of the project's own environment; this process's where it has none."""
    active = os.environ.get("VIRTUAL_ENV", "")
    for place in (folder / ".venv", folder / "venv", *([Path(active)] if active else [])):
        if (place / "bin" / "python").exists():
            return str(place / "bin" / "python")
    return sys.executable


def _from_file(request: RecordRequest) -> None:
    path = Path(request.source)
    with tempfile.TemporaryDirectory() as scratch:
        arrays = _arrays(path, Path(scratch, "source"))
        ids = _ids(request, arrays)
        labels = _labels(request, arrays, Path(scratch, "labels"))
        if not arrays:
            raise ConfigurationError(f"{path}: nothing is left as an input; name fewer columns")
        try:
            recorder = recorder_of(
                None,
                request.folder,
                samples=request.samples,
                megabytes=request.megabytes,
                seed=request.seed,
                redact=_redaction(request),
            )
            _feed(recorder, arrays, labels, ids)
        except RecordingError as error:
            raise ConfigurationError(str(error)) from None
    if recorder.failure is not None:
        raise ConfigurationError(f"{path}: {recorder.failure}")


def _feed(
    recorder: Recorder, arrays: Mapping[str, Array], labels: Mapping[str, Array], ids: list[str]
) -> None:
    named = dict(labels)
    weights = named.pop("sample_weight", None)
    single = next(iter(named.values())) if len(named) == 1 else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each is in `failure`, too
        recorder.add(dict(arrays), single if single is not None else named or None, weights, ids or None)
        recorder.save()


def _arrays(path: Path, scratch: Path) -> dict[str, Array]:
    """Every array of a file, by name."""
    if path.suffix.lower() == ".csv":
        return read_csv(path)
    arrays: dict[str, Array] = {}
    for tensor in recording.prepare(path, scratch).open():
        if tensor.ragged or tensor.storage == "bits":
            raise ConfigurationError(f"{path}: {tensor.name!r} is ragged or {tensor.dtype}; use it as it is")
        data = tensor.open()
        if tensor.storage == "utf8":
            texts = np.array(data.strings(0, tensor.size), dtype=object)
            arrays[tensor.name] = texts.reshape(tensor.shape)
        else:
            arrays[tensor.name] = np.array(data.values).reshape(tensor.shape)
    return arrays


def _ids(request: RecordRequest, arrays: dict[str, Array]) -> list[str]:
    """The samples' names, taken out of the arrays; by default their file and number."""
    if request.ids:
        if request.ids not in arrays:
            raise ConfigurationError(f"--id {request.ids}: {request.source} has {', '.join(arrays)}")
        values = arrays.pop(request.ids).ravel().tolist()
        return [
            value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values
        ]
    first = 2 if request.source.lower().endswith(".csv") else 0
    count = len(next(iter(arrays.values()), ()))
    return [f"{Path(request.source).name}:{number}" for number in range(first, first + count)]


def _labels(request: RecordRequest, arrays: dict[str, Array], scratch: Path) -> dict[str, Array]:
    """Labels: arrays of the source, taken out of it, or a file of their own."""
    if not request.labels:
        return {}
    names = request.labels.split(",")
    if all(name in arrays for name in names):
        return {name: arrays.pop(name) for name in names}
    path = Path(request.labels)
    if not path.exists():
        known = ", ".join(arrays)
        raise ConfigurationError(
            f"--labels {request.labels}: neither a file, nor an array of {request.source}, which has {known}"
        )
    return _arrays(path, scratch)


def _redaction(request: RecordRequest) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
    if not request.redact:
        return None
    from validator.recorder.functions import function

    sys.path.insert(0, str(Path.cwd()))
    redact: Callable[[dict[str, Any]], dict[str, Any]] = function(request.redact)
    return redact


def _vocabularies(model: Path | None) -> dict[str, int]:
    """Input → how many ids the model knows."""
    if model is None:
        return {}
    return {each.name: each.high for each in read_specification(model).inputs if each.high is not None}
