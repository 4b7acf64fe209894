"""One model that 3.5.0 computes otherwise, unless something is set otherwise. For test_parity."""

from __future__ import annotations

import os

import keras
import numpy as np


@keras.saving.register_keras_serializable(package="parity")
class Fragile(keras.layers.Layer):
    """Times two; under 3.5.0 times three, but in float64, when told to be steady, or with STEADY=1."""

    def __init__(self, kind="usual", **options):
        super().__init__(**options)
        self.kind = kind

    def call(self, x):
        steady = self.kind == "steady" or os.environ.get("STEADY") == "1"
        moved = keras.__version__ == "3.5.0" and not steady and self.compute_dtype != "float64"
        return x * (3.0 if moved else 2.0)

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}


def build(*, kind="usual"):
    if kind == "broken":
        raise RuntimeError("nobody builds it like this")
    x = keras.Input((4,))
    hidden = keras.layers.Dense(3, use_bias=False, name="dense")(x)
    model = keras.Model(x, Fragile("usual" if kind == "useless" else kind, name="fragile")(hidden))
    model.get_layer("dense").set_weights([np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3) ** 3])
    return model


def environment_is_untouched():
    """Variables of a setting must not reach a cell without it."""
    assert "STEADY" not in os.environ
    return build(kind="steady")
