"""Models whose inputs, labels or state can be fed in more than one way, and what Keras itself reports.

As a script it writes what `model.evaluate(x, y)` reports in a process that knows nothing of the worker.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np
from fed_data import BATCH, CASES, as_people_feed

if os.environ.get("TF_USE_LEGACY_KERAS") == "1":
    import tf_keras as keras
else:
    import keras

layers = keras.layers


def _filled(model: object) -> object:
    random = np.random.RandomState(0)
    model.set_weights([random.normal(0, 0.5, each.shape).astype("float32") for each in model.get_weights()])
    return model


def _heads(**compiled: object) -> object:
    inputs = keras.Input((5,), name="x")
    trunk = layers.Dense(8, activation="tanh", name="trunk")(inputs)
    size = layers.Dense(1, name="size")(trunk)
    kind = layers.Dense(1, activation="sigmoid", name="kind")(trunk)
    model = _filled(keras.Model(inputs, [size, kind]))
    model.compile("sgd", **compiled)
    return model


def one() -> object:
    """A single output."""
    inputs = keras.Input((5,), name="x")
    outputs = layers.Dense(3, activation="softmax", name="class")(inputs)
    model = _filled(keras.Model(inputs, outputs))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def flat() -> object:
    """Labels without a last axis, in float64."""
    inputs = keras.Input((5,), name="x")
    model = _filled(keras.Model(inputs, layers.Dense(1, name="price")(inputs)))
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def heads() -> object:
    """Two outputs; losses and metrics by their names."""
    return _heads(
        loss={"size": "mse", "kind": "binary_crossentropy"}, metrics={"size": ["mae"], "kind": ["accuracy"]}
    )


def weighed_heads() -> object:
    """The same in their order, with weights of the losses."""
    return _heads(loss=["mse", "binary_crossentropy"], loss_weights=[0.2, 3.0])


def pair() -> object:
    """Two inputs of one shape whose names are not in alphabetical order."""
    title, body = keras.Input((4,), name="title"), keras.Input((4,), name="body")
    both = layers.Concatenate(name="both")([title, body])
    model = _filled(keras.Model([title, body], layers.Dense(2, activation="softmax", name="out")(both)))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def tagger() -> object:
    """Outputs with a mask."""
    ids = keras.Input((6,), dtype="int32", name="ids")
    words = layers.Embedding(20, 8, mask_zero=True, name="words")(ids)
    outputs = layers.Dense(4, activation="softmax", name="tag")(layers.LSTM(8, return_sequences=True)(words))
    model = _filled(keras.Model(ids, outputs))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def stateful() -> object:
    """An LSTM that remembers the batches before."""
    inputs = keras.Input(batch_shape=(BATCH, 5, 3), name="x")
    memory = layers.LSTM(6, stateful=True, name="memory")(inputs)
    model = _filled(keras.Model(inputs, layers.Dense(2, name="out")(memory)))
    model.compile("sgd", "mse")
    return model


class Counter(layers.Layer):
    """Adds how many batches it has seen."""

    def build(self, input_shape: object) -> None:
        self.seen = self.add_weight(name="seen", shape=(), initializer="zeros", trainable=False)

    def call(self, inputs: object) -> object:
        self.seen.assign(self.seen + 1.0)
        return inputs + self.seen


def counting() -> object:
    """A layer of the user's own that writes to a variable of its own."""
    inputs = keras.Input((5,), name="x")
    model = keras.Model(inputs, layers.Dense(2, name="out")(Counter(name="counter")(inputs)))
    _filled(model.get_layer("out"))
    return model


def main(path: str) -> None:
    """Write case → what `evaluate` reports, or the error that it raises."""
    reports = {}
    for case, builder in CASES.items():
        model = globals()[builder]()
        try:
            numbers = model.evaluate(**as_people_feed(case), batch_size=BATCH, verbose=0, return_dict=True)
            reports[case] = {name: float(value) for name, value in numbers.items()}
        except Exception as error:
            reports[case] = f"{type(error).__name__}: {str(error)[:300]}"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(reports, file)


if __name__ == "__main__":
    main(sys.argv[1])
