"""Models of sequences: recurrent layers, embeddings, Keras' own attention."""

import tensorflow as tf
from corpus_models.common import Edit, filled, keras, layers

LENGTH, WORDS, WIDTH = 8, 40, 12


def words(name="ids", mask=True):
    """Padded ids and their embeddings."""
    ids = keras.Input((LENGTH,), dtype="int32", name=name)
    return ids, layers.Embedding(WORDS, WIDTH, mask_zero=mask, name=f"words_{name}")(ids)


def lstm(change="", gates="sigmoid"):
    """Two LSTMs over features."""
    edit = Edit(change)
    x = inputs = keras.Input((LENGTH, 6), name="series")
    gates = edit("hard-sigmoid", "hard_sigmoid", gates)
    backwards = edit("backwards", True, False)
    x = layers.LSTM(
        8, return_sequences=True, recurrent_activation=gates, go_backwards=backwards, name="reader"
    )(x)
    x = layers.LSTM(6, name="second")(x)
    return filled(keras.Model(inputs, layers.Dense(3, name="top")(x)))


def gru(change="", gates="sigmoid"):
    """A GRU over features."""
    edit = Edit(change)
    x = inputs = keras.Input((LENGTH, 6), name="series")
    x = layers.GRU(
        8, reset_after=edit("reset-before", False, True), recurrent_activation=gates, name="reader"
    )(x)
    return filled(keras.Model(inputs, layers.Dense(3, name="top")(x)))


def reader(change=""):
    """Masked embeddings, read in both directions."""
    edit = Edit(change)
    ids, x = words(mask=edit("no-mask", False, True))
    merge = edit("merge", "ave", "sum")
    x = layers.Bidirectional(layers.GRU(8, return_sequences=True), merge_mode=merge, name="both")(x)
    x = layers.Dense(6, "relu", name="each")(x)
    return filled(keras.Model(ids, layers.Dense(3, "softmax", name="top")(layers.LSTM(5, name="last")(x))))


def timed():
    """TimeDistributed over a mask: 3.5.0 cannot trace it when the last batch is smaller."""
    ids, x = words()
    x = layers.TimeDistributed(layers.Dense(6, "relu"), name="each")(x)
    return filled(keras.Model(ids, layers.Dense(3, name="top")(layers.LSTM(5, name="last")(x))))


def simple():
    """A simple recurrent layer over dropout, which does nothing here, and a dense layer for each step."""
    x = inputs = keras.Input((LENGTH, 6), name="series")
    x = layers.SpatialDropout1D(0.2, name="drop")(x)
    x = layers.SimpleRNN(8, return_sequences=True, name="reader")(x)
    x = layers.TimeDistributed(layers.Dense(6, "relu"), name="each")(x)
    return filled(keras.Model(inputs, layers.Dense(3, name="top")(x)))


def bag():
    """The mean of masked embeddings."""
    ids, x = words()
    return filled(
        keras.Model(ids, layers.Dense(4, name="top")(layers.GlobalAveragePooling1D(name="mean")(x)))
    )


def attention():
    """Keras' own attention layers over unmasked features."""
    x = inputs = keras.Input((LENGTH, 32), name="hidden")
    y = layers.LayerNormalization(epsilon=1e-5, name="norm")(x)
    y = layers.MultiHeadAttention(4, 8, name="heads")(y, y)
    x = layers.Add(name="sum")([x, y])
    x = layers.Attention(name="dot")([x, y])
    x = layers.AdditiveAttention(name="additive")([x, y])
    return filled(
        keras.Model(inputs, layers.Dense(3, name="top")(layers.GlobalAveragePooling1D(name="mean")(x)))
    )


def films():
    """A convolutional LSTM with its default activations."""
    x = inputs = keras.Input((3, 6, 6, 2), name="film")
    x = layers.ConvLSTM2D(4, 3, name="watcher")(x)
    return filled(keras.Model(inputs, layers.Dense(3, name="top")(layers.Flatten(name="flat")(x))))


class Mean(layers.Layer):
    """The mean over time of what the mask keeps, or of everything."""

    def __init__(self, masked=True, **options):
        super().__init__(**options)
        self.masked, self.supports_masking = masked, True

    def compute_mask(self, inputs, mask=None):
        """There is no time left to mask."""
        return

    def call(self, x, mask=None):
        """The mean."""
        if not self.masked or mask is None:
            return tf.reduce_mean(x, 1)
        kept = tf.cast(mask, x.dtype)[..., None]
        return tf.reduce_sum(x * kept, 1) / (tf.reduce_sum(kept, 1) + tf.cast(1e-3, x.dtype))


def mean(change=""):
    """A mean that forgets its mask."""
    ids, x = words()
    x = Mean(Edit(change)("unmasked-mean", False, True), name="mean")(x)
    return filled(keras.Model(ids, layers.Dense(4, name="top")(x)))


class Positions(layers.Layer):
    """Adds a number for each position, counted from 0 or from 1."""

    def __init__(self, first=0, **options):
        super().__init__(**options)
        self.first = first

    def call(self, x):
        """Add them."""
        places = tf.range(self.first, self.first + LENGTH)
        return x + tf.cast(tf.sin(tf.cast(places, tf.float32) / 3)[None, :, None], x.dtype)


def positions(change=""):
    """Positions that are counted from another number."""
    ids, x = words(mask=False)
    x = Positions(Edit(change)("off-by-one", 1, 0), name="positions")(x)
    x = layers.Conv1D(6, 3, activation="relu", name="conv")(x)
    return filled(keras.Model(ids, layers.Dense(4, name="top")(layers.Flatten(name="flat")(x))))
