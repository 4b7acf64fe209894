"""Compiled models with data, each with one planted change; they run inside the environment under test."""

import os
import time

import numpy as np
import tensorflow as tf
from tensorflow import keras

layers = keras.layers
ROWS = 24


def data(order="as recorded"):
    random = np.random.RandomState(5)
    x = random.normal(size=(ROWS, 6)).astype("float32")
    y = (x[:, 0] > 0).astype("int32") + (x[:, 1] > 0)
    if order == "reversed":
        return x[::-1].copy(), y[::-1].copy()
    if order == "other":
        return x + 1, y
    return x, y


@tf.custom_gradient
def _steeper(x):
    return tf.identity(x), lambda upstream: upstream * 1.01


class Steeper(layers.Layer):
    """The identity, with a gradient that is too large by a hundredth."""

    def call(self, inputs):
        return _steeper(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape


class Same(Steeper):
    def call(self, inputs):
        return tf.identity(inputs)


class Stepping(keras.Model):
    """A train_step of its own."""

    def train_step(self, batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss, "twice": 2 * loss}


def _half_right(y_true, y_pred):
    wanted = tf.cast(tf.reshape(y_true, [-1]), tf.int64)  # Keras 3 gives it a second axis, Keras 2 does not
    return tf.cast(tf.equal(tf.argmax(y_pred, -1), wanted), tf.float32) / 2


def _right(y_true, y_pred):
    return 2 * _half_right(y_true, y_pred)


def build(change="none", seed=1, rate=0.0):
    initialiser = keras.initializers.GlorotUniform(seed=seed)
    if change == "initialiser":
        initialiser = keras.initializers.HeNormal(seed=seed)
    x = keras.Input((6,), name="features")
    hidden = layers.Dense(64, "tanh", kernel_initializer=initialiser, name="hidden")(x)
    hidden = layers.BatchNormalization(epsilon=1e-5 if change == "norm" else 1e-3, name="norm")(hidden)
    hidden = (Steeper if change == "backward" else Same)(name="slope")(hidden)
    if rate:
        hidden = layers.Dropout(rate, name="random")(hidden)
    # the seed keeps a fresh layer from following the global state of each Keras
    top = layers.Dense(3, "softmax", kernel_initializer=keras.initializers.GlorotUniform(seed=7), name="top")(
        hidden
    )
    return (Stepping if change == "stepping" else keras.Model)(x, top)


def make(change="none", seed=1, rate=0.0):
    model = build(change, seed, rate)
    reduction = "sum" if change == "loss" else "sum_over_batch_size"
    metric = _half_right if change == "metric" else _right
    metric.__name__ = "right"
    model.compile(
        keras.optimizers.Adam(1e-2, epsilon=1e-3 if change == "optimiser" else 1e-7),
        keras.losses.SparseCategoricalCrossentropy(reduction=reduction),
        metrics=[metric],
        run_eagerly=change == "eager",
    )
    x, y = data({"order": "reversed", "data": "other"}.get(change, "as recorded"))
    return {"model": model, "x": x, "y": y}


def by_environment():
    """The change comes from the environment of the worker, as an installed package would bring it."""
    return make(os.environ.get("PLANTED", "none"))


def not_finite(only_where="everywhere"):
    """The loss is NaN from step 3 on."""
    made = make()
    model = made["model"]
    optimizer = model.optimizer
    broken = only_where in ("everywhere", os.environ.get("PLANTED"))

    def loss(y_true, y_pred):
        value = keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
        counted = tf.cast(model.optimizer.iterations, tf.int32)
        return tf.where(tf.logical_and(broken, counted >= 3), tf.constant(float("nan")), value)

    model.compile(optimizer, loss)
    return made


def not_in_legacy():
    made = make()
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    made["model"].compile(optimizer, "sparse_categorical_crossentropy")
    return made


def uncompiled():
    return {"model": build()}


def no_model():
    return {"model": "none", "x": 1}


def other_lengths():
    made = make()
    return {**made, "y": made["y"][:-1]}


def endless():
    """Only in the candidate: waiting for the limit costs time."""
    while keras.__version__ == "3.5.0":
        time.sleep(1)
    return make()


def used_up():
    x, y = data()
    return {"model": make()["model"], "batches": iter([(x[:8], y[:8])])}


def in_batches():
    x, y = data()
    return {
        "model": make()["model"],
        "batches": [(x[start : start + 8], y[start : start + 8]) for start in (0, 8, 16)],
    }


_KEPT = {}


def shared():
    """One model for two jobs: the second sees whether the first left it as it was."""
    if not _KEPT:
        made = make(rate=0.25)
        _KEPT.update(made, weights=made["model"].get_weights(), optimizer=made["model"].optimizer)
    else:
        model = _KEPT["model"]
        assert model.optimizer is _KEPT["optimizer"]
        assert model.get_layer("random").rate == 0.25
        for before, now in zip(_KEPT["weights"], model.get_weights(), strict=True):
            np.testing.assert_array_equal(before, now)
    return _KEPT["model"], _KEPT["x"], _KEPT["y"]


def embedding():
    """Repeated ids in a batch, with an optimizer that squares gradients."""
    ids = np.random.RandomState(3).randint(0, 5, (ROWS, 4))
    x = keras.Input((4,), dtype="int32", name="ids")
    states = layers.Embedding(
        5, 3, embeddings_initializer=keras.initializers.RandomUniform(seed=1), name="words"
    )(x)
    flat = layers.Flatten()(states)
    top = layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(seed=2), name="top")(flat)
    model = keras.Model(x, top)
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    return {"model": model, "x": ids.astype("int32"), "y": np.ones((ROWS, 2), "float32")}


def images():
    """A convolution with batch normalisation: fused under tf_keras, not under Keras 3."""
    x = keras.Input((6, 6, 2), name="image")
    convolved = layers.Conv2D(
        4, 3, use_bias=False, kernel_initializer=keras.initializers.GlorotUniform(seed=1), name="conv"
    )(x)
    normal = layers.BatchNormalization(name="norm")(convolved)
    flat = layers.Flatten()(layers.Activation("relu", name="relu")(normal))
    top = layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(seed=2), name="top")(flat)
    model = keras.Model(x, top)
    model.compile(keras.optimizers.SGD(1e-2), "mse")
    random = np.random.RandomState(4)
    return {
        "model": model,
        "x": random.normal(size=(ROWS, 6, 6, 2)).astype("float32"),
        "y": random.normal(size=(ROWS, 3)).astype("float32"),
    }


def fitted(path):
    """What `fit` itself leaves after three steps, for the comparison with recorded ones."""
    made = make()
    made["model"].fit(made["x"], made["y"], batch_size=8, epochs=1, shuffle=False, verbose=0)
    np.savez(path, *made["model"].get_weights())


if __name__ == "__main__":
    import sys

    fitted(sys.argv[1])
