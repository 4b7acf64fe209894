"""Rows that recorded inputs lack, so that known changes could show: made of recorded ones, and marked so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.catalogue.adequacy import BATCH, Adequacy, adequacy
from validator.catalogue.entries import InputNeed
from validator.errors import ConfigurationError
from validator.recorder import RecordingError
from validator.recorder.writing import SampleTable, write
from validator.storage.recording import Recording, load
from validator.storage.tensors import StoredTensor

Array = NDArray[Any]
#: Never made: a NaN says nothing about a model that is never given one.
_LEFT_OUT = frozenset[InputNeed]({"nan"})
_ID = "synthetic"


def make_adequate(folder: Path, high: Mapping[str, int], batch: int = BATCH) -> tuple[InputNeed, ...]:
    """Add the rows that a recording lacks of all that its kind of inputs could hold; returns what was added.

    A row is a recorded row, changed in one respect, with an id such as `synthetic:padded`. Labels in the
    folder get a row too, with the sample weight 0: nothing is claimed about made rows.

    Args:
        folder: a recording.
        high: input → how many ids the model knows. Without it no larger id than the recorded ones is made.
        batch: how many samples are predicted at once, for the smaller last batch.

    Raises:
        ConfigurationError: the folder is no recording, or holds ragged tensors.
    """
    recording = load(folder)
    arrays = {tensor.name: _array(tensor, folder) for tensor in recording.open()}
    before = adequacy(arrays, batch)
    rows = dict(_made(arrays, before, high))
    count = len(rows)
    if "smaller-batch" in before.lacks and not (recording.samples + count) % batch:
        rows["smaller-batch"] = {name: values[0] for name, values in arrays.items()}
    _write(folder, recording, arrays, rows)
    after = adequacy({tensor.name: _array(tensor, folder) for tensor in load(folder).open()}, batch)
    return tuple(need for need in before.lacks if need in after.holds)


def _made(
    arrays: Mapping[str, Array], before: Adequacy, high: Mapping[str, int]
) -> Iterator[tuple[InputNeed, dict[str, Array]]]:
    """A row for each need that is missing: the first recorded row, changed in every input that can."""
    for need, change in _CHANGES.items():
        if need not in before.lacks or need in _LEFT_OUT:
            continue
        row, changed = {}, False
        for name, values in arrays.items():
            made = change(values, high.get(name, 0))
            row[name] = values[0] if made is None else made
            changed = changed or made is not None
        if changed:
            yield need, row


def _padded_row(values: Array, _: int) -> Array | None:
    if values.ndim < 2 or values.shape[1] < 2 or values.dtype.kind not in "iuf":
        return None
    if values.dtype.kind == "f" and values.ndim < 3:
        return None
    row: Array = values[0].copy()
    row[: values.shape[1] // 2] = np.where(row[: values.shape[1] // 2] == 0, 1, row[: values.shape[1] // 2])
    row[values.shape[1] // 2 :] = 0
    return row


def _masked_row(values: Array, _: int) -> Array | None:
    if values.ndim < 2 or values.dtype.kind not in "iuf" or (values.dtype.kind == "f" and values.ndim < 3):
        return None
    return _like(values, np.zeros_like(values[0]))


def _large_id(values: Array, high: int) -> Array | None:
    if values.dtype.kind not in "iu" or high <= 257 or np.iinfo(values.dtype).max < 257:
        return None
    return _like(values, np.full_like(values[0], min(high - 1, int(np.iinfo(values.dtype).max))))


def _negative(values: Array, _: int) -> Array | None:
    if values.dtype.kind != "f":
        return None
    return _like(values, -np.abs(values[0]) - 1)


def _large(values: Array, _: int) -> Array | None:
    """Far from 0 by more than a hundred times its spread."""
    if values.dtype.kind != "f":
        return None
    shift = 200 * max(1.0, float(np.nanstd(values[0].astype(np.float64))))
    return _like(values, values[0] + shift)


def _tiny(values: Array, _: int) -> Array | None:
    if values.dtype.kind != "f":
        return None
    largest = max(float(np.nanmax(np.abs(values[0].astype(np.float64)), initial=0.0)), 1e-30)
    row = _like(values, values[0] * (1e-5 / largest))
    return row if row.any() else _like(values, np.full_like(values[0], 1e-5))


def _empty_text(values: Array, _: int) -> Array | None:
    return None if values.dtype.kind != "O" else np.full(values[0:1].shape[1:], b"", object)


def _like(values: Array, row: Any) -> Array:
    """A made row in the dtype of the recorded ones."""
    return np.asarray(row, values.dtype)


_CHANGES: dict[InputNeed, Callable[[Array, int], Array | None]] = {
    "padded": _padded_row,
    "masked-row": _masked_row,
    "large-id": _large_id,
    "large": _large,
    "tiny": _tiny,
    "negative": _negative,
    "empty-text": _empty_text,
}


def _array(tensor: StoredTensor, folder: Path) -> Array:
    if tensor.ragged or tensor.storage == "bits":
        kind = "ragged" if tensor.ragged else tensor.dtype
        raise ConfigurationError(f"{folder}: no rows can be made for {tensor.name!r}, which is {kind}")
    data = tensor.open()
    if tensor.storage == "utf8":
        return np.array(data.strings(0, tensor.size), dtype=object).reshape(tensor.shape)
    return np.array(data.values).reshape(tensor.shape)


def _write(
    folder: Path,
    recording: Recording,
    arrays: Mapping[str, Array],
    rows: Mapping[InputNeed, Mapping[str, Array]],
) -> None:
    """The recording again with the rows at its end, in its place."""
    samples = recording.samples
    ids = [*(recording.manifest.ids or map(str, range(samples))), *(f"{_ID}:{need}" for need in rows)]
    made = recording.manifest.synthetic + len(rows)
    inputs = {
        name: [*values, *(np.asarray(row[name]) for row in rows.values())] for name, values in arrays.items()
    }
    labels = folder / "labels"
    table = None
    if (labels / "manifest.json").is_file():
        kept = {tensor.name: _array(tensor, labels) for tensor in load(labels).open()}
        table = SampleTable(_unweighted(kept, len(rows)), ids, recording.manifest.source, made)
    try:
        write(folder, SampleTable(inputs, ids, recording.manifest.source, made), table)
    except RecordingError as error:
        raise ConfigurationError(str(error)) from None


def _unweighted(labels: Mapping[str, Array], count: int) -> dict[str, Sequence[Array]]:
    """Labels with a filler for each made row, which weighs nothing."""
    samples = len(next(iter(labels.values())))
    weights = [name for name in labels if name.rpartition("/")[2] == "sample_weight"]
    filled = {name: [*values, *([values[0]] * count)] for name, values in labels.items()}
    for name in weights:
        filled[name] = [*labels[name], *([np.zeros_like(labels[name][0])] * count)]
    if not weights:
        filled["sample_weight"] = [*np.ones(samples, np.float32), *np.zeros(count, np.float32)]
    return {name: [np.asarray(row) for row in rows] for name, rows in filled.items()}
