"""Models that are edited under Keras 3.5.0, each in a known way, which they are named after."""

import keras
import numpy as np
import tensorflow as tf

layers = keras.layers
EDITED = keras.__version__ == "3.5.0"


def _filled(model):
    random = np.random.default_rng(7)

    def values(weight):
        if len(weight.shape) < 2:
            return 1 + 0.3 * random.random(weight.shape)
        return random.standard_normal(weight.shape) / np.sqrt(np.prod(weight.shape[:-1]))

    model.set_weights([values(weight).astype("float32") for weight in model.weights])
    return model


def transformer(epsilon=1e-5, approximate=False, scale=1.0, top=lambda x: x):
    inputs = x = keras.Input((16, 64), name="x")
    for _ in range(4):
        y = layers.LayerNormalization(epsilon=epsilon)(x)
        y = layers.Rescaling(scale)(layers.MultiHeadAttention(4, 16)(y, y))
        x = layers.Add()([x, y])
        y = layers.Dense(128)(layers.LayerNormalization(epsilon=epsilon)(x))
        y = layers.Activation(lambda z: keras.activations.gelu(z, approximate=approximate))(y)
        x = layers.Add()([x, layers.Dense(64)(y)])
    return _filled(keras.Model(inputs, top(layers.Dense(20)(x))))


def unchanged():
    return transformer()


def epsilon():
    return transformer(epsilon=1e-6 if EDITED else 1e-5)


def gelu():
    return transformer(approximate=EDITED)


def scale():
    return transformer(scale=1.001 if EDITED else 1.0)


class OnlyInHalf(layers.Layer):
    """Forgets to look back where it computes in half precision."""

    def call(self, values):
        half = self.compute_dtype != "float32"
        return tf.reverse(values, [1]) if EDITED and half else values


def only_in_half():
    return transformer(top=OnlyInHalf())


class Rounds(layers.Layer):
    """Rounds to half precision on the way, where it computes in float32."""

    def call(self, values):
        if EDITED and self.compute_dtype == "float32":
            values = tf.cast(tf.cast(values, "bfloat16"), values.dtype)
        return values


def coarser():
    return transformer(top=Rounds())


def one_sample():
    """Only samples above a threshold take the edited way."""

    class Clip(layers.Layer):
        def call(self, values):
            loud = tf.reduce_max(tf.abs(values), axis=[1, 2], keepdims=True) > 50.0
            factor = 1 + 1e-5 if EDITED else 1.0
            return tf.where(loud, values * tf.cast(factor, values.dtype), values)

    return transformer(top=Clip())


class Pinned(layers.Layer):
    def __init__(self, **options):
        super().__init__(**{**options, "dtype": "bfloat16"})
        self.dense = layers.Dense(3, dtype="bfloat16")

    def call(self, values):
        return self.dense(values)


def pinned():
    inputs = keras.Input((16, 64), name="x")
    return _filled(keras.Model(inputs, Pinned()(inputs)))


def weightless():
    inputs = keras.Input((16, 64), name="x")
    return keras.Model(inputs, layers.Softmax()(inputs))


def dropout():
    class AlwaysDropout(layers.Layer):
        def call(self, values):
            return tf.nn.dropout(values, 0.5, seed=2 if EDITED else 1)  # else both draw the same

    return transformer(top=AlwaysDropout())


def inputs():
    values = 0.2 * np.random.default_rng(1).standard_normal((200, 16, 64)).astype("float32")
    values[137] *= 200
    return {"x": values}
