"""Models whose layers are hard to record, or to call alone. They run inside the environment under test."""

import os

import numpy as np
import tensorflow as tf

if os.environ.get("TF_USE_LEGACY_KERAS"):
    import tf_keras as keras
else:
    import keras

layers = keras.layers
WORDS, WIDTH = 40, 8


def _seeded(function):
    keras.utils.set_random_seed(7)
    return function()


def _ids(length=None):
    return keras.Input((length,), dtype="int32", name="ids")


def shared():
    """One layer called twice, and once more inside a nested model."""

    def build():
        x = keras.Input((4,), name="features")
        dense = layers.Dense(4, "tanh", name="twice")
        inner = keras.Sequential(
            [keras.Input((4,)), layers.Dense(3), layers.Activation("gelu")], name="nested"
        )
        return keras.Model(x, inner(dense(dense(x))))

    return _seeded(build)


def wrapped():
    """Bidirectional and TimeDistributed behind a masked embedding."""

    def build():
        ids = _ids(6)
        x = layers.Embedding(WORDS, WIDTH, mask_zero=True, name="words")(ids)
        x = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="both")(x)
        return keras.Model(ids, layers.TimeDistributed(layers.Dense(3), name="each")(x))

    return _seeded(build)


def attention():
    """Multi-head attention with a mask, and its residual."""

    def build():
        ids = _ids(6)
        x = layers.Embedding(WORDS, WIDTH, mask_zero=True, name="words")(ids)
        y = layers.MultiHeadAttention(2, 4, name="heads")(x, x)
        return keras.Model(ids, layers.Dense(3, name="top")(layers.Add(name="residual")([x, y])))

    return _seeded(build)


class Split(layers.Layer):
    """Gives a dict, and takes arguments that are no tensors."""

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = layers.Dense(4, name="dense")

    def build(self, shape):
        self.dense.build(shape)
        self.built = True

    def call(self, inputs, factor=1.0, mode="sum", table=None, fill=float("-inf")):
        low = self.dense(inputs) * factor
        return {"low": low, "parts": [low + 1.0, {"high": low * 2.0}]}


class Subclassed(keras.Model):
    """Layers under attributes, arguments of all kinds, and code of its own between them."""

    def __init__(self):
        super().__init__()
        self.split = Split(name="split")
        self.top = layers.Dense(2, name="top")

    def call(self, inputs, training=None):
        found = self.split(inputs, factor=2.0, mode="mean", table={"a": (1, None)})
        return self.top(tf.concat([found["low"], found["parts"][1]["high"]], -1) ** 2)


def subclassed():
    def build():
        model = Subclassed()
        model(np.ones((1, 4), np.float32))
        return model

    return _seeded(build)


class Opaque(layers.Layer):
    """Takes an object that nobody can write down."""

    def call(self, inputs, helper=None):
        return helper.double(inputs)


class Helper:
    """Not a tensor and not JSON."""

    @staticmethod
    def double(x):
        return x * 2


class WithHelper(keras.Model):
    """Hands an object to a layer."""

    def __init__(self):
        super().__init__()
        self.opaque = Opaque(name="opaque")

    def call(self, inputs):
        return self.opaque(inputs, helper=Helper())


def opaque():
    model = WithHelper()
    model(np.ones((1, 4), np.float32))
    return model


class Rows(keras.Model):
    """Ragged rows and strings between layers."""

    def __init__(self):
        super().__init__()
        self.cut = Cut(name="cut", dtype="string")
        self.join = Join(name="join", dtype="string")

    def call(self, inputs):
        return self.join(self.cut(inputs))


class Cut(layers.Layer):
    """Words of strings: a ragged tensor."""

    def call(self, inputs):
        return tf.strings.split(tf.reshape(inputs, [-1]))


class Join(layers.Layer):
    """Lengths of the words of each string, summed."""

    def call(self, inputs):
        lengths = tf.cast(tf.strings.length(inputs), tf.float32)
        return tf.reduce_sum(lengths, axis=1)[:, None]


def rows():
    return Rows()


class Holes(layers.Layer):
    """NaN at every padded position."""

    def __init__(self, **options):
        super().__init__(**options)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        return tf.where(mask[..., None], inputs, np.nan)


def holes():
    def build():
        ids = _ids(6)
        x = layers.Embedding(WORDS, WIDTH, mask_zero=True, name="words")(ids)
        return keras.Model(ids, layers.Dense(3, name="top")(Holes(name="holes")(x)))

    return _seeded(build)


class Looking(keras.Model):
    """Looks at values in Python, so that it cannot be traced."""

    def __init__(self):
        super().__init__()
        self.one = layers.Dense(3, name="one")

    def call(self, inputs):
        return self.one(inputs) * float(np.asarray(inputs).shape[1])


def untraceable():
    def build():
        model = Looking()
        model(np.ones((1, 4), np.float32))
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    return _seeded(build)


def long(count=500):
    def build():
        x = inputs = keras.Input((4,), name="features")
        for _ in range(count):
            x = layers.Dense(4)(x)
        return keras.Model(inputs, x)

    return _seeded(build)


class Wide(layers.Layer):
    """Grows to `mebibytes` for each sample."""

    def __init__(self, mebibytes, **options):
        super().__init__(**options)
        self.mebibytes = mebibytes

    def call(self, inputs):
        return tf.tile(inputs[:, :1, None], [1, 1024, 256 * self.mebibytes])


class Narrow(layers.Layer):
    """The largest of each sample."""

    def call(self, inputs):
        return tf.reduce_max(inputs, axis=[1, 2])[:, None]


class Big(keras.Model):
    """One activation that is larger than any budget."""

    def __init__(self, mebibytes):
        super().__init__()
        self.wide = Wide(mebibytes, name="wide")
        self.narrow = Narrow(name="narrow")

    def call(self, inputs):
        return self.narrow(self.wide(inputs))


def big(mebibytes=8):
    return Big(mebibytes)


def stateful():
    def build():
        options = {"batch_size": 4} if keras.__version__.startswith("2.") else {"batch_shape": (4, 5, 4)}
        x = keras.Input((5, 4), **options) if "batch_size" in options else keras.Input(**options)
        return keras.Model(x, layers.LSTM(3, stateful=True, name="memory")(x))

    return _seeded(build)


def half():
    """Mixed precision, with a dict output."""

    def build():
        x = keras.Input((4,), name="features")
        y = layers.Dense(6, "relu", dtype="mixed_bfloat16", name="half")(x)
        return keras.Model(x, {"a": layers.Dense(2, dtype="float32", name="full")(y), "b": y})

    return _seeded(build)
