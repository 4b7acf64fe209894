"""The task `layers`: what a model is made of, and what each layer gives for a few samples.

The model runs once more, with every call recorded; the answer is `layers/layers.json` (docs/protocol.md).
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

from keras_capture.feeding import Feed, to_backend
from keras_capture.files import write_json
from keras_capture.imports import Framework
from keras_capture.layers_store import Store
from keras_capture.perturbing import compute_dtypes, floating_weights, numpy_of, perturbed
from keras_capture.predicting import Prediction
from keras_capture.savedmodel import SavedModel
from keras_capture.structure import describe
from keras_capture.tapping import Call, Recorder, tapped
from keras_capture.tasks import Work
from keras_capture.values import Ragged

ROWS, BUDGET, SEED = 4, 64 << 20, 20231  # what a request does not say
_SCANNED = 1024  # samples among which a padded one is looked for
FOLDER, FILE = "layers", "layers.json"


@dataclass
class Tapped:
    """A model that was run under the tap. `again` runs it once more and hands the values to the store."""

    recorder: Recorder
    store: Store
    mode: str
    again: Callable[[], None]
    note: str = ""


def run(work: Work, options: dict) -> dict:
    """The task: options `rows`, `budget` (bytes), `noise` (members of the ensemble)."""
    prediction = work.prediction
    if isinstance(prediction.model, SavedModel):
        return {"path": None, "reason": "a SavedModel is one frozen graph: it has no layers"}
    folder = work.job.folder / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = choose_rows(prediction, int(options.get("rows", ROWS)))
    with state_kept(prediction.framework, prediction.model) as reset:
        reset()
        ran = tap(prediction, gathered(prediction, rows), (folder, int(options.get("budget", BUDGET))))
        members = _noise(prediction, ran, int(options.get("noise", 0)), reset)
    write_json(folder / FILE, _document(prediction.framework, ran, rows))
    return {
        "path": f"{FOLDER}/{FILE}",
        "reason": "",
        "mode": ran.mode,
        "note": ran.note,
        "rows": rows,
        "members": members,
        "calls": len(ran.recorder.calls),
    }


def tap(prediction: Prediction, inputs: object, place: Tuple[Path, int]) -> Tapped:
    """Run the model once under the tap: inside a traced function, or eagerly where it cannot be traced.

    `place`: the folder for tensors, and how many bytes it may take.
    """
    framework = prediction.framework
    note = ""
    if framework.on_tensorflow:
        try:
            return _traced(prediction, inputs, place)
        except Exception as error:  # whatever the model's code does not like about being traced
            note = f"{type(error).__name__}: {error}".splitlines()[0][:500]
            shutil.rmtree(place[0], ignore_errors=True)
            place[0].mkdir(parents=True)
    return _eager(prediction, inputs, place, note)


def _traced(prediction: Prediction, inputs: object, place: Tuple[Path, int]) -> Tapped:
    import tensorflow

    call = caller(prediction.framework, prediction.model)
    store = Store(prediction.framework, *place)
    recorder = Recorder(prediction.framework, store.take)

    @tensorflow.function
    def function(given: object) -> object:
        return call(given)

    with tapped(recorder):
        function.get_concrete_function(inputs)
    store.plan()

    def again() -> None:
        prediction.framework.keras.utils.set_random_seed(prediction.framework.seed)
        function(inputs)

    again()
    return Tapped(recorder, store, "traced", again)


def _eager(prediction: Prediction, inputs: object, place: Tuple[Path, int], note: str) -> Tapped:
    call = caller(prediction.framework, prediction.model)
    store = Store(prediction.framework, *place)

    def once() -> None:
        prediction.framework.keras.utils.set_random_seed(prediction.framework.seed)
        recorders.append(Recorder(prediction.framework, store.take))
        with tapped(recorders[-1]):
            call(inputs)

    recorders: List[Recorder] = []
    once()
    return Tapped(recorders[0], store, "eager", once, note)


def caller(framework: Framework, model: object) -> Callable[[object], object]:
    """Calls the model as predict does."""
    takes_training = framework.is_keras_2 or getattr(model, "_call_has_training_arg", True)
    options = {"training": False} if takes_training else {}

    def call(inputs: object) -> object:
        return model(inputs, **options)

    return call


@contextlib.contextmanager
def state_kept(framework: Framework, model: object) -> Iterator[Callable[[], None]]:
    """Gives a function that empties the memory of stateful layers; afterwards it is as it was."""
    layers = [
        layer for layer in model._flatten_layers(include_self=True, recursive=True) if is_stateful(layer)
    ]
    kept = [
        (variable, np.array(numpy_of(framework, variable)))
        for variable in (model.non_trainable_variables if layers else ())
    ]

    def reset() -> None:
        for layer in layers:
            empty(layer)

    try:
        yield reset
    finally:
        for variable, values in kept:
            variable.assign(values)


def is_stateful(layer: object) -> bool:
    """Whether a layer remembers from call to call."""
    return getattr(layer, "stateful", False) is True and (
        hasattr(layer, "reset_state") or hasattr(layer, "reset_states")
    )


def empty(layer: object) -> None:
    """Let a stateful layer forget; before its first call it has nothing to forget."""
    forget = getattr(layer, "reset_state", None) or layer.reset_states
    with contextlib.suppress(AttributeError, ValueError):
        forget()


def choose_rows(prediction: Prediction, count: int) -> List[int]:
    """Which samples: the first, the one with the most padding, and the last ones.

    No more than a batch of the prediction, so that no activation is larger than it was there; the whole
    first batch where the model takes batches of one size only.
    """
    samples, count = prediction.feed.samples, min(count, prediction.batch_size)
    if samples <= count:
        return list(range(samples))
    shapes = [tuple(tensor.shape) for tensor in getattr(prediction.model, "inputs", None) or ()]
    if any(shape and shape[0] is not None for shape in shapes):
        return list(range(prediction.batch_size))
    padded = _most_padded(prediction.feed)
    wanted = [0] if padded in (None, 0) else [0, padded]
    wanted = wanted[:count]
    rest = [row for row in (*range(samples - 1, -1, -1),) if row not in wanted]
    return sorted([*wanted, *rest[: count - len(wanted)]])


def _most_padded(feed: Feed) -> Optional[int]:
    """The sample with the most zeros that is not all zeros, by the inputs that are sequences."""
    stop = min(feed.samples, _SCANNED)
    zeros = np.zeros(stop, np.int64)
    alive = np.zeros(stop, bool)
    for tensor in feed.tensors:
        for start in range(0, stop, 64):
            values = tensor.rows(start, min(start + 64, stop))
            if isinstance(values, Ragged) or values.dtype.kind not in "iuf" or values.ndim < 2:
                break
            flat = values.reshape(len(values), -1)
            zeros[start : start + len(flat)] += np.count_nonzero(flat == 0, axis=1)
            alive[start : start + len(flat)] |= (flat != 0).any(axis=1)
    zeros[~alive] = 0
    return int(zeros.argmax()) if zeros.any() else None


def gathered(prediction: Prediction, rows: List[int]) -> object:
    """These samples in the model's input structure."""
    feed, framework = prediction.feed, prediction.framework
    return feed.pack(
        [to_backend(framework, _joined([tensor.rows(r, r + 1) for r in rows])) for tensor in feed.tensors]
    )


def _joined(parts: list) -> object:
    if not isinstance(parts[0], Ragged):
        return np.concatenate(parts)
    levels = []
    for level in range(len(parts[0].splits)):
        joined = [np.zeros(1, np.int64)]
        for part in parts:
            joined.append(part.splits[level][1:] + joined[-1][-1])
        levels.append(np.concatenate(joined))
    return Ragged(np.concatenate([part.values for part in parts]), tuple(levels))


def _noise(prediction: Prediction, ran: Tapped, members: int, reset: Callable[[], None]) -> int:
    """Run again with weights moved by one place; the store collects how far each tensor moves."""
    weights = floating_weights(prediction.model)
    if not weights:
        return 0
    ran.store.restart()
    computed = compute_dtypes(prediction.model)
    for member in range(members):
        reset()
        with perturbed(prediction.framework, weights, [SEED, member], computed):
            ran.again()
    return members


def _document(framework: Framework, ran: Tapped, rows: List[int]) -> dict:
    owners: Dict[int, int] = {}
    described = []
    for call in ran.recorder.calls:
        if id(call.owner) not in owners:
            owners[id(call.owner)] = len(described)
            described.append(describe(framework, call.owner))
    return {
        "schema": 1,
        "mode": ran.mode,
        "rows": rows,
        "layers": described,
        "calls": [_call(call, owners) for call in ran.recorder.calls],
        "tensors": [_tensor(ran, number) for number in range(len(ran.recorder.tensors))],
    }


def _call(call: Call, owners: Dict[int, int]) -> dict:
    return {
        "layer": owners[id(call.owner)],
        "parent": call.parent,
        "path": call.path,
        "occurrence": call.occurrence,
        "operation": call.operation,
        "failed": call.failed,
        "arguments": [
            {"name": name, "positional": positional, "value": tree}
            for name, positional, tree in call.arguments
        ],
        "received": call.received,
        "result": call.result,
    }


def _tensor(ran: Tapped, number: int) -> dict:
    tensor, moved = ran.recorder.tensors[number], ran.store.moved.get(number)
    return {
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "ragged": tensor.ragged,
        "inner": tensor.inner,
        "producer": tensor.producer,
        "stored": ran.store.entries.get(number),
        "summary": ran.store.summaries.get(number),
        "noise_rms": moved.rms if moved else None,
    }
