"""The task `golden`: layers of this model fed what the baseline recorded, and compared with what it gave.

A layer that differs by itself shows here, whatever came before it; one that only inherits does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np

from keras_capture.failures import StageError, UnusableError, stage
from keras_capture.files import read_json
from keras_capture.golden_calls import Golden, form, made, tree_leaves
from keras_capture.layers import FILE, FOLDER, SEED, caller, empty, gathered, is_stateful
from keras_capture.layers_store import Moved, wide
from keras_capture.perturbing import MANTISSA, compute_dtypes, dtype_of, floating_weights, numpy_of, perturbed
from keras_capture.predicting import Prediction
from keras_capture.tapping import Call, Recorder, flat_of, tapped
from keras_capture.tasks import Work

MEMBERS, SECONDS = 2, 60.0  # what a request does not say


@dataclass(frozen=True)
class Feeder:
    """What every fed layer needs."""

    prediction: Prediction
    golden: Golden
    members: int


def run(work: Work, options: dict) -> dict:
    """The task: options `baseline` (folder of its job), `pairs` ([call here, call there, path here]),
    `members`, `seconds`."""
    folder = Path(options["baseline"])
    document = read_json(folder / FOLDER / FILE)
    prediction = work.prediction
    feeder = Feeder(
        prediction,
        Golden(prediction.framework, folder, document),
        int(options.get("members", MEMBERS)),
    )
    calls = _calls(prediction, gathered(prediction, document["rows"]))
    deadline = time.perf_counter() + float(options.get("seconds", SECONDS))
    fed = []
    for here, there, path in options["pairs"]:
        if time.perf_counter() > deadline:
            break
        fed.append(_feed(feeder, calls, (here, there, path)))
    return {"fed": fed, "left": len(options["pairs"]) - len(fed)}


def _calls(prediction: Prediction, inputs: object) -> List[Call]:
    """The calls of this model, in the order that the task `layers` recorded here; no value is kept."""
    framework = prediction.framework
    call = caller(framework, prediction.model)
    recorder = Recorder(framework, lambda tensor: None)
    try:
        with tapped(recorder):
            (_trace if framework.on_tensorflow else _run)(call, inputs)
    except Exception:  # as in the task `layers`, what cannot be traced is run
        recorder = Recorder(framework, lambda tensor: None)
        with tapped(recorder):
            _run(call, inputs)
    for tensor in recorder.tensors:
        tensor.value = None
    return recorder.calls


def _trace(call: Callable[[object], object], inputs: object) -> None:
    import tensorflow

    @tensorflow.function
    def function(given: object) -> object:
        return call(given)

    function.get_concrete_function(inputs)


def _run(call: Callable[[object], object], inputs: object) -> None:
    call(inputs)


def _feed(feeder: Feeder, calls: List[Call], pair: tuple) -> dict:
    here, there, path = pair
    try:
        with stage("predict"):
            if here >= len(calls) or calls[here].path != path:
                raise UnusableError("the model is called in another order than when it was recorded")
            outputs = _fed(feeder, calls[here].owner, feeder.golden.calls[there])
            return {"call": here, "failure": None, "outputs": outputs}
    except StageError as failed:
        return {"call": here, "failure": failed.as_dict()["message"], "outputs": []}


def _fed(feeder: Feeder, owner: object, recorded: dict) -> List[dict]:
    """Make the call as it is, and where it differs with moved weights too: the layer's own noise."""
    again = made(form(feeder.golden, recorded, owner), feeder.golden.traced)
    remembering = [layer for layer in _layers_of(owner) if is_stateful(layer)]

    def call() -> Dict[str, object]:
        for layer in remembering:
            empty(layer)
        return again()

    results = call()
    found = [
        _compared(feeder, leaf, path, results.get(path)) for path, leaf in tree_leaves(recorded["result"])
    ]
    weights = floating_weights(owner) if hasattr(owner, "weights") else []
    if weights and any(output["rms"] for output in found):
        first = {output["path"]: _array(feeder, results[output["path"]]) for output in found if output["rms"]}
        for path, moved in _noise(feeder, call, owner, first).items():
            next(output for output in found if output["path"] == path)["noise_rms"] = moved.rms
    return found


def _layers_of(owner: object) -> list:
    flatten = getattr(owner, "_flatten_layers", None)  # an operation of a graph has none
    return list(flatten(include_self=True, recursive=True)) if flatten else []


def _noise(
    feeder: Feeder, call: Callable[[], Dict[str, object]], owner: object, first: Dict[str, np.ndarray]
) -> Dict[str, Moved]:
    """How far a layer's results move when its weights move by one place."""
    weights = floating_weights(owner)
    found = {path: Moved() for path in first}
    for member in range(feeder.members):
        with perturbed(feeder.prediction.framework, weights, [SEED, member], compute_dtypes(owner)):
            results = call()
        for path, values in first.items():
            found[path].add(values, _array(feeder, results[path]))
    return found


def _compared(feeder: Feeder, leaf: dict, path: str, result: object) -> dict:
    """One output of a fed layer against the recorded one; valid and padded positions also apart."""
    answer = {"path": path, "dtype": None, "rms": None, "max_abs": None, "nonfinite": 0, "same": False}
    answer.update(rms_baseline=None, noise_rms=None, valid_rms=None, padded_rms=None)
    if result is None:
        return answer
    answer["dtype"] = dtype_of(result)
    expected = feeder.golden.values(leaf["t"])
    flat = getattr(expected, "values", expected)
    values = _array(feeder, result)
    answer["same"] = bool(flat.dtype == values.dtype and np.array_equal(_bytes(flat), _bytes(values)))
    if flat.dtype.kind in "OSU" or values.dtype.kind in "OSU":
        return answer
    moved = Moved()
    moved.add(flat, values)
    answer.update(rms=moved.rms, max_abs=moved.largest, nonfinite=moved.nonfinite)
    finite = wide(flat.reshape(-1))
    finite = finite[np.isfinite(finite)]
    answer["rms_baseline"] = float(np.sqrt(np.mean(np.square(finite)))) if finite.size else None
    if flat.dtype.name in MANTISSA and flat.shape == values.shape:
        valid = _mask(feeder, leaf, flat.shape)
        if valid is not None:
            answer["valid_rms"] = _rms(flat[valid], values[valid])
            answer["padded_rms"] = _rms(flat[~valid], values[~valid])
    return answer


def _rms(old: np.ndarray, new: np.ndarray) -> Optional[float]:
    moved = Moved()
    moved.add(old, new)
    return moved.rms


def _mask(feeder: Feeder, leaf: dict, shape: tuple) -> Optional[np.ndarray]:
    """The recorded mask of an output, where it fits the leading axes."""
    if "m" not in leaf:
        return None
    try:
        mask = feeder.golden.values(leaf["m"])
    except UnusableError:
        return None
    fits = isinstance(mask, np.ndarray) and mask.dtype == bool and mask.shape == shape[: mask.ndim]
    return mask if fits else None


def _array(feeder: Feeder, tensor: object) -> np.ndarray:
    if isinstance(tensor, np.ndarray):
        return tensor
    return numpy_of(feeder.prediction.framework, flat_of(tensor))


def _bytes(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "OSU":
        return array
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
