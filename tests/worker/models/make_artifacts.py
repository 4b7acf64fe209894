"""Saves small models with the Keras of this environment: `python make_artifacts.py FOLDER`."""

import sys
from pathlib import Path

import worker_models
from tensorflow import keras
from worker_layers import Double, Triple, half_loss


class Elsewhere(keras.layers.Layer):
    """A layer of a script that the worker cannot import."""

    def call(self, inputs):
        return inputs


def make(folder: Path) -> None:
    worker_models.classifier().save(folder / "classifier.keras")
    worker_models.classifier().save(folder / "classifier.h5")
    worker_models.dense().save(folder / "dense.keras")
    worker_models.dense().save(folder / "dense.h5")
    worker_models.dense("bfloat16").save(folder / "bfloat16.keras")
    worker_models.dense().save_weights(folder / "dense.weights.h5")
    _exported(worker_models.dense(), folder / "saved_model")
    _custom().save(folder / "custom.keras")
    _mixed().save(folder / "mixed.keras")
    keras.Sequential([keras.Input((4,)), Elsewhere()]).save(folder / "unknown_layer.keras")
    model = worker_models.dense()
    model.compile("sgd", half_loss)
    model.save(folder / "custom_loss.keras")


def _custom():
    x = keras.Input((4,), name="features")
    return keras.Model(x, Triple()(Double()(x)))


def _mixed():
    """A bfloat16 model with one layer that is kept in float32 on purpose."""
    x = keras.Input((4,), name="features")
    hidden = keras.layers.Dense(4, dtype="bfloat16")(x)
    kept = keras.layers.Activation("relu", dtype="float32", name="kept")(hidden)
    out = keras.layers.Dense(4, dtype="bfloat16")(kept)
    return keras.Model(x, keras.layers.Dense(2, dtype="bfloat16")(out))


def _exported(model, folder: Path) -> None:
    model.export(str(folder))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
