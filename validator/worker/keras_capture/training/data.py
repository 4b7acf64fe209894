"""The batches of a training: in a fixed order, the same in every environment, with a digest of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import List, Optional

import numpy as np

from keras_capture.accuracy.evaluating import labelled
from keras_capture.failures import UnusableError
from keras_capture.model.feeding import to_backend
from keras_capture.model.outputs import read_outputs, simplify, skeleton
from keras_capture.outputs.predicting import Captured, Prediction
from keras_capture.structure.tapping import flat_of
from keras_capture.training.model import Supplied
from keras_capture.wire.recording import open_recording

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
        self._prediction = replace(prediction, batch_size=size, model=supplied.model)
        self._labels = labels
        self._supplied = supplied
        if isinstance(supplied.batches, Iterator):
            raise UnusableError(
                "`batches` of training.function is used up by one pass; return a list or Dataset"
            )

    def first(self, count: int) -> List[Batch]:
        """As many batches as there are steps: whole ones, from the beginning again when they run out."""
        batches: List[Batch] = []
        for batch in self.all():
            if len(batches) == count or (batches and batch.samples != batches[0].samples):
                break
            batches.append(batch)
        if not batches:
            raise UnusableError("there is no batch to train on")
        return [batches[step % len(batches)] for step in range(count)]

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
        arrays = _map(np.asarray, kept)
        for start in range(0, length, self.size):
            yield self._tensors(_map(itemgetter(slice(start, start + self.size)), arrays))

    def _tensors(self, parts: tuple) -> tuple:
        framework = self._prediction.framework
        return _map(lambda leaf: to_backend(framework, leaf) if isinstance(leaf, np.ndarray) else leaf, parts)

    def _forward(self) -> Captured:
        """Names and structure of the outputs, from one batch: labels are found by them."""
        feed = self._prediction.feed
        single = replace(self._prediction, feed=replace(feed, samples=min(self.size, feed.samples)))
        outputs = next(iter(single.outputs()))
        names = dict.fromkeys(read_outputs(outputs).pieces)
        return Captured(names, [], 1, (), skeleton(simplify(outputs)))


def _described(parts: tuple) -> Batch:
    arrays = [np.asarray(flat_of(leaf)) for leaf in _leaves(parts)]
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
