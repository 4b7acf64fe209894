"""Models in which something loud stands beside a quiet edit, or rounding alone flips what looks exact.

Each is built plain or edited; under Keras 3.5.0 the edited one differs in the way it is named after, and the
plain one adds in another order at most.
"""

import keras
import numpy as np
import tensorflow as tf

layers, ops = keras.layers, keras.ops
CANDIDATE = keras.__version__ == "3.5.0"


def values(*shape, seed=0):
    return (0.3 * np.random.default_rng(seed).standard_normal(shape)).astype("float32")


class Function(layers.Layer):
    """A function of the inputs and of fixed weights."""

    def __init__(self, function, *weights, **options):
        super().__init__(**options)
        self.function, self.arrays = function, weights

    def build(self, _):
        self.fixed = []
        for at, array in enumerate(self.arrays):
            weight = self.add_weight(
                name=f"fixed{at}", shape=np.shape(array), initializer="zeros", trainable=False
            )
            weight.assign(array)
            self.fixed.append(weight)

    def call(self, inputs):
        return self.function(inputs, *self.fixed)


def total(terms):
    """A sum over the last axis, in another order in the candidate."""
    if CANDIDATE:
        return ops.sum(terms[..., ::2], -1, keepdims=True) + ops.sum(terms[..., 1::2], -1, keepdims=True)
    return ops.sum(terms, -1, keepdims=True)


def dense(inputs, units, seed=1):
    return Function(
        lambda x, w: ops.concatenate([total(x * w[:, j]) for j in range(units)], -1),
        values(8, units, seed=seed),
    )(inputs)


def model(function, *weights):
    inputs = keras.Input((8,), name="x")
    return keras.Model(inputs, Function(function, *weights)(inputs))


def edited(factor):
    return factor if CANDIDATE else 1.0


def price(edit):
    """A price of a million beside a probability."""
    inputs = keras.Input((8,), name="x")
    score = Function(lambda x: ops.sigmoid(x) * edited(1.001 if edit else 1.0))(dense(inputs, 1))
    return keras.Model(inputs, ops.concatenate([1e6 * dense(inputs, 1, 2), score], -1))


def wild(edit):
    """One sample is a million times as large."""
    inputs = keras.Input((8,), name="x")
    pole = Function(lambda x: 1e6 * ops.relu(x[:, :1] - 4))(inputs)
    return keras.Model(inputs, dense(inputs, 3) * edited(1.0001 if edit else 1.0) + pole)


def classes(edit):
    """One class of 100,000 without a weight."""
    table = values(8, 100_000, seed=3)
    shift = np.zeros(100_000, "float32")
    shift[77_777] = 0.001 if edit and CANDIDATE else 0
    order = np.arange(8)[:: -1 if CANDIDATE else 1].copy()
    return model(lambda x: ops.softmax(ops.matmul(ops.take(x, order, -1), table[order]) + shift))


def last_step(edit):
    """The last of 40 time steps."""
    inputs = keras.Input((8,), name="x")
    gain = np.ones((40, 1), "float32")
    gain[-1] = edited(1.0001 if edit else 1.0)
    steps = layers.RepeatVector(40)(dense(inputs, 8))
    return keras.Model(
        inputs,
        layers.GRU(4, return_sequences=True, kernel_initializer=keras.initializers.Constant(0.1))(steps)
        * gain,
    )


def padding(edit):
    """One number beside 99 that are padding."""
    inputs = keras.Input((8,), name="x")
    number = dense(inputs, 1) * edited(1.00001 if edit else 1.0)
    rest = Function(lambda x: ops.repeat(0.0 * x + 0.3, 99, -1))(number)
    return keras.Model(inputs, ops.concatenate([number, rest], -1))


def equal_ids(edit):
    """A float weight that is compared for equality."""
    inputs = keras.Input((8,), name="x")
    hits = Function(
        lambda x, ids: ops.cast(ops.equal(ops.round(4 * x), ids), "float32"),
        np.arange(-4, 4).astype("float32"),
    )(inputs)
    return keras.Model(inputs, dense(hits, 3) * edited(1.0001 if edit else 1.0))


def _scores(terms, edit):
    """Three sums of the same terms, equal but for rounding; edited, the logits are others."""
    forth, back = ops.sum(terms, -1), ops.sum(ops.flip(terms, -1), -1)
    halves = ops.sum(terms[:, ::2], -1) + ops.sum(terms[:, 1::2], -1)
    sums = [halves, forth, back] if CANDIDATE else [forth, halves, back]
    apart = [0.0, 0.0, 0.2 if edit and CANDIDATE else 0.0]
    return ops.stack([part + ops.sin(9 * part) * more for part, more in zip(sums, apart, strict=True)], -1)


def label(edit):
    """The arg max of sums that tie."""
    return model(lambda x, w: ops.argmax(_scores(x * w, edit), -1), values(8, seed=4))


def threshold(edit):
    """Whether one order of a sum is above another."""
    return model(
        lambda x, w: total(x * w)[:, 0] + (0.1 if edit and CANDIDATE else 0.0) > ops.sum(x * w, -1),
        values(8, seed=4),
    )


def word(edit):
    """The word of a label, looked up in a vocabulary."""
    inputs = keras.Input((8,), name="x")
    labels = Function(lambda x, w: ops.argmax(_scores(x * w, edit), -1), values(8, seed=4))(inputs)
    words = layers.StringLookup(vocabulary=["cat", "dog"], num_oov_indices=1, invert=True)
    return keras.Model(inputs, words(labels))


def root(edit):
    """The root of a difference that rounding makes negative: NaN."""
    return model(
        lambda x, w: ops.sqrt(total(x * w)[:, 0] - ops.sum(x * w, -1) - (0.1 if edit and CANDIDATE else 0.0)),
        values(8, seed=4),
    )


def chaos(edit):
    """Two hundred steps of the logistic map."""

    def steps(x, w):
        state = ops.sigmoid(total(x * w)) * 0.9 + 0.05
        for _ in range(200):
            state = (3.7 if edit and CANDIDATE else 3.9) * state * (1 - state)
        return state

    return model(steps, values(8, seed=4))


def chaos_column(edit):
    """The same beside nine columns that are well-behaved."""
    inner = chaos(edit)
    return keras.Model(inner.inputs, ops.concatenate([dense(inner.inputs[0], 9), inner.outputs[0]], -1))


def nothing(edit):
    """NaN alone, with another sign in the candidate."""
    return model(lambda x: x * (-float("nan") if edit and CANDIDATE else float("nan")))


def mostly_nan(edit):
    """Six of eight columns are NaN."""
    inputs = keras.Input((8,), name="x")
    return keras.Model(inputs, dense(inputs, 8) + np.array([0.0] * 2 + [np.nan] * 6, "float32"))


class Dropped(layers.Layer):
    """Dropout that is active when predicting."""

    def call(self, inputs):
        return tf.nn.dropout(inputs, 0.5, seed=2 if CANDIDATE else 1)


def turns_random(edit):
    """A deterministic baseline, a random candidate."""
    inputs = keras.Input((8,), name="x")
    return keras.Model(inputs, dense(Dropped()(inputs) if CANDIDATE else inputs, 4))


def both_random(edit):
    inputs = keras.Input((8,), name="x")
    return keras.Model(inputs, dense(Dropped()(inputs), 4))


def inputs():
    drawn = np.random.default_rng(1).standard_normal((300, 8)).astype("float32")
    drawn[0, 0] = 5.0
    return {"x": drawn}
