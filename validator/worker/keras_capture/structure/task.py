"""The task `structure`: which layers a model calls, in which order, with what, and what they are made of.

The model is traced under the tap and not run; only what cannot be traced is run on a few samples. The answer
is `structure/layers.json` (docs/protocol.md). The task `layers` records in the same way, with values.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

from keras_capture.model.imports import Framework
from keras_capture.model.savedmodel import SavedModel
from keras_capture.outputs.predicting import Prediction
from keras_capture.structure.calling import caller, choose_rows, gathered, state_kept
from keras_capture.structure.facts import describe
from keras_capture.structure.tapping import Recorder, Tensor, tapped
from keras_capture.tasks import Work
from keras_capture.wire.files import write_json

FILE = "layers.json"
NO_LAYERS = {"path": None, "reason": "savedmodel"}
_OF_CALLS = ("parent", "path", "occurrence", "operation", "arguments", "received", "result")
_OF_TENSORS = ("dtype", "shape", "inner", "producer")


class TensorValues:
    """What becomes of the values of a run. This class keeps none."""

    def take(self, tensor: Tensor) -> None:
        """A tensor was seen: once, when the model is traced or run."""

    def begin(self, again: Callable[[], None]) -> None:
        """The model was traced and did not run yet; `again` runs it."""

    def describe(self, place: int) -> dict:
        """What the document has of a tensor's values."""
        return {}


@dataclass
class Tapped:
    """A model that was traced or run under the tap. `again` runs it once more and hands out the values."""

    recorder: Recorder
    values: TensorValues
    mode: str
    again: Callable[[], None]

    def document(self, framework: Framework, rows: List[int]) -> dict:
        """Layers, calls and tensors, as the protocol writes them."""
        owners: Dict[int, int] = {}
        described = []
        for call in self.recorder.calls:
            if id(call.owner) not in owners:
                owners[id(call.owner)] = len(described)
                described.append(describe(framework, call.owner))
        return {
            "schema": 1,
            "mode": self.mode,
            "rows": rows,
            "layers": described,
            "calls": [
                {"layer": owners[id(call.owner)], **_fields(call, _OF_CALLS)} for call in self.recorder.calls
            ],
            "tensors": [
                {**_fields(tensor, _OF_TENSORS), **self.values.describe(tensor.number)}
                for tensor in self.recorder.tensors
            ],
        }


def _fields(recorded: object, names: Sequence[str]) -> dict:
    return {name: getattr(recorded, name) for name in names}


def run(work: Work, options: dict) -> dict:
    """The task; it has no options."""
    prediction = work.prediction
    if isinstance(prediction.model, SavedModel):
        return NO_LAYERS
    folder = emptied(work.job.folder / "structure")
    rows = choose_rows(prediction)
    with state_kept(prediction.framework, prediction.model) as reset:
        reset()
        ran = tap(work, gathered(prediction, rows), TensorValues)
    return written(folder, ran.document(prediction.framework, rows))


def emptied(folder: Path) -> Path:
    """The folder, made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def written(folder: Path, document: dict) -> dict:
    """Write the document into the folder; the answer of the task."""
    write_json(folder / FILE, document)
    return {"path": f"{folder.name}/{FILE}", "reason": ""}


def tap(work: Work, inputs: object, new_values: Callable[[], TensorValues]) -> Tapped:
    """Trace the model under the tap, and let the values begin; or run it, where it cannot be traced.

    `new_values` is called for each of the two. A model that did not predict is called once before: the first
    call may build it, by calls of its layers that no later one repeats.
    """
    prediction, is_called = work.prediction, work.captured is not None
    if prediction.framework.on_tensorflow:
        # Whatever the model's code does not like about being traced, it is run then.
        with contextlib.suppress(Exception):
            if not is_called:
                _function(prediction).get_concrete_function(inputs)
            return _traced(prediction, inputs, new_values())
    if not is_called:
        caller(prediction.framework, prediction.model)(inputs)
    return _eager(prediction, inputs, new_values())


def _function(prediction: Prediction) -> object:
    """The model as a TensorFlow function that nothing has traced yet."""
    import tensorflow

    return tensorflow.function(caller(prediction.framework, prediction.model))


def _traced(prediction: Prediction, inputs: object, values: TensorValues) -> Tapped:
    recorder, function = Recorder(prediction.framework, values.take), _function(prediction)

    def again() -> None:
        prediction.framework.set_seed()
        function(inputs)

    with tapped(recorder):
        function.get_concrete_function(inputs)
    values.begin(again)
    return Tapped(recorder, values, "traced", again)


def _eager(prediction: Prediction, inputs: object, values: TensorValues) -> Tapped:
    call = caller(prediction.framework, prediction.model)

    def once() -> Recorder:
        prediction.framework.set_seed()
        recorder = Recorder(prediction.framework, values.take)
        with tapped(recorder):
            call(inputs)
        return recorder

    return Tapped(once(), values, "eager", once)
