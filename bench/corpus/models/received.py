"""Models whose edit is in what a layer is given, or in an attribute that no configuration has."""

from corpus_models.common import Edit, filled, keras, layers
from corpus_models.data import LENGTH, WORDS

WIDTH = 12


def _ids():
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    return ids, layers.Embedding(WORDS, WIDTH, mask_zero=True, name="words")(ids)


def attention(change=""):
    """Attention called otherwise."""
    edit = Edit(change)
    ids, x = _ids()
    heads = layers.MultiHeadAttention(2, 6, name="heads")
    x = heads(x, x, use_causal_mask=edit("call-not-causal", False, True))
    x = layers.Flatten(name="flat")(layers.LayerNormalization(name="norm")(x))
    return filled(keras.Model(ids, layers.Dense(3, name="top")(x)))


class Scale(layers.Layer):
    """Multiplies by a number that only an attribute has."""

    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        """Multiply."""
        return x * self.factor


def scaled(change=""):
    """An attribute of a layer of one's own."""
    x = inputs = keras.Input((24,), name="vector")
    x = layers.Dense(10, "tanh", name="first")(x)
    x = Scale(Edit(change)("own-factor", 0.501, 0.5), name="scale")(x)
    return filled(keras.Model(inputs, layers.Dense(3, name="top")(x)))


class Average(layers.Layer):
    """The mean of the steps that a mask keeps, or of all where none arrives."""

    def __init__(self, drops, **options):
        super().__init__(**options)
        self._drops = drops

    def __call__(self, x, **options):
        """Take the mask off before the framework sees it, if asked to."""
        if self._drops and hasattr(x, "_keras_mask"):
            x = x * 1.0
        return super().__call__(x, **options)

    def call(self, x, mask=None):
        """Average."""
        if mask is None:
            return keras.ops.mean(x, axis=1)
        kept = keras.ops.cast(keras.ops.expand_dims(mask, -1), x.dtype)
        return keras.ops.sum(x * kept, axis=1) / keras.ops.maximum(keras.ops.sum(kept, axis=1), 1.0)


class Reader(keras.Model):
    """Code of one's own between layers."""

    def __init__(self, change):
        super().__init__()
        edit = Edit(change)
        self.words = layers.Embedding(WORDS, WIDTH, mask_zero=True, name="words")
        self.average = Average(edit("mask-taken-off", True, False), name="average")
        self.bins = layers.Dense(5, name="bins")
        self.top = layers.Dense(3, name="top")
        self._rounds = edit("numbers-cut", True, False)

    def call(self, ids):
        """Read the words."""
        x = self.bins(self.average(self.words(ids)))
        if self._rounds:
            x = keras.ops.cast(keras.ops.cast(x, "int32"), "float32")
        return self.top(x)


def reader(change=""):
    """A subclassed model."""
    import numpy as np

    model = Reader(change)
    model(np.zeros((1, LENGTH), "int32"))
    return filled(model)
