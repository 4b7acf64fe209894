"""Calls a model as predict does, on a few of its recorded samples, and leaves its memory as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import List, Optional

import numpy as np

from keras_capture.failures import UnusableError
from keras_capture.model.feeding import Feed, to_backend
from keras_capture.model.imports import Framework, layers_of
from keras_capture.model.perturbing import dtype_of, lasting
from keras_capture.model.state import empty, is_stateful
from keras_capture.model.values import Ragged
from keras_capture.numbers import MANTISSA
from keras_capture.outputs.predicting import Prediction

ROWS = 4
_SCANNED = 1024  # samples among which a padded one is looked for


def caller(framework: Framework, model: object) -> Callable[[object], object]:
    """Calls the model as predict does."""
    # `_call_has_training_arg` is in Keras 3.3.3 to 3.15.1; a model of Keras 2 always takes the argument.
    takes_training = framework.is_keras_2 or getattr(model, "_call_has_training_arg", True)
    options = {"training": False} if takes_training else {}

    def call(inputs: object) -> object:
        return model(inputs, **options)

    return call


@contextlib.contextmanager
def state_kept(framework: Framework, model: object) -> Iterator[Callable[[], None]]:
    """Gives a function that empties the memory of stateful layers and puts seeds back.

    Afterwards both are as they were.
    """
    layers = [layer for layer in layers_of(model) if is_stateful(layer)]
    held = getattr(model, "non_trainable_variables", ())  # a SavedModel has none of its own
    seeds = [(v, lasting(framework, v)) for v in held if dtype_of(v) not in MANTISSA]
    kept = [(v, lasting(framework, v)) for v in (held if layers else ())]

    def reset() -> None:
        for layer in layers:
            empty(layer)
        for variable, values in seeds:
            variable.assign(values)

    try:
        yield reset
    finally:
        for variable, values in (*seeds, *kept):
            variable.assign(values)


def choose_rows(prediction: Prediction, further: Sequence[int] = ()) -> List[int]:
    """Which samples: `further` ones, the first, the one with the most padding, and the last ones.

    No more than a batch of the prediction, so that no activation is larger than it was there; exactly a
    batch, filled up with the first samples, where the model takes batches of one size only.
    """
    samples, size = prediction.feed.samples, prediction.batch_size
    missing = [row for row in further if not 0 <= row < samples]
    if missing:
        raise UnusableError(
            f"the layers of sample {missing[0]} cannot be recorded: there are {samples} samples"
        )
    count = min(ROWS, size)
    if samples <= count:
        return list(range(samples))
    shapes = [tuple(tensor.shape) for tensor in getattr(prediction.model, "inputs", None) or ()]
    if any(shape and shape[0] is not None for shape in shapes):
        return sorted(list(dict.fromkeys([*further, *range(size)]))[:size])
    padded = _most_padded(prediction.feed)
    usual = list(dict.fromkeys([0, padded or 0, *range(samples - 1, -1, -1)]))[:count]
    return sorted(list(dict.fromkeys([*further, *usual]))[:size])


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
