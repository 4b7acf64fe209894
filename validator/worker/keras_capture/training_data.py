"""The batches of a training: in a fixed order, the same in every environment, with a digest of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import List, Optional, Tuple

import numpy as np

from keras_capture.evaluating import labelled
from keras_capture.failures import UnusableError
from keras_capture.feeding import to_backend
from keras_capture.outputs import read_outputs, simplify, skeleton
from keras_capture.predicting import Captured, Prediction
from keras_capture.recording import open_recording
from keras_capture.training_model import Supplied

_MOST_ROWS = 50_000  # samples of a data set that are told apart


@dataclass(frozen=True)
class Batch:
    """What one step is given: (x,), (x, y) or (x, y, sample_weight), in the backend's tensors."""

    parts: tuple
    samples: int
    digest: str
    rows: str


class Batches:
    """The user's batches, slices of the user's arrays, or of the recording with its labels."""

    def __init__(self, prediction: Prediction, labels: Optional[str], supplied: Supplied, size: int) -> None:
        self.size = size
        self._framework = prediction.framework
        self._prediction = replace(prediction, batch_size=size, model=supplied.model)
        self._labels = labels
        self._supplied = supplied
        if isinstance(supplied.batches, Iterator):
            raise UnusableError(
                "`batches` of training.function is used up by one pass; return a list or Dataset"
            )

    def first(self, count: int) -> List[Batch]:
        """As many batches as there are steps: whole ones, from the beginning again when they run out."""
        found: List[Batch] = []
        for batch in self.all():
            if len(found) == count or (found and batch.samples != found[0].samples):
                break
            found.append(batch)
        if not found:
            raise UnusableError("there is not one batch to train on")
        return [found[number % len(found)] for number in range(count)]

    def all(self) -> Iterator[Batch]:
        """One epoch; the last batch may be smaller."""
        for parts in self._parts():
            yield _described(parts)

    def samples(self) -> str:
        """A digest of all samples, whatever their order; empty where they are no rows, or too many."""
        rows: List[str] = []
        for batch in self.all():
            if not batch.rows or len(rows) > _MOST_ROWS:
                return ""
            rows += batch.rows.split(",")
        return hashlib.sha256(",".join(sorted(rows)).encode()).hexdigest()[:16]

    def _parts(self) -> Iterator[tuple]:
        given = self._supplied
        if given.batches is not None:
            return (
                self._tensors(tuple(batch) if isinstance(batch, (tuple, list)) else (batch,))
                for batch in given.batches
            )
        if given.x is not None:
            return self._slices((given.x, given.y, given.sample_weight))
        if self._labels is None:
            raise UnusableError(
                "there are no labels to train on: give labels, or name a function that returns data as "
                "training.function"
            )
        return labelled(self._prediction, self._forward(), open_recording(self._labels))

    def _slices(self, arrays: tuple) -> Iterator[tuple]:
        kept = arrays[: 1 + max(number for number, array in enumerate(arrays) if array is not None)]
        lengths = {len(leaf) for leaf in _leaves(kept)}
        if len(lengths) != 1:
            raise UnusableError(f"the arrays of training.function differ in length: {sorted(lengths)}")
        length = lengths.pop()
        for start in range(0, length, self.size):
            rows = slice(start, start + self.size)
            yield self._tensors(_map(partial(_taken, rows), kept))

    def _tensors(self, parts: tuple) -> tuple:
        return _map(
            lambda leaf: to_backend(self._framework, leaf) if isinstance(leaf, np.ndarray) else leaf, parts
        )

    def _forward(self) -> Captured:
        """Names and structure of the outputs, from one batch: labels are found by them."""
        one = replace(
            self._prediction,
            feed=replace(self._prediction.feed, samples=min(self.size, self._prediction.feed.samples)),
        )
        outputs = next(iter(one.outputs()))
        return Captured(dict.fromkeys(read_outputs(outputs).pieces), [], (), skeleton(simplify(outputs)))


def _taken(rows: slice, leaf: object) -> np.ndarray:
    return np.asarray(leaf)[rows]


def _described(parts: tuple) -> Batch:
    arrays = [np.asarray(_plain(leaf)) for leaf in _leaves(parts)]
    samples = min((len(array) for array in arrays if array.ndim), default=1)
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.name} {array.shape}".encode() + _bytes(array))
    return Batch(parts, samples, total.hexdigest()[:16], _rows(arrays, samples))


def _rows(arrays: List[np.ndarray], samples: int) -> str:
    """A digest of the samples that does not depend on their order; empty where they are not rows."""
    if any(array.ndim == 0 or len(array) != samples for array in arrays):
        return ""
    rows = sorted(
        hashlib.sha256(b"".join(_bytes(array[row]) for array in arrays)).hexdigest() for row in range(samples)
    )
    return ",".join(row[:12] for row in rows)


def _bytes(array: np.ndarray) -> bytes:
    array = np.asarray(array)
    return repr(array.tolist()).encode() if array.dtype.kind == "O" else np.ascontiguousarray(array).tobytes()


def _plain(leaf: object) -> object:
    if hasattr(leaf, "flat_values"):
        return leaf.flat_values.numpy()
    return leaf.numpy() if hasattr(leaf, "numpy") else leaf


def _leaves(structure: object) -> List[object]:
    if structure is None:
        return []
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in _leaves(structure[key])]
    if isinstance(structure, (tuple, list)):
        return [leaf for item in structure for leaf in _leaves(item)]
    return [structure]


def _map(change: object, structure: object) -> object:
    if structure is None:
        return None
    if isinstance(structure, dict):
        return {key: _map(change, value) for key, value in structure.items()}
    if isinstance(structure, (tuple, list)):
        return type(structure)(_map(change, value) for value in structure)
    return change(structure)


Parts = Tuple[object, ...]
