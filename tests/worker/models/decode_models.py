"""Token models for the worker's decode tests, and what users would write around them."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

layers = keras.layers
WORDS = 7


def _uniform(seed):
    return keras.initializers.RandomUniform(-1, 1, seed=seed)


def _hidden(ids, words=WORDS):
    return layers.Embedding(words, 6, embeddings_initializer=_uniform(1))(ids)


class RunningSum(layers.Layer):
    """What came before and this: causal, and quick to trace."""

    def call(self, hidden):
        return tf.cumsum(hidden, axis=1)


def _causal(hidden):
    return layers.Dense(8, "tanh", kernel_initializer=_uniform(2))(RunningSum()(hidden))


def _logits(hidden, words=WORDS):
    return layers.Dense(words, kernel_initializer=_uniform(4))(hidden)


def causal(length=None, words=WORDS, dtype="int32"):
    ids = keras.Input((length,), dtype=dtype, name="ids")
    return keras.Model(ids, _logits(_causal(_hidden(ids, max(words, WORDS))), words))


def ends_in_softmax():
    ids = keras.Input((None,), dtype="int32", name="ids")
    return keras.Model(ids, layers.Softmax()(_logits(_causal(_hidden(ids)))))


def looks_ahead():
    ids = keras.Input((None,), dtype="int32", name="ids")
    everything = layers.GlobalAveragePooling1D(keepdims=True)(_hidden(ids))
    return keras.Model(ids, _logits(layers.Add()([_hidden(ids), everything])))


def fixed_batch():
    ids = keras.Input(batch_shape=(4, 6), dtype="int32", name="ids")
    return keras.Model(ids, _logits(layers.GRU(8, return_sequences=True, stateful=True)(_hidden(ids))))


def last_position():
    ids = keras.Input((None,), dtype="int32", name="ids")
    return keras.Model(ids, layers.Dense(WORDS)(layers.GlobalAveragePooling1D()(_hidden(ids))))


def two_outputs():
    ids = keras.Input((None,), dtype="int32", name="ids")
    hidden = _hidden(ids)
    return keras.Model(ids, [layers.Dense(WORDS)(hidden), layers.Dense(2)(hidden)])


def encoder_decoder():
    source = keras.Input((3,), dtype="int32", name="source")
    target = keras.Input((6,), dtype="int32", name="target")
    seen = layers.GlobalAveragePooling1D()(_hidden(source))
    seen = layers.RepeatVector(6)(seen)
    return keras.Model([source, target], _logits(layers.Add()([_causal(_hidden(target)), _cut(seen)])))


def _cut(seen):
    return layers.Dense(8, kernel_initializer=_uniform(5))(seen)


class Spoiled(keras.Model):
    """Counts up: the next token is this one plus one; NaN behind token 5."""

    def call(self, ids):
        logits = 9.0 * tf.one_hot((ids + 1) % WORDS, WORDS) + 0.0 * tf.cast(ids, tf.float32)[..., None]
        return tf.where((ids == 5)[..., None], np.float32(np.nan), logits)


class Chosen(keras.Model):
    """Always the same token, whatever came before."""

    def call(self, ids):
        return 9.0 * tf.one_hot(tf.zeros_like(ids) + 2, WORDS)


def spoiled():
    return Spoiled()


def chosen():
    return Chosen()


class Same(keras.Model):
    def call(self, inputs):
        return inputs


def same():
    return Same()


# What users write: a protocol takes the model.


class Cached:
    """The cache is the ids so far; `forgets` leaves out the token of a step, as a wrong cache would."""

    def __init__(self, model, forgets=False):
        self.model = model
        self.forgets = forgets

    def prefill(self, ids):
        return self.model(ids), np.asarray(ids)

    def step(self, token_ids, state):
        state = np.concatenate([state, np.asarray(token_ids)[:, None]], axis=1)
        logits = self.model(state[:, :-1] if self.forgets else state)
        return logits[:, -1], state


class Generating(Cached):
    """`generate` chooses token 3 for ever."""

    def generate(self, ids, steps):
        return np.full((len(ids), steps), 3)


class Broken(Cached):
    def step(self, token_ids, state):
        raise RuntimeError("the cache is full")


def cached(model):
    return Cached(model)


def forgetful(model):
    return Cached(model, forgets=True)


def generating(model):
    return Generating(model)


def broken(model):
    return Broken(model)


def no_step(model):
    return object()


def no_state(model):
    speaker = Cached(model)
    speaker.prefill = model
    return speaker


def generates_floats(model):
    speaker = Cached(model)
    speaker.generate = lambda ids, steps: np.zeros((len(ids), steps))
    return speaker


def letters(ids):
    return "".join("abcdefg"[number] for number in ids)


def speechless(ids):
    raise ValueError("no vocabulary")
