"""Runs a model over its recorded inputs in fixed batches, twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

from keras_capture.captures import OutputCapture
from keras_capture.failures import OutputsError
from keras_capture.feeding import Feed
from keras_capture.imports import Framework
from keras_capture.outputs import Batch, read_outputs, simplify, skeleton
from keras_capture.savedmodel import SavedModel

Bounds = Tuple[int, int]


@dataclass(frozen=True)
class Prediction:
    """A model, what it is fed, and in which batches."""

    framework: Framework
    model: object
    feed: Feed
    batch_size: int

    def bounds(self) -> List[Bounds]:
        """First and last sample (exclusive) of every batch; the last batch may be smaller."""
        size, samples = self.batch_size, self.feed.samples
        return [(start, min(start + size, samples)) for start in range(0, samples, size)]

    def inputs(self) -> Iterator[object]:
        """The batches."""
        return (self.feed.batch(self.framework, start, stop) for start, stop in self.bounds())

    def outputs(self) -> Iterator[object]:
        """What the model returns for each batch, in its own structure."""
        if isinstance(self.model, SavedModel):
            return map(self.model, self.inputs())
        if not self.framework.on_tensorflow:
            return map(self.model.predict_on_batch, self.inputs())
        # predict_on_batch turns ragged tensors, and scalars of Keras 2, into something else; the function
        # under it returns the tensors themselves.
        self.model.make_predict_function()
        if self.framework.is_keras_2:
            batches = dataset(self.framework, ((batch,) for batch in self.inputs()))
            return _drain(self.model.predict_function, iter(batches), len(self.bounds()))
        return (self.model.predict_function([(batch,)]) for batch in self.inputs())


@dataclass
class Captured:
    """The outputs of a first pass on disk; `structure` is the model's, with names for tensors."""

    outputs: Dict[str, OutputCapture]
    entries: List[dict]
    notes: Tuple[str, ...]
    structure: object


def capture(prediction: Prediction, folder: Path) -> Captured:
    """Predict every sample and write the outputs into `folder`; memory holds one batch.

    Raises:
        OutputsError: an output cannot be stored as one tensor.
    """
    folder.mkdir(exist_ok=True)
    captures: Dict[str, OutputCapture] = {}
    first = structure = None
    with contextlib.ExitStack() as files:
        for index, ((start, stop), outputs) in enumerate(zip(prediction.bounds(), prediction.outputs())):
            batch = read_outputs(outputs)
            if first is None:
                first, structure = batch, skeleton(simplify(outputs))
                for number, (name, piece) in enumerate(batch.pieces.items()):
                    captures[name] = OutputCapture(name, folder / str(number), piece)
                    files.callback(captures[name].abandon)
            _check_names(first, batch, index)
            for name, piece in batch.pieces.items():
                captures[name].append(piece, stop - start)
        entries = [output.close(prediction.feed.samples) for output in captures.values()]
    return Captured(captures, entries, first.notes, structure)


def repeat(prediction: Prediction, captured: Captured) -> List[dict]:
    """Predict again and list the outputs that differ in any byte from what was written."""
    for index, outputs in enumerate(prediction.outputs()):
        pieces = read_outputs(outputs).pieces
        for name, output in captured.outputs.items():
            if name in pieces:
                output.compare(pieces[name], index)
            else:
                output.missing(index)
    return [
        {"output": name, "max_abs": output.difference.max_abs, "elements": output.difference.elements}
        for name, output in captured.outputs.items()
        if output.difference.elements
    ]


def dataset(framework: Framework, batches: Iterable[object]) -> object:
    """A tf.data.Dataset of batches; the first axis is of unknown length, so that nothing is traced twice."""
    import tensorflow

    remaining = iter(batches)
    first = _tuples(next(remaining))

    def generate() -> Iterator[object]:
        yield first
        yield from map(_tuples, remaining)

    signature = tensorflow.nest.map_structure(_spec, first)
    return tensorflow.data.Dataset.from_generator(generate, output_signature=signature)


def _spec(tensor: object) -> object:
    import tensorflow

    if isinstance(tensor, tensorflow.RaggedTensor):
        return tensorflow.RaggedTensorSpec([None, *tensor.shape[1:]], tensor.dtype, tensor.ragged_rank)
    return tensorflow.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)


def _tuples(structure: object) -> object:
    """tf.data takes a list for a tensor."""
    if isinstance(structure, dict):
        return {key: _tuples(value) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return tuple(_tuples(value) for value in structure)
    return structure


def _drain(function: object, iterator: object, times: int) -> Iterator[object]:
    for _ in range(times):
        yield function(iterator)


def _check_names(first: Batch, batch: Batch, index: int) -> None:
    if first.pieces.keys() != batch.pieces.keys():
        raise OutputsError(
            f"the outputs change from batch to batch: {sorted(batch.pieces)} in batch {index}, "
            f"{sorted(first.pieces)} in batch 0"
        )
