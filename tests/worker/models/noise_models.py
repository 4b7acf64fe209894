"""Builders for the tests of the noise floor and of references. They run inside the environment under test."""

import sys

import numpy as np
import tensorflow as tf
from tensorflow import keras

if "tf_keras" in sys.modules:
    import tf_keras as keras  # tf.keras is a lazy name for it

layers = keras.layers
_KEPT = {}


def _filled(model, seed=5):
    random = np.random.default_rng(seed)
    model.set_weights([random.standard_normal(weight.shape).astype("float32") for weight in model.weights])
    return model


def dense(policy=None):
    x = keras.Input((4,), name="features")
    hidden = layers.Dense(16, activation="tanh", dtype=policy)(x)
    return _filled(keras.Model(x, layers.Dense(3, use_bias=False, dtype=policy)(hidden)))


def kept():
    """The same model object for every job."""
    if "model" not in _KEPT:
        _KEPT["model"] = dense()
    return _KEPT["model"]


def linear():
    x = keras.Input((4,), name="features")
    return _filled(keras.Model(x, layers.Dense(3, use_bias=False)(x)))


def weightless():
    x = keras.Input((4,), name="features")
    return keras.Model(x, layers.Softmax()(x))


def classes():
    x = keras.Input((4,), name="features")
    scores = layers.Dense(3)(x)

    class ArgMax(layers.Layer):
        def call(self, values):
            return tf.argmax(values, -1)

    return keras.Model(x, ArgMax(dtype="int64")(scores))


def extreme():
    x = keras.Input((4,), name="features")
    model = keras.Model(x, layers.Dense(2, use_bias=False)(x))
    kernel = np.zeros((4, 2), "float32")
    kernel[0, 0], kernel[1, 0] = np.finfo("float32").max, -np.finfo("float32").max
    kernel[2, 1] = 0.1
    model.set_weights([kernel])
    return model


def embedded_ids():
    """Ids arrive as floats, as they do from a recording of one array; -1 says that there is none."""
    x = keras.Input((3,), name="ids")
    ids = layers.Lambda(lambda values: tf.cast(tf.maximum(values, 0), "int32"), output_shape=(3,))(x)
    mask = layers.Lambda(lambda values: tf.cast(values[..., None] != -1, "float32"), output_shape=(3, 1))(x)
    vectors = layers.Multiply()([layers.Embedding(300, 8)(ids), mask])
    return _filled(keras.Model(x, layers.Dense(2)(layers.Flatten()(vectors))))


def centred():
    """Its outputs depend on who else is in the batch."""

    class Centre(layers.Layer):
        def call(self, values):
            return values - tf.reduce_mean(values, axis=0, keepdims=True)

    x = keras.Input((4,), name="features")
    return _filled(keras.Model(x, Centre()(layers.Dense(3)(x))))


def random():
    class AlwaysDropout(layers.Layer):
        def call(self, values):
            return tf.nn.dropout(values, 0.5)

    x = keras.Input((4,), name="features")
    return _filled(keras.Model(x, AlwaysDropout()(layers.Dense(3)(x))))


def two_outputs():
    x = keras.Input((4,), name="features")
    total = layers.Lambda(tf.reduce_sum, output_shape=())(x)
    return _filled(
        keras.Model(x, {"dense": layers.Dense(3)(x), "total": total, "same": layers.Rescaling(2.0)(x)})
    )


def export(folder):
    """Two SavedModels: one with variables, one with constants alone."""

    class Net(tf.Module):
        def __init__(self, weight):
            super().__init__()
            self.weight = weight

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="features")])
        def serve(self, features):
            return {"output": tf.tanh(features @ self.weight)}

    weight = np.random.default_rng(3).standard_normal((4, 3)).astype("float32")
    for name, held in (("variables", tf.Variable(weight)), ("frozen", tf.constant(weight))):
        net = Net(held)
        tf.saved_model.save(net, f"{folder}/{name}", signatures={"serving_default": net.serve})


if __name__ == "__main__":
    export(sys.argv[1])
