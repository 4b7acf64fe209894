"""Layers of this model called with what the baseline recorded, and compared with what it gave.

A layer that diverges shows here, whatever came before it; one that only propagates a difference does not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np

from keras_capture.failures import StageError, UnusableError, stage
from keras_capture.layers.rebuilding import Recorded, rebuild
from keras_capture.layers.values import LayerValues
from keras_capture.model.imports import layers_of
from keras_capture.model.perturbing import dtype_of, floating_weights, numpy_of, perturbed
from keras_capture.model.state import empty, is_stateful
from keras_capture.model.values import STRING, dtype_name
from keras_capture.numbers import Distance, wide
from keras_capture.outputs.predicting import Prediction
from keras_capture.structure.tapping import Call, flat_of, tensors_of, tree_leaves
from keras_capture.structure.task import Tapped
from keras_capture.wire.tensors import flat_values

MEMBERS, SECONDS = 2, 60.0
MOST = 400  # calls that are replayed
Pair = Tuple[int, int, str]  # candidate call, baseline call, candidate path


@dataclass(frozen=True)
class _Replayer:
    """What every replayed call needs."""

    prediction: Prediction
    recorded: Recorded
    calls: List[Call]
    values: LayerValues


def replay(prediction: Prediction, ran: Tapped, options: dict) -> dict:
    """Replay the pairs of `options` in order until `seconds` are over; `left` counts those not reached."""
    recorded = Recorded(prediction.framework, Path(options["baseline"]))
    replayer = _Replayer(prediction, recorded, ran.recorder.calls, ran.values)
    deadline = time.perf_counter() + float(options.get("seconds") or SECONDS)
    pairs = [pair for pair in options.get("pairs") or () if _is_suspect(replayer, pair)]
    calls = []
    for pair in pairs[:MOST]:
        if time.perf_counter() > deadline:
            break
        calls.append(_replayed(replayer, pair))
    return {"left": len(pairs) - len(calls), "calls": calls}


def _fits(replayer: _Replayer, pair: Pair) -> bool:
    """Whether the calls are those that the pair means: the model may be called in another order this time."""
    call, other, path = pair
    fits = call < len(replayer.calls) and other < len(replayer.recorded.calls)
    return fits and replayer.calls[call].path == path


def _is_suspect(replayer: _Replayer, pair: Pair) -> bool:
    """Whether the results differ from the baseline's, or may, and everything was kept to find out more.

    Pairs that do not fit stay, and fail.
    """
    if not _fits(replayer, pair):
        return True
    recorded, baseline = replayer.recorded, replayer.recorded.calls[pair[1]]
    results = dict(tree_leaves(baseline["result"]))
    given = [argument["value"] for argument in baseline["arguments"]]
    needed = [*tensors_of(given), *(leaf["t"] for leaf in results.values())]
    if not results or not all(recorded.is_kept(place) for place in needed):
        return False
    own = dict(tree_leaves(replayer.calls[pair[0]].result))
    before = {path: recorded.hash(leaf["t"]) for path, leaf in results.items()}
    after = {path: replayer.values.hash(leaf["t"]) for path, leaf in own.items()}
    return before != after or None in before.values()


def _replayed(replayer: _Replayer, pair: Pair) -> dict:
    try:
        with stage("predict"):
            if not _fits(replayer, pair):
                raise UnusableError("the model is called in another order than its structure says")
            outputs = _outputs(replayer, replayer.calls[pair[0]].owner, replayer.recorded.calls[pair[1]])
            return {"call": pair[0], "failure": None, "outputs": outputs}
    except StageError as failed:
        return {"call": pair[0], "failure": failed.as_dict()["message"], "outputs": []}


def _outputs(replayer: _Replayer, owner: object, baseline: dict) -> List[dict]:
    """Make the call as it is, and where it differs with moved weights too: the layer's own noise."""
    again = rebuild(replayer.recorded, baseline, owner)
    remembering = [layer for layer in layers_of(owner) if is_stateful(layer)]

    def call() -> Dict[str, object]:
        for layer in remembering:
            empty(layer)
        return again()

    results = call()
    compared = [
        _compared(replayer, path, replayer.recorded.values(leaf["t"]), results.get(path))
        for path, leaf in tree_leaves(baseline["result"])
    ]
    moved = {output["path"]: output for output in compared if output["rms"]}
    if moved and getattr(owner, "weights", None) and floating_weights(owner):
        first = {path: _array(replayer, results[path]) for path in moved}
        distances = {path: Distance() for path in moved}
        for member in range(MEMBERS):
            with perturbed(replayer.prediction.framework, owner, member):
                results = call()
            for path, values in first.items():
                distances[path].add(values, _array(replayer, results[path]))
        for path, output in moved.items():
            output["noise_rms"] = distances[path].rms
    return compared


def _compared(replayer: _Replayer, path: str, expected: object, result: object) -> dict:
    """One output of a replayed call against the recorded one."""
    answer = {"path": path, "dtype": None, "same": False, "rms": None, "nonfinite": 0}
    answer.update(rms_baseline=None, noise_rms=None)
    if result is None:
        return answer
    answer["dtype"] = dtype_of(result)
    flat, values = flat_values(expected), _array(replayer, result)
    if STRING in (dtype_name(flat), dtype_name(values)):
        answer["same"] = bool(flat.dtype == values.dtype and np.array_equal(flat, values))
        return answer
    answer["same"] = flat.dtype == values.dtype and np.array_equal(_bytes(flat), _bytes(values))
    distance = Distance()
    distance.add(flat, values)
    answer.update(rms=distance.rms, nonfinite=distance.nonfinite)
    finite = wide(flat.reshape(-1))
    finite = finite[np.isfinite(finite)]
    answer["rms_baseline"] = float(np.sqrt(np.mean(np.square(finite)))) if finite.size else None
    return answer


def _array(replayer: _Replayer, tensor: object) -> np.ndarray:
    return numpy_of(replayer.prediction.framework, flat_of(tensor))


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
