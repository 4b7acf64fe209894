"""What the framework's own `evaluate` reports on the recorded labels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Tuple

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


@dataclass(frozen=True)
class Labels:
    """Recorded labels and weights as `evaluate` takes them; `weights` is None where there are none.

    `listed` are the same in the order of the outputs, where these are dicts by the names of the layers.
    """

    targets: object
    weights: object
    listed: Optional[Labels] = None


def is_masked(model: object) -> bool:
    """Whether an output of the model's graph carries a mask, which compiled metrics may respect or not."""
    try:
        outputs = model.outputs or ()
    except (AttributeError, ValueError):  # no graph
        return False
    # `_keras_mask`: Keras 2.15, tf_keras 2.17, Keras 3.3.3 to 3.15.1
    return any(getattr(each, "_keras_mask", None) is not None for each in outputs)


def evaluate(
    prediction: Prediction, captured: Captured, recording: Recording
) -> Iterator[Dict[str, Optional[float]]]:
    """Evaluate in the same batches as the prediction; NaN and infinity become None.

    Gives what `evaluate` reports, and where labels may be a dict or a list what it reports of the list.
    """
    labels = labels_of(prediction, captured, recording)
    for each in filter(None, (labels, labels.listed)):
        prediction.reset()
        batches = _batches(prediction, _batch_maker(prediction, each))
        yield dict(_flat(prediction.model.evaluate(batches, verbose=0, return_dict=True)))


def labelled(prediction: Prediction, captured: Captured, recording: Recording) -> Iterator[tuple]:
    """The batches of the prediction with their labels and, where recorded, weights."""
    return itertools.starmap(
        _batch_maker(prediction, labels_of(prediction, captured, recording)), prediction.bounds()
    )


def _batches(prediction: Prediction, batch: Callable[[int, int], tuple]) -> object:
    """What `evaluate` takes one after the other. Their number must be known beforehand.

    Keras 3 updates the losses of several outputs once too often for a dataset of unknown length, so that
    N batches report N/(N+1) of them (seen in 3.7.0 to 3.15.1).
    """
    if not prediction.framework.on_tensorflow:
        return _indexed(prediction, batch)
    import tensorflow

    bounds = prediction.bounds()
    batches = dataset(prediction.framework, lambda: itertools.starmap(batch, bounds))
    return batches.apply(tensorflow.data.experimental.assert_cardinality(len(bounds)))


def _batch_maker(prediction: Prediction, labels: Labels) -> Callable[[int, int], tuple]:
    """Gives inputs, labels and, where recorded, weights of the samples [start, stop)."""
    framework, feed = prediction.framework, prediction.feed

    def batch(start: int, stop: int) -> tuple:
        def take(_: Keys, tensor: Optional[Rows]) -> object:
            """Ones where there is no tensor."""
            rows = np.ones(stop - start, np.float32) if tensor is None else tensor.rows(start, stop)
            return to_backend(framework, rows)

        recorded = [labels.targets] if labels.weights is None else [labels.targets, labels.weights]
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


def labels_of(prediction: Prediction, captured: Captured, recording: Recording) -> Labels:
    """Recorded labels by the outputs they belong to.

    Raises:
        InputsError: their number is not that of the inputs, or their names are not those of the outputs.
    """
    if recording.samples != prediction.feed.samples:
        raise InputsError(
            f"the labels have {recording.samples} samples, the inputs {prediction.feed.samples}: "
            f"{recording.source}"
        )
    names = list(captured.names)
    layers = list(getattr(prediction.model, "output_names", None) or ())  # of the outputs
    given = layers if len(layers) == len(names) else names
    chosen = _chosen(names, given, recording)
    structure = captured.structure
    if isinstance(structure, dict):  # an output without labels may be one without a loss
        return _labels({name: name for name in structure if name in chosen}, chosen, recording)
    by_layer = dict(zip(given, names))
    if len(names) > 1 and by_layer.keys() >= set(_tensors(recording)):
        by_layer = {layer: name for layer, name in by_layer.items() if name in chosen}
        named = _labels(by_layer, chosen, recording)
        whole = len(chosen) == len(names)
        return replace(named, listed=_labels(structure, chosen, recording)) if whole else named
    if len(chosen) != len(names):
        raise _unnamed(names, recording)
    return _labels(structure, chosen, recording)


def _tensors(recording: Recording) -> Dict[str, Rows]:
    return {name: rows for name, rows in recording.tensors.items() if name.rpartition("/")[2] != WEIGHT}


def _chosen(
    names: List[str], given: List[str], recording: Recording
) -> Dict[str, Tuple[Rows, Optional[Rows]]]:
    """Output → its labels and its own weights, recorded under its name or the name of its layer."""
    tensors = _tensors(recording)
    chosen = dict(zip(names, tensors.values())) if len(names) == len(tensors) == 1 else {}
    weights = {}
    for name, layer in zip(names, given):
        if name in tensors or layer in tensors:
            chosen[name] = tensors.get(name, tensors.get(layer))
        own = (recording.tensors.get(f"{each}/{WEIGHT}") for each in (name, layer))
        weights[name] = next((rows for rows in own if rows is not None), None)
    if not chosen:
        raise _unnamed(names, recording)
    return {name: (rows, weights[name]) for name, rows in chosen.items()}


def _labels(structure: object, chosen: dict, recording: Recording) -> Labels:
    """Labels in a structure whose leaves are names of outputs; weights are one for all, or one an output."""
    targets = mapped(lambda _, name: chosen[name][0], structure)
    if WEIGHT in recording.tensors:
        return Labels(targets, recording.tensors[WEIGHT])
    if not any(weights is not None for _, weights in chosen.values()):
        return Labels(targets, None)
    return Labels(targets, mapped(lambda _, name: chosen[name][1], structure))


def _unnamed(names: List[str], recording: Recording) -> InputsError:
    labels = ", ".join(map(repr, _tensors(recording))) or "(none)"
    return InputsError(f"the labels {labels} do not name the outputs {', '.join(map(repr, names))}")


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
