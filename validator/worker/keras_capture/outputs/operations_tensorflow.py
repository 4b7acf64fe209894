"""The operations of a model on TensorFlow: traced once for batches of any size, with rounding put in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from keras_capture.model.perturbing import floating_weights, perturbed
from keras_capture.outputs.float64_tensorflow import Widened
from keras_capture.outputs.operations import Call, Operations
from keras_capture.outputs.predicting import of_any_size
from keras_capture.outputs.rounding_tensorflow import Rounding


class TensorflowOperations(Operations):
    """As `Operations`, by op callbacks and by rewriting the graph."""

    def __init__(self, framework: object, model: object) -> None:
        super().__init__(framework, model)
        variables = (getattr(weight, "value", weight) for weight in floating_weights(model))
        self._rounding = Rounding([weight for weight in variables if hasattr(weight, "handle")])
        self._function = self._traced(self._rounded)
        self._sized = self._is_traced = False

    def sized(self) -> bool:
        """As `Operations`."""
        was, self._sized = self._sized, True
        self._function = self._traced(self._rounded)
        return not was

    def _call(self, batch: object) -> object:
        if not (self._sized or self._is_traced):  # calls take this trace where it fits
            self._is_traced = True
            self._function.get_concrete_function(tf.nest.map_structure(of_any_size, batch))
        return self._function(batch)

    def _traced(self, function: Call) -> object:
        """Keras 2 converts the model's code by AutoGraph when it predicts, Keras 3 does not."""
        return tf.function(function, autograph=self.framework.is_keras_2)

    def _predicted(self, batch: object) -> object:
        return self.model.predict_step((batch,))

    def _rounded(self, batch: object) -> object:
        with self._rounding.tracing():
            return self._predicted(batch)

    @contextlib.contextmanager
    def member(self, number: int) -> Iterator[Call]:
        """As `Operations`: by draws of this number, and weights in their variables."""
        calls = 0

        def call(batch: object) -> object:
            nonlocal calls
            self._rounding.draw(number, calls)
            calls += 1
            return self._call(batch)

        with _as_graphs(), perturbed(self.framework, self.model, number):
            try:
                yield call
            finally:
                self._rounding.rest()

    @contextlib.contextmanager
    def unmoved(self) -> Iterator[Call]:
        """As `Operations`: the same traces, with a unit of zero."""
        with _as_graphs():
            self._rounding.rest()
            yield self._call

    @contextlib.contextmanager
    def float64(self) -> Iterator[Call]:
        """As `Operations`."""
        with _as_graphs():
            yield Widened(self._predicted, self._traced)


@contextlib.contextmanager
def _as_graphs() -> Iterator[None]:
    """Functions are traced, also where the user's code asked for eager ones."""
    eagerly = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(False)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(eagerly)
