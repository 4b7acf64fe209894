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

from keras_capture.imports import Framework
from keras_capture.perturbing import numpy_of
from keras_capture.tapping import leaves
from keras_capture.training_model import Trainee


@dataclass(frozen=True)
class Stepped:
    """One step. `gradients` has one entry a variable of the model, None for those that got none."""

    loss: object
    forward: Optional[np.ndarray]
    gradients: List[Optional[np.ndarray]]
    weights: List[np.ndarray]
    reported: Dict[str, Optional[float]]
    masked: Optional[bool]


class Steps:
    """The steps of one model. `gradients` says in words where those are from."""

    def __init__(self, framework: Framework, trainee: Trainee) -> None:
        self._framework = framework
        self._trainee = trainee
        self._masked: Optional[bool] = None
        self.gradients = "of train_step"
        self.sparse: List[
            int
        ] = []  # variables whose gradient names rows (of an embedding) and gives only those
        self._function: Callable = self._inside
        if framework.backend == "jax":
            self._function, self.gradients = self._outside, "none: JAX traces the step as a whole"
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
        loss = np.asarray(reported.get("loss") if loss is None else self._array(loss))
        loss = np.asarray(math.nan if loss.dtype == object else loss)
        forward = [self._array(leaf).reshape(-1) for leaf in seen.get("forward") or ()]
        return Stepped(
            loss=loss,
            forward=np.concatenate(forward) if forward else None,
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
            getattr(leaf, "_keras_mask", None) is not None for leaf in outputs
        )
        return {
            "logs": logs,
            "loss": seen.get("loss"),
            "forward": [_floating(leaf) for leaf in outputs],
            "gradients": [_dense(item) for item in seen.get("gradients") or ()],
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
    with contextlib.ExitStack() as undo:
        undo.enter_context(_replaced(model, "compute_loss", _loss_watcher(model.compute_loss, seen)))
        for optimizer in trainee.optimizers():
            name = "apply" if hasattr(type(optimizer), "apply") else "apply_gradients"
            watcher = _gradient_watcher(getattr(optimizer, name), trainee, seen, pairs=name != "apply")
            undo.enter_context(_replaced(optimizer, name, watcher))
        yield


def _loss_watcher(original: Callable, seen: Dict[str, object]) -> Callable:
    def compute_loss(*args: object, **kwargs: object) -> object:
        loss = original(*args, **kwargs)
        seen["loss"] = loss
        seen["forward"] = kwargs["y_pred"] if "y_pred" in kwargs else (*args, None, None, None)[2]
        return loss

    return compute_loss


def _gradient_watcher(
    original: Callable, trainee: Trainee, seen: Dict[str, object], *, pairs: bool
) -> Callable:
    def keep(gradients: list, variables: list) -> None:
        kept = seen.setdefault("gradients", [None] * len(trainee.variables))
        for gradient, variable in zip(gradients, variables):
            index = trainee.index(variable)
            if index is not None:
                kept[index] = gradient

    def apply(gradients: object, trainable_variables: object = None, **kwargs: object) -> object:
        gradients = list(gradients)
        variables = (
            trainable_variables if trainable_variables is not None else trainee.model.trainable_variables
        )
        keep(gradients, list(variables))
        return original(gradients, trainable_variables, **kwargs)

    def apply_gradients(grads_and_vars: object, *args: object, **kwargs: object) -> object:
        given = list(grads_and_vars)
        keep([gradient for gradient, _ in given], [variable for _, variable in given])
        return original(given, *args, **kwargs)

    return apply_gradients if pairs else apply


@contextlib.contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """An attribute of one instance, for a while; around the owner's own bookkeeping of attributes."""
    vars(owner)[name] = value
    try:
        yield
    finally:
        del vars(owner)[name]


def _dense(gradient: object) -> object:
    if gradient is None or not hasattr(gradient, "dense_shape"):
        return gradient
    import tensorflow

    return tensorflow.convert_to_tensor(gradient)


def _floating(leaf: object) -> object:
    return leaf.flat_values if hasattr(leaf, "flat_values") else leaf


def _reported(framework: Framework, logs: dict, prefix: str = "") -> Iterator[tuple]:
    for name, value in logs.items():
        if isinstance(value, dict):
            yield from _reported(framework, value, f"{prefix}{name}/")
        else:
            array = np.asarray(numpy_of(framework, value) if hasattr(value, "dtype") else value)
            if array.ndim == 0 and array.dtype.kind in "biuf":
                yield f"{prefix}{name}", numbers(array)


def numbers(value: object) -> Optional[float]:
    """A number for JSON; None where it is not finite."""
    number = float(np.asarray(value))
    return number if math.isfinite(number) else None
