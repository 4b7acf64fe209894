"""One training-mode pass with its gradients, layer by layer: where a difference begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import List, Optional

import numpy as np

from keras_capture.failures import StageError, stage
from keras_capture.imports import Framework
from keras_capture.perturbing import numpy_of
from keras_capture.tapping import Recorder, leaves, tapped
from keras_capture.training_model import Trainee


@dataclass
class Seen:
    """What each layer returned (`forward`), the loss's gradient there (`backward`), and by variable."""

    layers: List[dict] = field(default_factory=list)
    loss: Optional[np.ndarray] = None
    forward: List[Optional[np.ndarray]] = field(default_factory=list)
    backward: List[Optional[np.ndarray]] = field(default_factory=list)
    gradients: List[Optional[np.ndarray]] = field(default_factory=list)


class Probe:
    """A pass over one batch that trains nothing: on TensorFlow only, empty for what only `fit` can run."""

    def __init__(self, framework: Framework, trainee: Trainee) -> None:
        self._framework = framework
        self._trainee = trainee
        self._layers: List[dict] = []
        self._function: Callable = self._traced
        self._able = framework.on_tensorflow
        if self._able:
            import tensorflow

            self._function = tensorflow.function(self._traced, autograph=False, reduce_retracing=True)

    def run(self, parts: tuple) -> Seen:
        """Probe with the weights as they are; they are the same afterwards."""
        if not self._able:
            return Seen()
        before = self._trainee.weights()
        try:
            with stage("train"):
                loss, forward, backward, gradients = self._function(parts)
        except StageError:
            self._able = False  # a model that only its own train_step can run
            return Seen()
        finally:
            self._trainee.begin(before)
        arrays = [
            [None if item is None else self._array(item) for item in group]
            for group in (forward, backward, gradients)
        ]
        return Seen(self._layers, None if loss is None else self._array(loss), *arrays)

    def inference(self, parts: tuple) -> Optional[np.ndarray]:
        """What the model predicts for the batch, flat."""
        if not self._framework.on_tensorflow:
            return None
        try:
            with stage("train"):
                outputs = [
                    leaf for leaf in leaves(self._trainee.model(parts[0], training=False)) if leaf is not None
                ]
        except StageError:
            return None
        arrays = [self._array(getattr(leaf, "flat_values", leaf)).reshape(-1) for leaf in outputs]
        return np.concatenate(arrays) if arrays else None

    def _traced(self, parts: tuple) -> tuple:
        import tensorflow

        x, y, weight = (*parts, None, None)[:3]
        model = self._trainee.model
        recorder = Recorder(self._framework, lambda _: None)
        with tensorflow.GradientTape() as tape:
            with tapped(recorder):
                predicted = model(x, training=True)
            loss = model.compute_loss(x=x, y=y, y_pred=predicted, sample_weight=weight)
        self._layers, tensors = self._taken(recorder)
        variables = self._trainee.trainable()
        found = tape.gradient(loss, [*tensors, *[variable for variable in variables if variable is not None]])
        gradients = iter(found[len(tensors) :])
        by_variable = [None if variable is None else _dense(next(gradients)) for variable in variables]
        return loss, tensors, [_dense(item) for item in found[: len(tensors)]], by_variable

    def _taken(self, recorder: Recorder) -> tuple:
        """The floating results of every call but the model's own, with who returned them."""
        layers, tensors, known = [], [], set()
        for call in recorder.calls:
            if call.failed or not call.path:
                continue
            for number in _numbers(call.result):
                tensor = recorder.tensors[number]
                if number in known or tensor.inner or tensor.ragged or "float" not in tensor.dtype:
                    continue
                known.add(number)
                layers.append(
                    {
                        "name": call.path,
                        "class_name": type(call.owner).__name__,
                        "occurrence": call.occurrence,
                    }
                )
                tensors.append(tensor.value)
        return layers, tensors

    def _array(self, value: object) -> np.ndarray:
        return np.asarray(numpy_of(self._framework, value))


def _numbers(tree: object) -> List[int]:
    if isinstance(tree, dict):
        if "t" in tree:
            return [tree["t"]]
        inner = tree.get("dict") or tree.get("list") or tree.get("tuple") or ()
        return [
            number
            for item in (inner.values() if isinstance(inner, dict) else inner)
            for number in _numbers(item)
        ]
    return []


def _dense(gradient: object) -> object:
    if gradient is None or not hasattr(gradient, "dense_shape"):
        return gradient
    import tensorflow

    return tensorflow.convert_to_tensor(gradient)
