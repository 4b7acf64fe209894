"""Models trained by plain descent, on any backend of Keras 3: a step's weights tell its gradients."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

RATE = 0.5


class Twice(keras.layers.Layer):
    """A cell of the user's own: it runs inside of the loop of its RNN."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.inner = layers.Dense(units, "tanh", name="inner")

    def build(self, input_shape):
        self.inner.build((input_shape[0], input_shape[-1] + self.units))
        self.built = True

    def call(self, inputs, states):
        """The state and the inputs, through a layer."""
        state = self.inner(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return state, [state]


class Lost(keras.layers.Layer):
    """A gradient that is not finite, of a finite value."""

    def call(self, inputs):
        """A quotient, and 0 where it divides by 0."""
        present = keras.ops.cast(inputs > 0, inputs.dtype)
        return keras.ops.where(present > 0, inputs / present, keras.ops.zeros_like(inputs))


def _compiled(inputs, outputs):
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(RATE), keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"]
    )
    random = np.random.RandomState(4)
    ids = random.randint(1, 20, (16, 7))
    ids[:, 5:] = 0
    return {"model": model, "x": ids.astype(np.int32), "y": random.randint(0, 3, 16)}


def _words():
    ids = keras.Input((7,), dtype="int32", name="ids")
    return ids, layers.Embedding(20, 6, mask_zero=True, name="words")(ids)


def _head():
    return layers.Dense(3, "softmax", name="top")


def masked():
    """A mask, a loop, a model in the model, a statistic, and losses that layers add."""
    ids, x = _words()
    x = layers.LSTM(8, name="reader")(x)
    vector = keras.Input((8,))
    squeeze = layers.Dense(5, "tanh", kernel_regularizer=keras.regularizers.L2(0.1), name="squeeze")(vector)
    x = keras.Model(vector, squeeze, name="nested")(x)
    x = layers.ActivityRegularization(0.01, name="activity")(x)
    return _compiled(ids, _head()(layers.BatchNormalization(name="norm")(x)))


def looping():
    """A cell with a layer in it."""
    ids, x = _words()
    return _compiled(ids, _head()(layers.RNN(Twice(8), name="reader")(x)))


def lost():
    """One layer whose gradient is NaN."""
    ids, x = _words()
    x = layers.Dense(6, name="mix")(layers.Flatten(name="flat")(x))
    return _compiled(ids, _head()(Lost(name="root")(x)))


def built():
    """What a job has to have beside its training."""
    return masked()["model"]
