"""One step of training at a time, by the model's own `train_step`, and what went on inside it.

On TensorFlow the step is traced as `fit` traces it, and its loss, outputs and gradients are handed out beside
its result: the weights it leaves are those of `fit`, bit for bit. JAX traces behind closed doors; there the
loss and the weights are what can be had.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Dict, List, Optional

import numpy as np

from keras_capture.model.imports import Framework
from keras_capture.model.perturbing import numpy_of
from keras_capture.model.structures import leaves
from keras_capture.numbers import number
from keras_capture.structure.tapping import flat_of
from keras_capture.training.model import Trainee, optimizers_of


@dataclass(frozen=True)
class Stepped:
    """One step. `forward` is one flat tensor of all outputs, or none; `gradients` has one entry a variable of
    the model, None for those that got none."""

    loss: np.ndarray
    forward: List[np.ndarray]
    gradients: List[Optional[np.ndarray]]
    weights: List[np.ndarray]
    reported: Dict[str, Optional[float]]
    masked: Optional[bool]


class Steps:
    """The steps of one model. `sparse`: variables whose gradient came as rows (of an embedding)."""

    def __init__(self, trainee: Trainee) -> None:
        self._framework = framework = trainee.framework
        self._trainee = trainee
        self._masked: Optional[bool] = None
        self.sparse: List[int] = []
        self._function: Callable = self._inside
        if framework.backend == "jax":
            self._function = self._outside
        elif framework.on_tensorflow and not trainee.model.run_eagerly:
            import tensorflow

            jit = bool(trainee.model.jit_compile) or None
            self._function = tensorflow.function(
                self._inside, autograph=False, reduce_retracing=True, jit_compile=jit
            )

    def forget(self) -> None:
        """Let the metrics begin anew, as at the beginning of an epoch."""
        self._trainee.model.reset_metrics()

    def step(self, parts: tuple, *, weights: bool = True) -> Stepped:
        """Train on one batch."""
        seen = self._function(parts)
        logs = seen["logs"] if isinstance(seen["logs"], dict) else {"loss": seen["logs"]}
        reported = dict(_reported(self._framework, logs))
        loss = seen.get("loss")
        loss = reported.get("loss") if loss is None else self._array(loss)
        forward = [self._array(leaf).reshape(-1) for leaf in seen.get("forward") or ()]
        return Stepped(
            loss=np.asarray(math.nan if loss is None else loss),
            forward=[np.concatenate(forward)] if forward else [],
            gradients=[None if item is None else self._array(item) for item in seen.get("gradients") or ()],
            weights=self._trainee.weights() if weights else [],
            reported=reported,
            masked=self._masked,
        )

    def _inside(self, parts: tuple) -> dict:
        """`train_step`, watched."""
        seen: Dict[str, object] = {}
        with _watched(self._trainee, seen):
            if self._framework.on_tensorflow:
                logs = self._trainee.model.train_step(parts if len(parts) > 1 else parts[0])
            else:
                logs = self._outside(parts)["logs"]
        outputs = [leaf for leaf in leaves(seen.get("forward")) if leaf is not None]
        self.sparse = [
            number for number, item in enumerate(seen.get("gradients") or ()) if hasattr(item, "dense_shape")
        ]
        self._masked = bool(outputs) and any(
            getattr(leaf, "_keras_mask", None) is not None  # Keras 2.15, tf_keras 2.17, Keras 3.3.3 to 3.15.1
            for leaf in outputs
        )
        return {
            "logs": logs,
            "loss": seen.get("loss"),
            "forward": [flat_of(leaf) for leaf in outputs],
            "gradients": [dense(item) for item in seen.get("gradients") or ()],
        }

    def _outside(self, parts: tuple) -> dict:
        x, y, weight = (*parts, None, None)[:3]
        logs = self._trainee.model.train_on_batch(x, y, sample_weight=weight, return_dict=True)
        return {"logs": logs}

    def _array(self, value: object) -> np.ndarray:
        return np.asarray(value) if isinstance(value, np.ndarray) else numpy_of(self._framework, value)


@contextlib.contextmanager
def _watched(trainee: Trainee, seen: Dict[str, object]) -> Iterator[None]:
    """See what the loss is computed from and what the optimizers are given, through the instances."""
    model = trainee.model
    watchers = [(model, "compute_loss", _loss_watcher(model.compute_loss, seen))]
    for optimizer in optimizers_of(model).values():
        name = "apply" if hasattr(type(optimizer), "apply") else "apply_gradients"
        watchers.append((optimizer, name, _gradient_watcher(optimizer, name, trainee, seen)))
    try:
        for owner, name, watcher in watchers:
            vars(owner)[name] = watcher  # around the owner's own bookkeeping of attributes
        yield
    finally:
        for owner, name, _ in watchers:
            vars(owner).pop(name, None)


def _loss_watcher(original: Callable, seen: Dict[str, object]) -> Callable:
    def compute_loss(*args: object, **kwargs: object) -> object:
        loss = original(*args, **kwargs)
        seen["loss"] = loss
        seen["forward"] = kwargs["y_pred"] if "y_pred" in kwargs else (*args, None, None, None)[2]
        return loss

    return compute_loss


def _gradient_watcher(optimizer: object, name: str, trainee: Trainee, seen: Dict[str, object]) -> Callable:
    """Around `apply(gradients, trainable_variables)`, or `apply_gradients(pairs)` of Keras 2."""
    original = getattr(optimizer, name)

    def apply(given: object, *args: object, **kwargs: object) -> object:
        given = pairs = list(given)
        if name == "apply":
            variables = args[0] if args else kwargs.get("trainable_variables")
            pairs = zip(given, trainee.model.trainable_variables if variables is None else variables)
        kept = seen.setdefault("gradients", [None] * len(trainee.variables))
        for gradient, variable in pairs:
            if id(variable) in trainee.places:
                kept[trainee.places[id(variable)]] = gradient
        return original(given, *args, **kwargs)

    return apply


def dense(gradient: object) -> object:
    """A gradient as one tensor: of an embedding it may be rows and their numbers."""
    if gradient is None or not hasattr(gradient, "dense_shape"):
        return gradient
    import tensorflow

    return tensorflow.convert_to_tensor(gradient)


def _reported(framework: Framework, logs: dict, prefix: str = "") -> Iterator[tuple]:
    for name, value in logs.items():
        if isinstance(value, dict):
            yield from _reported(framework, value, f"{prefix}{name}/")
        else:
            array = np.asarray(numpy_of(framework, value) if hasattr(value, "dtype") else value)
            if array.ndim == 0 and array.dtype.kind in "biuf":
                yield f"{prefix}{name}", number(array)
