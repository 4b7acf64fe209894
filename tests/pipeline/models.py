"""Models that misbehave, for the runs of test_bad_models: each is named after what it does."""

from __future__ import annotations

import ctypes
import os
import sys
import time
import traceback

import numpy as np
from tensorflow import keras


def _affine(scale: float = 1.0):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, use_bias=False)])
    model.layers[-1].set_weights([np.arange(12, dtype="float32").reshape(4, 3) * scale])
    return model


def in_the_candidate(misbehave):
    """In the baseline the model is healthy: each crash costs an import, and a dead baseline another test."""

    def build():
        return misbehave() if keras.__version__ == "3.5.0" else _affine()

    return build


def healthy():
    return _affine()


def changed_in_350():
    return _affine(1.5 if keras.__version__ == "3.5.0" else 1.0)


def nan_in_350():
    model = _affine()
    if keras.__version__ == "3.5.0":
        weights = model.get_weights()
        weights[0][0, 0] = np.nan
        model.set_weights(weights)
    return model


@in_the_candidate
def raises():
    raise RuntimeError("no such thing as a free model")


def raises_in_the_baseline():
    if keras.__version__ == "3.3.3":
        raise RuntimeError("broken in the baseline")
    return _affine()


def prints_megabytes():
    for _ in range(64):
        print("x" * 65536)
    return _affine()


@in_the_candidate
def leaves():
    os._exit(0)


@in_the_candidate
def leaves_with_code():
    os._exit(7)


@in_the_candidate
def asks_to_exit():
    sys.exit("bye")


@in_the_candidate
def segfaults():
    ctypes.string_at(0)


@in_the_candidate
def hangs():
    while True:
        time.sleep(1)


@in_the_candidate
def eats_memory():
    kept = []
    while True:
        kept.append(np.ones(1 << 25))
        time.sleep(0.1)


@in_the_candidate
def tells_its_environment():
    lines = [f"{name}={value}" for name, value in sorted(os.environ.items())]
    raise RuntimeError("ENVIRON " + " ".join(lines))


@in_the_candidate
def dies_when_tapped():
    """Predicts, and ends the process as soon as anybody looks into it layer by layer."""

    class Shy(keras.layers.Layer):
        def call(self, inputs):
            if any("tapping" in frame.filename for frame in traceback.extract_stack()):
                os._exit(9)
            return inputs

    model = keras.Sequential([keras.layers.Input((4,)), Shy(), keras.layers.Dense(3, use_bias=False)])
    model.layers[-1].set_weights([np.arange(12, dtype="float32").reshape(4, 3)])
    return model
