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

def network(width, depth):
    entry = hidden = keras.Input((32, 32, 3))
    for level in range(depth):
        hidden = keras.layers.Conv2D(width, 3, activation="relu", strides=1 + level % 2)(hidden)
    return keras.Model(entry, keras.layers.Dense(10)(keras.layers.Flatten()(hidden)))

x = np.random.default_rng(0).normal(size=(4096, 32, 32, 3)).astype("float32")
kinds = {"an array": x}
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    kinds["tf.data"] = tf.data.Dataset.from_tensor_slices(x).batch(32)

def seconds(call):
    began = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began[0], time.process_time() - began[1]

for name, model, times in (("small", network(32, 2), 9), ("larger", network(128, 4), 6)):
    for kind, data in kinds.items():
        alone, watched = [], []
        with tempfile.TemporaryDirectory() as folder:
            predict = lambda: model.predict(data, verbose=0)
            predict()
            for _ in range(times):
                alone.append(seconds(predict))
                with record(model, folder + "/r", samples=512):
                    watched.append(seconds(predict))
        (wall, cpu), (wall_watched, cpu_watched) = map(lambda tries: map(min, zip(*tries)), (alone, watched))
        costs = f"{wall_watched / wall - 1:>+8.1%}{(wall_watched - wall) / 128 * 1e3:>8.2f} ms"
        print(f"{name:<8}{kind:<10}{wall:>8.2f}{wall_watched:>10.2f}{costs}{cpu_watched / cpu - 1:>+12.1%}")
"""


def main() -> None:
    """Print what a recorder adds to predicting 4,096 images in batches of 32, by two models."""
    from tests.conftest import environment_python

    print("seconds of 4,096 images, the least of several; target: at most 3 % more")
    for name in ("keras-3.3.3", "keras-3.15.1"):
        print(f"{name:<18}{'alone':>8}{'recorded':>10}{'cost':>8}{'a batch':>11}{'processor':>12}")
        environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [str(environment_python(name)), "-W", "ignore", "-c", SCRIPT, str(ROOT)]
        environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        done = subprocess.run(command, check=True, env=environ, capture_output=True, text=True)
        print(done.stdout, end="")
