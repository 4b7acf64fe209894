"""What the framework's own `evaluate` reports on the recorded labels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Dict, Optional, Tuple

import numpy as np

from keras_capture.failures import InputsError
from keras_capture.model.feeding import to_backend
from keras_capture.model.structures import Keys, mapped
from keras_capture.numbers import number
from keras_capture.outputs.predicting import Captured, Prediction, dataset
from keras_capture.wire.recording import Recording
from keras_capture.wire.tensors import Rows

WEIGHT = "sample_weight"
_MOST_VALUES = 100  # of a metric that is an array; more are no summary


def is_compiled(model: object) -> bool:
    """Whether the model has a loss or metrics to report."""
    # `_is_compiled` is of Keras 2 (2.15, tf_keras 2.17); Keras 3 has `compiled`.
    return bool(getattr(model, "compiled", False) or getattr(model, "_is_compiled", False))


def evaluate(prediction: Prediction, captured: Captured, labels: Recording) -> Dict[str, Optional[float]]:
    """Evaluate in the same batches as the prediction; NaN and infinity become None."""
    batch = _batch_maker(prediction, captured, labels)
    if prediction.framework.on_tensorflow:
        batches = dataset(prediction.framework, itertools.starmap(batch, prediction.bounds()))
    else:
        batches = _indexed(prediction, batch)
    return dict(_flat(prediction.model.evaluate(batches, verbose=0, return_dict=True)))


def labelled(prediction: Prediction, captured: Captured, labels: Recording) -> Iterator[tuple]:
    """The batches of the prediction with their labels and, where recorded, weights."""
    return itertools.starmap(_batch_maker(prediction, captured, labels), prediction.bounds())


def _batch_maker(
    prediction: Prediction, captured: Captured, labels: Recording
) -> Callable[[int, int], tuple]:
    """Gives inputs, labels and, where recorded, weights of the samples [start, stop)."""
    framework, feed = prediction.framework, prediction.feed
    if labels.samples != feed.samples:
        raise InputsError(
            f"the labels have {labels.samples} samples, the inputs {feed.samples}: {labels.source}"
        )
    targets = _targets(prediction.model, captured, labels)
    weights = _weights(captured, labels)

    def batch(start: int, stop: int) -> tuple:
        def take(_: Keys, tensor: Optional[Rows]) -> object:
            """Ones where there is no tensor."""
            rows = np.ones(stop - start, np.float32) if tensor is None else tensor.rows(start, stop)
            return to_backend(framework, rows)

        recorded = [targets] if weights is None else [targets, weights]
        return (feed.batch(framework, start, stop), *(mapped(take, tensors) for tensors in recorded))

    return batch


def _indexed(prediction: Prediction, batch: Callable[[int, int], tuple]) -> object:
    """The same batches by their number, for JAX and torch.

    Their trainers look at the first batches to build themselves, and of a generator those would be lost.
    """
    bounds = prediction.bounds()

    class Batches(prediction.framework.keras.utils.PyDataset):
        """Keras asks for each batch by its number."""

        def __len__(self) -> int:
            return len(bounds)

        def __getitem__(self, index: int) -> tuple:
            return batch(*bounds[index])

    return Batches()


def _targets(model: object, captured: Captured, labels: Recording) -> object:
    """Recorded labels in the structure of the model's outputs."""
    tensors = {name: tensor for name, tensor in labels.tensors.items() if name.rpartition("/")[2] != WEIGHT}
    names = list(captured.names)
    chosen = dict(zip(names, tensors.values())) if len(names) == len(tensors) == 1 else {}
    given_names = list(getattr(model, "output_names", None) or ())  # by the model
    for name, given in zip(names, given_names if len(given_names) == len(names) else names):
        if name in tensors or given in tensors:
            chosen[name] = tensors.get(name, tensors.get(given))
    missing = [name for name in names if name not in chosen]
    if not chosen or (missing and not isinstance(captured.structure, dict)):
        raise InputsError(
            f"the labels {', '.join(map(repr, tensors)) or '(none)'} do not name the outputs "
            f"{', '.join(map(repr, names))}"
        )
    if isinstance(captured.structure, dict):  # an output without labels may be one without a loss
        return {name: chosen[name] for name in captured.structure if name in chosen}
    return mapped(lambda _, name: chosen[name], captured.structure)


def _weights(captured: Captured, labels: Recording) -> object:
    """Recorded weights: one tensor for all, or one an output; None where there are none."""
    if WEIGHT in labels.tensors:
        return labels.tensors[WEIGHT]
    if not any(name.endswith(f"/{WEIGHT}") for name in labels.tensors):
        return None
    return mapped(lambda _, name: labels.tensors.get(f"{name}/{WEIGHT}"), captured.structure)


def _flat(reported: dict, prefix: str = "") -> Iterator[Tuple[str, Optional[float]]]:
    """Every reported number by name; arrays element by element."""
    for key, value in reported.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}/")
            continue
        array = np.asarray(value)
        if array.ndim == 0:
            yield name, number(array)
        elif array.size <= _MOST_VALUES:
            yield from ((f"{name}[{index}]", number(item)) for index, item in enumerate(array.reshape(-1)))
