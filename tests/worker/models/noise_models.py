"""Builders for the tests of the noise floor and of references. They run inside the environment under test."""

import sys

import numpy as np
import tensorflow as tf
from tensorflow import keras

if "tf_keras" in sys.modules:
    import tf_keras as keras  # tf.keras is a lazy name for it

layers = keras.layers


def _filled(model, seed=5):
    random = np.random.default_rng(seed)
    model.set_weights([random.standard_normal(weight.shape).astype("float32") for weight in model.weights])
    return model


def dense(policy=None):
    x = keras.Input((4,), name="features")
    hidden = layers.Dense(16, activation="tanh", dtype=policy)(x)
    return _filled(keras.Model(x, layers.Dense(3, use_bias=False, dtype=policy)(hidden)))


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


def embedded_ids():
    """Ids arrive as floats, as they do from a recording of one array; -1 says that there is none."""
    x = keras.Input((3,), name="ids")
    ids = layers.Lambda(lambda values: tf.cast(tf.maximum(values, 0), "int32"), output_shape=(3,))(x)
    mask = layers.Lambda(lambda values: tf.cast(values[..., None] != -1, "float32"), output_shape=(3, 1))(x)
    vectors = layers.Multiply()([layers.Embedding(300, 8)(ids), mask])
    return _filled(keras.Model(x, layers.Dense(2)(layers.Flatten()(vectors))))


def _layer(function, shape=None):
    """A layer around a function; `shape` of an output sample, where it is another than the input's."""

    class Around(layers.Layer):
        def call(self, values):
            return function(values)

        def compute_output_shape(self, shape_of_input):
            return shape_of_input if shape is None else (shape_of_input[0], *shape)

    return Around()


def lookup():
    """Ids in floats choose rows of a table and are compared with an id."""
    table = tf.constant(np.random.default_rng(0).standard_normal((300, 3)).astype("float32"))

    def looked_up(ids):
        found = tf.gather(table, tf.cast(tf.maximum(ids, 0), "int32"))
        return found * tf.cast(ids == 7, "float32")[..., None]

    x = keras.Input((3,), name="ids")
    return keras.Model(x, _layer(looked_up, (3, 3))(x))


def masked():
    """A huge term swallows what it is added to."""
    x = keras.Input((4,), name="features")
    scores = layers.Dense(4)(x)
    return _filled(keras.Model(x, _layer(lambda s: s + tf.cast(s > 0, s.dtype) * -3e9)(scores)))


def masked_rows():
    """Scores of which whole rows are the lowest float, as attention has it for padding."""
    x = keras.Input((4,), name="features")
    scores = layers.Dense(4)(x)
    lowest = np.float32(np.finfo("float32").min / 2)
    chosen = _layer(lambda s: tf.nn.softmax(tf.where(s[:, :1] > 0, s, tf.constant(lowest))))
    return _filled(keras.Model(x, chosen(scores)))


def recurrent():
    x = keras.Input((12,), dtype="int32", name="tokens")
    hidden = layers.LSTM(6)(layers.Embedding(300, 8, mask_zero=True)(x))
    return _filled(keras.Model(x, layers.Dense(3)(hidden)))


def stateful():
    x = keras.Input(batch_shape=(4, 4, 1), name="steps")
    return _filled(keras.Model(x, layers.LSTM(3, stateful=True)(x)))


def image():
    x = keras.Input((8, 8, 2), name="image")
    hidden = layers.BatchNormalization()(layers.Conv2D(4, 3)(x))
    model = keras.Model(x, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(hidden)))
    _filled(model)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, beta, mean, np.abs(variance) + np.float32(0.3)])
    return model


def text():
    x = keras.Input((1,), dtype="string", name="text")
    words = layers.TextVectorization(output_sequence_length=4, vocabulary=["red", "blue", "green"])(x)
    hidden = layers.GlobalAveragePooling1D()(layers.Embedding(5, 6)(words))
    return _filled(keras.Model(x, layers.Dense(3)(hidden)))


def edited(epsilon=1e-3, approximate=False):
    """A model in bfloat16 whose numbers an edit moves by less than its rounding does."""
    x = keras.Input((4,), name="features")
    hidden = layers.LayerNormalization(epsilon=epsilon, dtype="bfloat16")(x)
    hidden = _layer(lambda values: tf.nn.gelu(values, approximate=approximate))(
        layers.Dense(8, dtype="bfloat16")(hidden)
    )
    return _filled(keras.Model(x, layers.Dense(3, dtype="bfloat16")(hidden)))


def mapped():
    """A loop whose turns run side by side, a branch, and an inner function."""
    weights = tf.constant(np.random.default_rng(1).standard_normal((4, 4)).astype("float32"))
    inner = tf.function(lambda row: tf.linalg.matvec(weights, tf.tanh(row)))

    def each(row):
        return tf.cond(row[0] > 0, lambda: inner(row), lambda: tf.sin(row) * 3.0)

    x = keras.Input((4,), name="features")
    return _filled(keras.Model(x, layers.Dense(3)(_layer(lambda values: tf.map_fn(each, values))(x))))


def eager(other):
    """Runs eagerly. Traced it raises, or (`other`) it is another function."""

    ran = []

    def run(values):
        if tf.executing_eagerly():
            ran.append(True)
            return tf.tanh(values)
        if other or not ran:  # Keras may call it once to build the model
            return values * 1.1
        raise NotImplementedError("this cannot be traced")

    x = keras.Input((4,), name="features")
    model = _filled(keras.Model(x, layers.Dense(3)(_layer(run)(x))))
    model.compile(loss="mse", run_eagerly=True)
    return model


def told(log):
    """Appends to a file with how many samples it is traced."""

    def run(values):
        with open(log, "a") as file:
            file.write(f"{values.shape[0]}\n")
        return tf.tanh(values)

    x = keras.Input((4,), name="features")
    return _filled(keras.Model(x, layers.Dense(3)(_layer(run)(x))))


def sized():
    """Cannot be traced for any number of samples."""
    x = keras.Input((4,), name="features")
    rows = _layer(lambda values: tf.stack([tf.tanh(values[row]) for row in range(values.shape[0])]))(x)
    return _filled(keras.Model(x, layers.Dense(3)(rows)))


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
