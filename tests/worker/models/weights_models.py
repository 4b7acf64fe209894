"""Models whose weights come from a file, and what can go wrong with that: `python weights_models.py FOLDER`.

The folder gets the files, and `<case>.npy`: what the model predicted that was saved.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from tensorflow import keras

layers = keras.layers
FEATURES = np.arange(40, dtype=np.float32).reshape(10, 4) / 10


@keras.utils.register_keras_serializable("weights_models")
class Held(layers.Layer):
    """Four dense layers, kept as `how` says."""

    def __init__(self, how="flat", **kwargs):
        super().__init__(**kwargs)
        self.how = how
        made = [layers.Dense(4, activation="tanh") for _ in range(4)]
        self.held = {
            "flat": lambda: made,
            "list of lists": lambda: [made[:2], made[2:]],
            "dict of lists": lambda: {"first": made[:2], "second": made[2:]},
            "list of dicts": lambda: [{"a": made[0], "b": made[1]}, {"a": made[2], "b": made[3]}],
            "tuple": lambda: tuple(made),
            "tuple of lists": lambda: (made[:2], made[2:]),
            "plain object": lambda: Plain(made),
        }[how]()

    def build(self, shape):
        for dense in _flat(self.held):
            dense.build((None, 4))
        self.built = True

    def call(self, inputs):
        for dense in _flat(self.held):
            inputs = inputs + dense(inputs)
        return inputs

    def get_config(self):
        return {**super().get_config(), "how": self.how}


class Plain:
    """An object that no framework looks into."""

    def __init__(self, made):
        self.made = made


def _flat(held):
    if isinstance(held, Plain):
        held = held.made
    if isinstance(held, layers.Layer):
        return [held]
    parts = [held[key] for key in sorted(held)] if isinstance(held, dict) else held
    return [dense for part in parts for dense in _flat(part)]


@keras.utils.register_keras_serializable("weights_models")
class Scaled(layers.Layer):
    """Saves its scale by code of its own, as its reciprocal."""

    def build(self, shape):
        self.scale = self.add_weight(name="scale", shape=(4,), initializer="ones")
        self.built = True

    def call(self, inputs):
        return inputs * self.scale

    def save_own_variables(self, store):
        store["reciprocal"] = 1 / np.asarray(self.scale)

    def load_own_variables(self, store):
        self.scale.assign(1 / np.asarray(store["reciprocal"]))


class Unbuilt(keras.Model):
    """Has no variables before its first call."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(5, activation="tanh")
        self.norm = layers.BatchNormalization()
        self.head = layers.Dense(3)

    def call(self, inputs):
        return self.head(self.norm(self.hidden(inputs)))


def held(how):
    x = keras.Input((4,), name="features")
    return keras.Model(x, layers.Dense(3, name="out")(Held(how, name="held")(x)))


def scaled():
    x = keras.Input((4,), name="features")
    return keras.Model(x, Scaled(name="scaled")(x))


def unbuilt():
    return Unbuilt()


def deep(norm=True, extra=False, units=3):
    """Sequential data, statistics, dropout; optionally without statistics, with another layer, wider."""
    x = keras.Input((4,), name="features")
    y = layers.LSTM(4, name="lstm")(layers.Reshape((2, 2), name="steps")(x))
    y = layers.Dropout(0.5, name="drop")(y)
    y = layers.BatchNormalization(name="batch")(y)
    y = layers.Normalization(name="normalise")(y) if norm else y
    y = layers.Dense(4, name="extra")(y) if extra else y
    model = keras.Model(x, layers.Dense(units, name="out")(y))
    model.compile("adam", "mse")
    return model


def lookup(words=("red", "green", "blue")):
    x = keras.Input((1,), dtype="string", name="text")
    ids = layers.StringLookup(vocabulary=list(words), name="ids")(x)
    return keras.Model(x, layers.Embedding(8, 3, embeddings_initializer="ones", name="table")(ids))


def integers(ids=(3, 5, 9)):
    x = keras.Input((1,), dtype="int64", name="ids")
    places = layers.IntegerLookup(vocabulary=list(ids), name="places")(x)
    return keras.Model(x, layers.Embedding(8, 3, embeddings_initializer="ones", name="table")(places))


def texts(words=("red", "green", "blue")):
    x = keras.Input((1,), dtype="string", name="text")
    ids = layers.TextVectorization(vocabulary=list(words), output_sequence_length=3, name="tokens")(x)
    return keras.Model(x, layers.Embedding(8, 3, embeddings_initializer="ones", name="table")(ids))


HOW = ("flat", "list of lists", "dict of lists", "list of dicts", "tuple", "tuple of lists", "plain object")


def _random(model):
    random = np.random.RandomState(1)
    for weight in model.weights:
        if "float" in str(weight.dtype):
            weight.assign(random.uniform(0.5, 1.5, weight.shape).astype("float32"))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _save(folder, name, model, *suffixes):
    _random(model)
    np.save(folder / f"{name}.npy", np.asarray(model(FEATURES)))
    for suffix in suffixes:
        path = str(folder / f"{name}{suffix}")
        model.save_weights(path) if suffix.endswith(".weights.h5") else model.save(path)


def make(folder):
    for how in HOW:
        _save(folder, how, held(how), ".keras", ".weights.h5")
    _save(folder, "scaled", scaled(), ".keras", ".weights.h5")
    model = unbuilt()
    model(FEATURES)
    _save(folder, "unbuilt", model, ".weights.h5")
    model = deep()
    model.fit(FEATURES, np.ones((10, 3)), verbose=0)
    _save(folder, "deep", model, ".keras", ".h5", ".weights.h5")
    _edited(folder)


def _edited(folder):
    """The same file with a tensor too few, a tensor too many, and one of another value."""
    import h5py

    shutil.copy(folder / "deep.weights.h5", folder / "missing.weights.h5")
    shutil.copy(folder / "deep.weights.h5", folder / "more.weights.h5")
    with h5py.File(folder / "missing.weights.h5", "r+") as file:
        del file["layers/dense"]
    with h5py.File(folder / "more.weights.h5", "r+") as file:
        file["layers/leftover/vars/0"] = np.ones((7, 2), np.float32)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
