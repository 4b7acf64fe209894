"""The noise of a model that lives in the caller's own process: nothing is loaded, and nothing of it stays.

The tool imports this package under its own name for it; there is no job and no request.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_capture.failures import InputsError, StageError, UnusableError, stage
from keras_capture.model.feeding import make_feed
from keras_capture.model.imports import Framework
from keras_capture.model.state import State
from keras_capture.outputs.ensemble import measure
from keras_capture.outputs.predicting import Prediction, capture, repeat
from keras_capture.structure.calling import state_kept
from keras_capture.wire.recording import InMemory, Recording


def measure_model(model: object, inputs: Mapping[str, np.ndarray], folder: Path, options: dict) -> dict:
    """Predict `inputs` and measure the noise of these predictions; the files lie in `folder`.

    Options: `batch_size`, and those of the noise (docs/protocol.md). Weights, states and seeds are afterwards
    as they were. The answer has `failure`, or `outputs`, `self_difference` (of two
    predictions), `noise`, and the Keras that ran.
    """
    try:
        with stage("inputs"):
            framework = framework_of(model)
            recording = Recording("the inputs", {name: _tensor(name, each) for name, each in inputs.items()})
            feed = make_feed(model, recording, int(options["batch_size"]))
        with stage("predict"), state_kept(framework, model):
            state = State(framework, model)
            prediction = Prediction(framework, model, feed, int(options["batch_size"]), state=state)
            answer = _measured(prediction, folder, options)
    except StageError as failed:
        return {"failure": failed.as_dict()}
    return {"keras": f"{framework.name} {framework.version}", "backend": framework.backend, **answer}


def _measured(prediction: Prediction, folder: Path, options: dict) -> dict:
    try:
        captured = capture(prediction, folder / "outputs")
        prediction.state.settle()
        own = repeat(prediction, captured, folder)
        noise = _noise(prediction, folder / "noise", options)
    finally:
        prediction.reset()
    return {"outputs": captured.entries, "self_difference": own, "noise": noise}


def _noise(prediction: Prediction, folder: Path, options: dict) -> dict:
    """The noise, or why it cannot be measured: the predictions stand without it."""
    try:
        with stage("predict"), contextlib.redirect_stderr(io.StringIO()):  # the answer has what it says
            return measure(prediction, folder, options)
    except StageError as failed:
        return {"failure": failed.as_dict()}


def framework_of(model: object) -> Framework:
    """The Keras that made a model, without another import: the packages of its classes are loaded."""
    packages = [each.__module__.partition(".")[0] for each in type(model).__mro__]
    name = next((each for each in packages if each in ("keras", "tf_keras")), None)
    if name is None:
        raise UnusableError(f"{type(model).__name__} is no Keras model; pass one of keras or tf_keras")
    keras = importlib.import_module(name)
    return Framework(keras, keras.backend.backend(), seed=0)


def _tensor(name: str, array: np.ndarray) -> InMemory:
    tensor = InMemory(array)
    if tensor.dtype is None:
        raise InputsError(f"the input {name!r} holds {array.dtype}; pass numbers, booleans or strings")
    return tensor
