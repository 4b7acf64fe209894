"""One training-mode pass with its gradients, layer by layer: where a difference begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import List, Optional

import numpy as np

from keras_capture.failures import StageError, stage
from keras_capture.model.imports import layers_of
from keras_capture.model.perturbing import numpy_of
from keras_capture.model.structures import leaves
from keras_capture.numbers import number
from keras_capture.structure.tapping import Recorder, flat_of, tapped, tree_leaves
from keras_capture.training.model import Trainee
from keras_capture.training.slopes import Slopes, slopes_of
from keras_capture.training.steps import dense


@dataclass
class Seen:
    """What each layer returned (`forward`), the loss's gradient there (`backward`), and by variable.

    `outputs`: what the model returned, as one flat tensor, where the steps of `fit` do not hand it out.
    """

    layers: List[dict] = field(default_factory=list)
    loss: Optional[np.ndarray] = None
    forward: List[Optional[np.ndarray]] = field(default_factory=list)
    backward: List[Optional[np.ndarray]] = field(default_factory=list)
    gradients: List[Optional[np.ndarray]] = field(default_factory=list)
    added: List[dict] = field(default_factory=list)  # losses that layers add, by layer
    outputs: List[np.ndarray] = field(default_factory=list)


class Probe:
    """A pass over one batch that trains nothing: empty for what only `fit` can run."""

    def __init__(self, trainee: Trainee) -> None:
        self._framework = framework = trainee.framework
        self._trainee = trainee
        self._layers: List[dict] = []
        self._adding: List[dict] = []
        self._function: Optional[Callable] = None
        if framework.on_tensorflow:
            import tensorflow

            self._function = tensorflow.function(self._traced, autograph=False, reduce_retracing=True)
        self._slopes = slopes_of(trainee)

    def run(self, parts: tuple) -> Seen:
        """Probe with the weights as they are; they are the same afterwards."""
        if self._function is None and self._slopes is None:
            return Seen()
        before = self._trainee.weights()
        try:
            with stage("train"):
                if self._slopes is not None:
                    return self._described(self._slopes(parts))
                loss, forward, backward, gradients, added = self._function(parts)
        except StageError:
            self._function = self._slopes = None  # a model that only its own train_step can run
            return Seen()
        finally:
            self._trainee.begin(before)
        arrays = [[self._array(item) for item in group] for group in (forward, backward, gradients)]
        losses = [{**layer, "value": number(self._array(each))} for layer, each in zip(self._adding, added)]
        return Seen(self._layers, self._array(loss), *arrays, losses)

    def inference(self, parts: tuple) -> List[np.ndarray]:
        """What the model predicts for the batch, as one flat tensor; none where it cannot be had."""
        try:
            with stage("train"):
                outputs = self._trainee.model(parts[0], training=False)
        except StageError:
            return []
        return self._flat([flat_of(leaf) for leaf in leaves(outputs) if leaf is not None])

    def _described(self, slopes: Slopes) -> Seen:
        arrays = [
            [self._array(item) for item in group]
            for group in (slopes.forward, slopes.backward, slopes.gradients)
        ]
        outputs = self._flat(slopes.predicted)
        return Seen(slopes.layers, self._array(slopes.loss), *arrays, outputs=outputs)

    def _flat(self, tensors: List[object]) -> List[np.ndarray]:
        arrays = [self._array(tensor).reshape(-1) for tensor in tensors]
        return [np.concatenate(arrays)] if arrays else []

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
        added = self._added()
        variables = self._trainee.trainable()
        trained = [variable for variable in variables if variable is not None]
        slopes = [dense(item) for item in tape.gradient(loss, [*tensors, *trained])]
        by_variable = iter(slopes[len(tensors) :])
        gradients = [None if variable is None else next(by_variable) for variable in variables]
        return loss, tensors, slopes[: len(tensors)], gradients, added

    def _added(self) -> List[object]:
        """The loss that each layer without layers in it adds: of its weights and its outputs."""
        import tensorflow

        leaf = (layer for layer in layers_of(self._trainee.model) if len(layers_of(layer)) == 1)
        adding = [(layer, list(layer.losses)) for layer in leaf if getattr(layer, "losses", None)]
        self._adding = [{"layer": layer.name, "class_name": type(layer).__name__} for layer, _ in adding]
        return [tensorflow.add_n([tensorflow.reduce_sum(each) for each in losses]) for _, losses in adding]

    def _taken(self, recorder: Recorder) -> tuple:
        """The floating results of every call but the model's own, with who returned them."""
        layers, tensors, known = [], [], set()
        for call in recorder.calls:
            if call.failed or not call.path:
                continue
            name = {"name": call.path, "class_name": type(call.owner).__name__, "occurrence": call.occurrence}
            for _, leaf in tree_leaves(call.result):
                tensor = recorder.tensors[leaf["t"]]
                if tensor.number in known or tensor.inner or tensor.ragged or "float" not in tensor.dtype:
                    continue
                known.add(tensor.number)
                layers.append(name)
                tensors.append(tensor.value)
        return layers, tensors

    def _array(self, value: object) -> Optional[np.ndarray]:
        return None if value is None else np.asarray(numpy_of(self._framework, value))
