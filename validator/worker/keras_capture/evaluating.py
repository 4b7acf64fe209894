"""What the framework's own `evaluate` reports on the recorded labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Dict, List, Optional, Tuple

import numpy as np

from keras_capture.failures import InputsError
from keras_capture.feeding import to_backend
from keras_capture.predicting import Captured, Prediction, dataset
from keras_capture.recording import Recording, Tensor

WEIGHT = "sample_weight"
_MOST_VALUES = 100  # of a metric that is an array; more are no summary


def is_compiled(model: object) -> bool:
    """Whether the model has a loss or metrics to report."""
    return bool(getattr(model, "compiled", False) or getattr(model, "_is_compiled", False))


def evaluate(prediction: Prediction, captured: Captured, labels: Recording) -> Dict[str, Optional[float]]:
    """Evaluate in the same batches as the prediction; NaN and infinity become None.

    Raises:
        InputsError: the labels do not belong to the model's outputs or samples.
    """
    wanted = _wanted(prediction, captured, labels)
    if prediction.framework.on_tensorflow:
        batches = dataset(prediction.framework, _batches(prediction, wanted))
    else:
        batches = _indexed(prediction, wanted)
    return dict(_flat(prediction.model.evaluate(batches, verbose=0, return_dict=True)))


def labelled(prediction: Prediction, captured: Captured, labels: Recording) -> Iterator[tuple]:
    """The batches of the prediction with their labels and, where recorded, weights.

    Raises:
        InputsError: the labels do not belong to the model's outputs or samples.
    """
    return _batches(prediction, _wanted(prediction, captured, labels))


def _wanted(prediction: Prediction, captured: Captured, labels: Recording) -> List[object]:
    """Labels in the structure of the outputs and, where recorded, their weights."""
    if labels.samples != prediction.feed.samples:
        raise InputsError(
            f"the labels have {labels.samples} samples, the inputs {prediction.feed.samples}: {labels.source}"
        )
    wanted = [_targets(prediction.model, captured, labels)]
    weights = _weights(captured, labels)
    if weights is not None:
        wanted.append(weights)
    return wanted


def _batches(prediction: Prediction, wanted: List[object]) -> Iterator[tuple]:
    """Inputs, labels and perhaps weights of each batch."""
    return (_batch(prediction, wanted, start, stop) for start, stop in prediction.bounds())


def _batch(prediction: Prediction, wanted: List[object], start: int, stop: int) -> tuple:
    take = _taker(prediction, start, stop)
    return (
        prediction.feed.batch(prediction.framework, start, stop),
        *(_map(take, tensors) for tensors in wanted),
    )


def _indexed(prediction: Prediction, wanted: List[object]) -> object:
    """The same batches by their number, for JAX and torch.

    Their trainers look at the first batches to build themselves, and of a generator those would be lost.
    """
    bounds = prediction.bounds()

    class Batches(prediction.framework.keras.utils.PyDataset):
        """Keras asks for each batch by its number."""

        def __len__(self) -> int:
            return len(bounds)

        def __getitem__(self, index: int) -> tuple:
            return _batch(prediction, wanted, *bounds[index])

    return Batches()


def _taker(prediction: Prediction, start: int, stop: int) -> Callable[[Optional[Tensor]], object]:
    """Takes the samples [start, stop) of a recorded tensor; ones where there is none."""

    def take(tensor: Optional[Tensor]) -> object:
        rows = np.ones(stop - start, np.float32) if tensor is None else tensor.rows(start, stop)
        return to_backend(prediction.framework, rows)

    return take


def _map(take: Callable[[Optional[Tensor]], object], structure: object) -> object:
    if isinstance(structure, dict):
        return {key: _map(take, value) for key, value in structure.items()}
    if isinstance(structure, tuple):
        return tuple(_map(take, value) for value in structure)
    return take(structure)


def _targets(model: object, captured: Captured, labels: Recording) -> object:
    """Recorded labels in the structure of the model's outputs."""
    tensors = {name: tensor for name, tensor in labels.tensors.items() if name.rpartition("/")[2] != WEIGHT}
    names = list(captured.outputs)
    chosen = dict(zip(names, tensors.values())) if len(names) == len(tensors) == 1 else {}
    for name, given in _output_names(model, names):
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
    return _map(lambda name: chosen[name], captured.structure)


def _output_names(model: object, names: List[str]) -> List[Tuple[str, str]]:
    """Each output's name in the capture with the one that the model gives it."""
    given = list(getattr(model, "output_names", None) or ())
    return list(zip(names, given if len(given) == len(names) else names))


def _weights(captured: Captured, labels: Recording) -> object:
    """Recorded weights: one tensor for all, or one an output; None where there are none."""
    if WEIGHT in labels.tensors:
        return labels.tensors[WEIGHT]
    if not any(name.endswith(f"/{WEIGHT}") for name in labels.tensors):
        return None
    return _map(lambda name: labels.tensors.get(f"{name}/{WEIGHT}"), captured.structure)


def _flat(reported: dict, prefix: str = "") -> Iterator[Tuple[str, Optional[float]]]:
    """Every reported number by name; arrays element by element."""
    for key, value in reported.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}/")
            continue
        array = np.asarray(value)
        if array.ndim == 0:
            yield name, _finite(array)
        elif array.size <= _MOST_VALUES:
            yield from ((f"{name}[{index}]", _finite(item)) for index, item in enumerate(array.reshape(-1)))


def _finite(value: np.ndarray) -> Optional[float]:
    number = float(value)
    return number if math.isfinite(number) else None
