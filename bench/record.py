"""What recording costs: a prediction with and without it, in a real Keras."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import sys, tempfile, time
sys.path.insert(0, sys.argv[1])
import numpy as np
import keras
from validator import record

entry = keras.Input((32, 32, 3))
hidden = keras.layers.Conv2D(32, 3, activation="relu")(entry)
hidden = keras.layers.Conv2D(32, 3, activation="relu", strides=2)(hidden)
model = keras.Model(entry, keras.layers.Dense(10)(keras.layers.Flatten()(hidden)))
x = np.random.default_rng(0).normal(size=(4096, 32, 32, 3)).astype("float32")
model.predict(x[:256], verbose=0)
kinds = {"an array": lambda: x}
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(x).batch(32)
    kinds["tf.data"] = lambda: data

def seconds(call):
    began = time.process_time()
    call()
    return time.process_time() - began

for kind, make in kinds.items():
    alone, watched = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(9):
            alone.append(seconds(lambda: model.predict(make(), verbose=0)))
            with record(model, folder + "/r", samples=512):
                watched.append(seconds(lambda: model.predict(make(), verbose=0)))
    first, second = min(alone), min(watched)
    print(f"{kind:<10}{first:>8.2f}{second:>10.2f}{second / first - 1:>9.1%}")
"""


def main() -> None:
    """Print the processor time of predicting 4,096 images, without and with a recorder."""
    from tests.conftest import environment_python

    print("processor seconds of 4,096 images, the least of 9; target <= 3 %")
    for name in ("keras-3.3.3", "keras-3.15.1"):
        print(f"{name:<10}{'alone':>8}{'recorded':>10}{'cost':>9}")
        environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [str(environment_python(name)), "-W", "ignore", "-c", SCRIPT, str(ROOT)]
        environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        done = subprocess.run(command, check=True, env=environ, capture_output=True, text=True)
        print(done.stdout, end="")
