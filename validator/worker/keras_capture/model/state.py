"""What a model keeps from one batch to the next: found by a first pass, and put back before every other."""

from __future__ import annotations

import contextlib
from typing import List, Tuple

import numpy as np

from keras_capture.model.imports import Framework, layers_of
from keras_capture.model.perturbing import lasting, numpy_of
from keras_capture.numbers import is_same


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


class State:
    """The state of recurrent layers, and variables of any layer that a prediction writes to.

    Made when the model is loaded. Random generators are no state: what they draw is meant to differ.
    """

    def __init__(self, framework: Framework, model: object) -> None:
        self._framework = framework
        # The first is the model, which is as stateful as its layers in Keras 2.
        layers = layers_of(model)[1:]
        self._recurrent = [layer for layer in layers if is_stateful(layer)]
        states = {id(item) for layer in self._recurrent for item in _own_variables(layer)}
        self._before: List[Tuple[object, object, np.ndarray]] = [
            (layer, variable, lasting(framework, variable))
            for layer in layers
            for variable in _own_variables(layer)
            if id(variable) not in states
        ]
        self._written: List[Tuple[object, object, np.ndarray]] = []

    def settle(self) -> List[str]:
        """After the first pass: which variables it wrote to. Gives the layers that keep a state."""
        self._written = [each for each in self._before if self._moved(*each[1:])]
        self._before = []
        layers = [*self._recurrent, *(layer for layer, _, _ in self._written)]
        return list(dict.fromkeys(str(layer.name) for layer in layers))

    def reset(self) -> None:
        """Back to the state of a model that was just loaded."""
        for layer in self._recurrent:
            empty(layer)
        for _, variable, value in self._written:
            variable.assign(value)

    def _moved(self, variable: object, before: np.ndarray) -> bool:
        return not is_same(numpy_of(self._framework, variable), before)


def _own_variables(layer: object) -> List[object]:
    """A layer's own variables that are made to be written to by itself, not by an optimizer.

    Private, in Keras 3.3.3 to 3.15.1 and in 2.15 and tf_keras 2.17: `non_trainable_weights` has all weights
    of a frozen layer.
    """
    for name in ("_non_trainable_variables", "_non_trainable_weights"):
        if hasattr(layer, name):
            return list(getattr(layer, name))
    return []
