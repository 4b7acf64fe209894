"""Recurrent layers of Keras 2 compute the same bytes without the variant that is meant for a GPU."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import environment_python

WORKER = Path(__file__).resolve().parents[2] / "validator" / "worker"
SCRIPT = """
import hashlib, importlib, json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import tensorflow as tf
keras = importlib.import_module(sys.argv[2])
if sys.argv[3] == "without":
    from keras_capture.model.recurrent import without_gpu_variants
    without_gpu_variants(keras)

traced = []
concrete = type(tf.function(lambda x: x)).get_concrete_function
def counted(function, *arguments, **named):
    traced.append(function.name)
    return concrete(function, *arguments, **named)
type(tf.function(lambda x: x)).get_concrete_function = counted

digest = lambda arrays: hashlib.sha256(b"".join(np.asarray(each).tobytes() for each in arrays)).hexdigest()
keras.utils.set_random_seed(1)
draw = np.random.default_rng(0)
ids = draw.integers(0, 9, (48, 7)) * (np.arange(7) < draw.integers(3, 8, (48, 1)))
entry = keras.Input((7,), dtype="int32")
hidden = keras.layers.Embedding(9, 6, mask_zero=True)(entry)
hidden = keras.layers.Bidirectional(keras.layers.LSTM(5, return_sequences=True))(hidden)
hidden, state = keras.layers.GRU(4, return_sequences=True, return_state=True)(hidden)
hidden = keras.layers.LSTM(4, go_backwards=True)(hidden, initial_state=[state, state])
model = keras.Model(entry, keras.layers.Dense(3)(hidden))
model.compile(optimizer="adam", loss="mse")
answer = {"weights": digest(model.get_weights()), "predictions": digest([model.predict(ids, verbose=0)])}
answer["eager"] = digest([model(ids[:5], training=True)])
labels = draw.normal(size=(48, 3)).astype("float32")
answer["losses"] = model.fit(ids, labels, batch_size=16, epochs=2, shuffle=False, verbose=0).history["loss"]
answer["trained"] = digest(model.get_weights())
answer["reported"] = model.evaluate(ids, labels, verbose=0)
answer["gpu variants"] = sum("gpu" in name for name in traced)
print(json.dumps(answer))
"""


def answers(environment: str, module: str, how: str) -> dict[str, Any]:
    """Digests of everything that such a model computes, and how many variants for a GPU were traced."""
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": str(int(module == "tf_keras"))}
    command = [str(environment_python(environment)), "-W", "ignore", "-c", SCRIPT, str(WORKER), module, how]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize(("environment", "module"), [("legacy", "tf_keras"), ("keras-2.15.0", "keras")])
def test_leaving_out_the_gpu_variant_changes_no_byte(environment: str, module: str) -> None:
    as_installed = answers(environment, module, "as installed")
    without = answers(environment, module, "without")
    assert as_installed.pop("gpu variants") > 0
    assert without.pop("gpu variants") == 0
    assert without == as_installed
