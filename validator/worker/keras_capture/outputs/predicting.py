"""Runs a model over its recorded inputs in fixed batches, twice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from keras_capture.failures import OutputsError
from keras_capture.model.feeding import Feed
from keras_capture.model.imports import Framework
from keras_capture.model.outputs import Piece, Returned, read_outputs, simplify, skeleton
from keras_capture.model.savedmodel import SavedModel
from keras_capture.model.state import State
from keras_capture.model.structures import mapped
from keras_capture.outputs.captures import Difference, OutputCapture, StoredOutput

Bounds = Tuple[int, int]


@dataclass(frozen=True)
class Prediction:
    """A model, what it is fed, and in which batches: those `chosen`, in that order, or all of them."""

    framework: Framework
    model: object
    feed: Feed
    batch_size: int
    chosen: Optional[Sequence[int]] = None
    state: Optional[State] = None

    def bounds(self) -> List[Bounds]:
        """First and last sample (exclusive) of every batch; the last of all may be smaller."""
        size, samples = self.batch_size, self.feed.samples
        bounds = [(start, min(start + size, samples)) for start in range(0, samples, size)]
        return bounds if self.chosen is None else [bounds[number] for number in self.chosen]

    def reset(self) -> None:
        """Forget what earlier batches left in the model."""
        if self.state is not None:
            self.state.reset()

    def inputs(self) -> Iterator[object]:
        """The batches."""
        return (self.feed.batch(self.framework, start, stop) for start, stop in self.bounds())

    def outputs(self) -> Iterator[object]:
        """What the model returns for each batch, in its own structure; a state begins anew."""
        self.reset()
        if isinstance(self.model, SavedModel):
            return map(self.model, self.inputs())
        if not self.framework.on_tensorflow:
            return map(self.model.predict_on_batch, self.inputs())
        # predict_on_batch turns ragged tensors, and scalars of Keras 2, into something else; the function
        # under it returns the tensors themselves. It takes an iterator in Keras 2.15 and tf_keras 2.17, a
        # list of batches in the TensorFlow trainer of Keras 3.3.3 to 3.15.1.
        self.model.make_predict_function()
        if self.framework.is_keras_2:
            iterator = iter(dataset(self.framework, lambda: ((batch,) for batch in self.inputs())))
            return (self.model.predict_function(iterator) for _ in self.bounds())
        return (self.model.predict_function([(batch,)]) for batch in self.inputs())

    def batches(self) -> Iterator[Tuple[int, Bounds, Dict[str, Piece]]]:
        """Position and bounds of each batch, and the outputs by name."""
        for number, (bounds, outputs) in enumerate(zip(self.bounds(), self.outputs())):
            yield number, bounds, read_outputs(outputs).pieces


@dataclass(frozen=True)
class Captured:
    """The outputs of so many `batches` on disk; `structure` is the model's, with names for tensors."""

    names: Collection[str]
    entries: List[dict]
    batches: int
    notes: Tuple[str, ...]
    structure: object


def capture(
    prediction: Prediction,
    folder: Path,
    outputs: Optional[Iterable[object]] = None,
    *,
    prefix: str = "",
    deadline: Optional[float] = None,
) -> Captured:
    """Write what the model returns for every batch into `folder`; memory holds one batch.

    `outputs` stand in for the prediction's. After the `deadline` (of `time.perf_counter`) no further batch
    begins; the first is always done.
    """
    returned = ((read_outputs(each), each) for each in outputs or prediction.outputs())
    return write(prediction, folder, returned, prefix, deadline)


def write(
    prediction: Prediction,
    folder: Path,
    batches: Iterable[Tuple[Returned, object]],
    prefix: str = "",
    deadline: Optional[float] = None,
) -> Captured:
    """Write batches that were read; of the first also the structure is given. Otherwise as `capture`."""
    folder.mkdir(exist_ok=True)
    captures: Dict[str, OutputCapture] = {}
    notes = structure = None
    done = samples = 0
    with contextlib.ExitStack() as files:
        for (start, stop), (returned, whole) in zip(prediction.bounds(), batches):
            if not captures:
                notes, structure = returned.notes, skeleton(simplify(whole))
                for number, (name, piece) in enumerate(returned.pieces.items()):
                    captures[name] = OutputCapture(name, folder / f"{prefix}{number}", piece)
                    files.callback(captures[name].abandon)
            if captures.keys() != returned.pieces.keys():
                raise OutputsError(
                    f"the outputs change from batch to batch: {sorted(returned.pieces)} in batch {done}, "
                    f"{sorted(captures)} in batch 0"
                )
            for name, piece in returned.pieces.items():
                captures[name].append(piece, stop - start)
            done, samples = done + 1, samples + stop - start
            if deadline is not None and time.perf_counter() > deadline:
                break
        entries = [output.close(samples) for output in captures.values()]
    return Captured(list(captures), entries, done, notes, structure)


def repeat(prediction: Prediction, captured: Captured, folder: Path) -> List[dict]:
    """Predict again and list the outputs that differ in any byte from what was written for the job.

    What was written begins with the prediction's first batch.
    """
    compared = [(StoredOutput(entry, folder), Difference()) for entry in captured.entries]
    origin = prediction.bounds()[0][0]
    for number, (start, stop), pieces in prediction.batches():
        for output, difference in compared:
            written = output.batch(number, start - origin, stop - origin)
            difference.add(written, pieces.get(output.entry["name"]))
    return [
        {"output": output.entry["name"], "max_abs": difference.max_abs, "elements": difference.elements}
        for output, difference in compared
        if difference.elements
    ]


def listed(prediction: Prediction, captured: Captured, folder: Path) -> Optional[List[dict]]:
    """What differs in the first batch where the inputs are fed as a list; None where there is no choice."""
    feed, chosen = prediction.feed.as_list(), (prediction.chosen or (0,))[:1]
    return feed and repeat(replace(prediction, feed=feed, chosen=chosen), captured, folder)


def dataset(framework: Framework, batches: Callable[[], Iterator[object]]) -> object:
    """A tf.data.Dataset of batches; the first axis is of unknown length, so that nothing is traced twice."""
    import tensorflow

    def generate() -> Iterator[object]:
        # tf.data takes a list for a tensor, so lists become tuples.
        return (mapped(lambda _, leaf: leaf, batch) for batch in batches())

    signature = tensorflow.nest.map_structure(of_any_size, next(generate()))
    return tensorflow.data.Dataset.from_generator(generate, output_signature=signature)


def of_any_size(tensor: object) -> object:
    """The specification of a TensorFlow tensor in a batch of any number of samples."""
    import tensorflow

    if isinstance(tensor, tensorflow.RaggedTensor):
        return tensorflow.RaggedTensorSpec([None, *tensor.shape[1:]], tensor.dtype, tensor.ragged_rank)
    return tensorflow.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)
