"""Models with a known difference between two environments. They run inside the environment under test."""

import os

import numpy as np

if os.environ.get("TF_USE_LEGACY_KERAS"):
    import tf_keras as keras
else:
    import keras

layers = keras.layers
WORDS, WIDTH, LENGTH = 40, 8, 6


def _seeded(build):
    keras.utils.set_random_seed(3)
    model = build()
    generator = np.random.default_rng(5)
    # The same weights everywhere, whatever an environment draws.
    model.set_weights([_drawn(generator, weight) for weight in model.get_weights()])
    return model


def _drawn(generator, weight):
    values = generator.normal(size=weight.shape, scale=0.4)
    return np.abs(values).astype(weight.dtype) + (0.5 if weight.ndim == 1 else 0.0)


def _words():
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    return ids, layers.Embedding(WORDS, WIDTH, mask_zero=True, name="words")(ids)


def residual():
    """K07: 3.0 to 3.3.3 lose the mask at the Add; the LSTM behind it is what computes otherwise."""

    def build():
        ids, x = _words()
        y = layers.Dense(WIDTH, "tanh", name="mix")(x)
        x = layers.Add(name="residual")([x, y])
        return keras.Model(ids, layers.Dense(3, name="top")(layers.LSTM(5, name="reader")(x)))

    return _seeded(build)


def unread_mask():
    """The same loss of a mask, where no layer reads it: nothing in the numbers shows it."""

    def build():
        ids, x = _words()
        x = layers.Add(name="residual")([x, layers.Dense(WIDTH, name="mix")(x)])
        return keras.Model(ids, layers.Dense(3, name="top")(x))

    return _seeded(build)


def heads():
    """K57: since 3.8.0 attention takes the mask off the tensor that the residual uses as well."""

    def build():
        ids, x = _words()
        y = layers.MultiHeadAttention(2, 4, name="heads")(x, x)
        x = layers.Add(name="residual")([x, y])
        return keras.Model(ids, layers.Dense(3, name="top")(x))

    return _seeded(build)


def sigmoid():
    """K02: hard_sigmoid is another function in Keras 3; the second LSTM and the head only inherit."""

    def build():
        x = inputs = keras.Input((LENGTH, 4), name="features")
        x = layers.Bidirectional(
            layers.LSTM(5, recurrent_activation="hard_sigmoid", return_sequences=True), name="both"
        )(x)
        x = layers.LSTM(4, name="second")(x)
        return keras.Model(inputs, layers.Dense(3, name="top")(x))

    return _seeded(build)


def _steps(ids):
    return keras.ops.greater(ids, 3)


class Gate(layers.Layer):
    """Keeps what a boolean mask allows; anything else it adds, as third-party attention does."""

    def call(self, hidden, allowed):
        if keras.backend.standardize_dtype(allowed.dtype) == "bool":
            return keras.ops.where(keras.ops.expand_dims(allowed, -1), hidden, keras.ops.zeros_like(hidden))
        return hidden + keras.ops.cast(keras.ops.expand_dims(allowed, -1), hidden.dtype)


def cast():
    """K37: 3.5.0 to 3.9.2 cast the boolean argument, since the layer that makes it is declared float32."""

    def build():
        ids = keras.Input((LENGTH,), dtype="int32", name="ids")
        x = layers.Embedding(WORDS, WIDTH, dtype="bfloat16", name="words")(ids)
        allowed = layers.Lambda(_steps, output_shape=lambda shape: shape, dtype="float32", name="allowed")(
            ids
        )
        x = layers.Dense(WIDTH, dtype="bfloat16", name="mix")(x)
        x = Gate(dtype="bfloat16", name="gate")(x, allowed)
        return keras.Model(ids, layers.Dense(3, dtype="bfloat16", name="top")(x))

    return _seeded(build)


def normal(epsilon=1e-3, extra=False, axis=-1, order="ab"):
    """Deliberate edits: another epsilon, one operation more, an auto-named layer more."""

    def build():
        x = inputs = keras.Input((LENGTH, 4), name="features")
        x = layers.Dense(6, "gelu")(x)
        x = layers.LayerNormalization(epsilon=epsilon, axis=axis)(x)
        x = layers.Dense(6)(x)
        if extra:
            x = layers.ReLU()(x)
        x = layers.Dense(5)(x)
        return keras.Model(inputs, layers.GlobalAveragePooling1D()(x))

    return _seeded(build)


def benign():
    """Convolutions, batch normalisation, pooling, softmax: the same everywhere but for rounding."""

    def build():
        x = inputs = keras.Input((8, 8, 1), name="image")
        x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D()(layers.SeparableConv2D(8, 3)(x))
        x = layers.Dropout(0.5)(layers.Flatten()(x))
        x = layers.Activation("gelu")(layers.Dense(7)(x))
        return keras.Model(inputs, layers.Dense(4, "softmax")(layers.LeakyReLU()(x)))

    return _seeded(build)


def masked():
    """Masks through layers that have always kept them."""

    def build():
        ids, x = _words()
        x = layers.SpatialDropout1D(0.1)(x)
        x = layers.Bidirectional(layers.GRU(4, return_sequences=True))(x)
        x = layers.TimeDistributed(layers.Dense(5, "relu"))(x)
        return keras.Model(ids, layers.Dense(3, "softmax")(layers.LSTM(4)(x)))

    return _seeded(build)


class OwnCode(keras.Model):
    """Layers that agree, and between them a number that does not."""

    def __init__(self, factor):
        super().__init__()
        self.first = layers.Dense(5, name="first")
        self.factor = factor

    def call(self, inputs):
        return self.first(inputs) * self.factor


def own_code(factor=1.0):
    def build():
        model = OwnCode(factor)
        model(np.ones((1, LENGTH, 4), np.float32))
        return model

    return _seeded(build)
