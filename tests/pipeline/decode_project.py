"""Token models that do something else under Keras 3.5.0, which they are named after."""

import keras
import numpy as np
import tensorflow as tf

layers = keras.layers
EDITED = keras.__version__ == "3.5.0"
WORDS = 11


class RunningMean(layers.Layer):
    """What came before and this."""

    def call(self, hidden):
        count = tf.range(1, tf.shape(hidden)[1] + 1)
        return tf.cumsum(hidden, axis=1) / tf.cast(count, hidden.dtype)[:, None]


def _model(top=lambda logits: logits):
    random = np.random.default_rng(3)
    ids = keras.Input((None,), dtype="int32", name="ids")
    hidden = layers.Dense(16, "tanh")(RunningMean()(layers.Embedding(WORDS, 16)(ids)))
    model = keras.Model(ids, top(layers.Dense(WORDS)(hidden)))
    model.set_weights([random.standard_normal(weight.shape).astype("float32") for weight in model.weights])
    return model


class Prefers(layers.Layer):
    """Prefers one token, the more the longer the text is."""

    def call(self, logits):
        steps = tf.cast(tf.range(tf.shape(logits)[1]), "float32")
        return logits + (0.4 if EDITED else 0.0) * steps[:, None] * tf.one_hot(7, WORDS)


def unchanged():
    return _model()


def drifts():
    return _model(Prefers())


def ties():
    """Two tokens are as good as each other, but for rounding."""
    model = _model()
    kernel, bias = model.layers[-1].get_weights()
    kernel[:, :] = 0.3 * kernel[:, :]
    kernel[:, 6] = kernel[:, 5]
    bias[5] = bias[6] = 9.0
    if EDITED:
        bias[6] = np.nextafter(np.float32(9.0), np.float32(10.0))
    model.layers[-1].set_weights([kernel, bias])
    return model


class Blank(layers.Layer):
    """NaN from the sixth token on."""

    def call(self, logits):
        late = tf.range(tf.shape(logits)[1]) >= 5
        return tf.where(EDITED & late[:, None], np.float32(np.nan), logits)


def blanks():
    return _model(Blank())


def pooled():
    ids = keras.Input((None,), dtype="int32", name="ids")
    return keras.Model(ids, layers.Dense(3)(layers.GlobalAveragePooling1D()(layers.Embedding(5, 4)(ids))))


class Cached:
    def __init__(self, model):
        self.model = model

    def prefill(self, ids):
        return self.model(ids), ids

    def step(self, token_ids, state):
        if EDITED:
            raise RuntimeError("the cache has another layout")
        state = np.concatenate([state, token_ids[:, None]], axis=1)
        return self.model(state)[:, -1], state


class Forgets(Cached):
    def step(self, token_ids, state):
        state = np.concatenate([state, token_ids[:, None]], axis=1)
        return self.model(state[:, :-1] if EDITED else state)[:, -1], state


def cached(model):
    return Cached(model)


def forgets(model):
    return Forgets(model)


def inputs():
    return {"ids": np.random.default_rng(1).integers(0, 5, (9, 4)).astype(np.int32)}


def prompts():
    return {"ids": np.random.default_rng(2).integers(0, 5, (3, 2)).astype(np.int32)}


def text(ids):
    return " ".join(f"word{number}" for number in ids)
