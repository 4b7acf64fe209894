"""Builders and input functions for the worker's tests. They run inside the environment under test."""

import os
import sys
import time

import numpy as np
import tensorflow as tf
from tensorflow import keras

layers = keras.layers


def _model(inputs, outputs):
    return keras.Model(inputs, outputs)


def dense(policy=None, name="features", units=3):
    x = keras.Input((4,), name=name)
    kernel = keras.initializers.RandomUniform(-1, 1, seed=1)
    hidden = layers.Dense(units, kernel_initializer=kernel, name="hidden", dtype=policy)(x)
    return _model(x, layers.Dense(units, kernel_initializer=kernel, name="top", dtype=policy)(hidden))


def classifier():
    x = keras.Input((4,), name="features")
    model = _model(x, layers.Dense(3, "softmax", kernel_initializer="ones")(x))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def two_inputs():
    a, b = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    return _model([a, b], layers.Subtract()([a, b]))


def two_anonymous_inputs():
    a, b = keras.Input((2,)), keras.Input((2,))
    return _model([a, b], layers.Subtract()([a, b]))


def dict_inputs():
    inputs = {"b": keras.Input((2,), name="first"), "a": keras.Input((2,), name="second")}
    return _model(inputs, layers.Subtract()([inputs["b"], inputs["a"]]))


def fixed_batch():
    x = keras.Input(batch_shape=(4, 4))
    return _model(x, layers.Dense(2)(x))


def list_outputs():
    x = keras.Input((4,), name="features")
    model = _model(x, [layers.Dense(2, name="one")(x), layers.Dense(3, name="two")(x)])
    model.compile("sgd", ["mse", "mae"])
    return model


def dict_outputs():
    x = keras.Input((4,), name="features")
    model = _model(x, {"two": layers.Dense(2, name="two")(x), "one": layers.Dense(3, name="one")(x)})
    model.compile("sgd", {"one": "mse", "two": "mae"})
    return model


def list_of_one():
    x = keras.Input((4,), name="features")
    return _model([x], [layers.Dense(2)(x)])


def shares_policy_with_later_jobs():
    keras.mixed_precision.set_global_policy("bfloat16")
    return dense()


def text_lengths():
    x = keras.Input((1,), dtype="string", name="text")
    lookup = layers.StringLookup(vocabulary=["red", "green", "blue"], name="lookup")
    return _model(x, layers.Embedding(5, 2, embeddings_initializer="ones")(lookup(x)))


def sequential():
    return keras.Sequential([layers.Dense(2, kernel_initializer="ones")])


def weighted():
    model = dense()
    model.compile("sgd", "mse")
    return model


class Subclassed(keras.Model):
    """Applies a function, so that outputs can have any structure."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def subclassed(what):
    return Subclassed(FUNCTIONS[what])


def _changing(x):
    return x[:, : tf.cast(tf.reduce_max(x), tf.int32)]


def _raising(x):
    raise RuntimeError("this model is broken on purpose")


def _exiting(x):
    sys.exit(3)


def _printing(x):
    sys.stdout.write("noise " * 200_000)
    return x


def _recursing(x):
    return _recursing(x)


FUNCTIONS = {
    "nested": lambda x: {"scores": x, "parts": [x * 2, (x * 3, x * 4)]},
    "dict input": lambda x: x["left"] - x["right"],
    "list input": lambda x: x[0] - x[1],
    "integers": lambda x: tf.cast(x, tf.int16),
    "booleans": lambda x: x > 1,
    "strings": tf.strings.as_string,
    "half": lambda x: {
        "bf16": tf.cast(x, tf.bfloat16),
        "f8": tf.cast(x, tf.dtypes.experimental.float8_e4m3fn),
    },
    "complex": lambda x: tf.complex(x, -x),
    "ragged": lambda x: tf.RaggedTensor.from_tensor(x, lengths=tf.cast(x[:, 0], tf.int64)),
    "ragged strings": lambda x: tf.strings.split(tf.reshape(x, [-1])),
    "twice ragged": lambda x: tf.strings.bytes_split(tf.strings.split(tf.reshape(x, [-1]))),
    "sparse": tf.sparse.from_dense,
    "scalar": lambda x: {"mean": tf.reduce_mean(x), "rows": x},
    "batch statistics": lambda x: tf.reduce_sum(x, axis=0),
    "none": lambda x: {"there": x, "absent": None},
    "nothing": lambda x: {"absent": None},
    "nan": lambda x: tf.math.log(x - 2),
    "random": lambda x: x + tf.random.uniform(tf.shape(x)),
    "changing": _changing,
    "raising": _raising,
    "exiting": _exiting,
    "printing": _printing,
    "recursing": _recursing,
}


def own_predict():
    model = dense()
    model.predict = lambda *arguments, **more: None
    return model


def exiting_builder():
    sys.exit("no licence found")


def interrupting_builder():
    raise KeyboardInterrupt


def dying_builder():
    os._exit(7)


def hanging_builder():
    time.sleep(600)


def no_model():
    return {"not": "a model"}


def other_keras():
    """A model of the other Keras, where both are installed."""
    import keras as plain

    return plain.Sequential([plain.layers.Dense(1)])


def inputs():
    return {"features": np.arange(20, dtype=np.float32).reshape(5, 4)}


def input_list():
    return [1, 2, 3]


def input_objects():
    return {"features": np.array([{"a": 1}, None], dtype=object)}


def raising_inputs():
    raise KeyError("no such table")
