"""A repository whose pull requests change a model: its weights, a module two imports away, and Keras."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from tests.upgrade.conftest import Files, Repo

SETTINGS = """version: 1
python: "3.11"
origin: {seconds: 0}
parity: {search: false}
models:
  - name: tides
    builder: "sea.model:build"
    weights: tides.weights.h5
    inputs: hours.npz
    labels: heights.npz
    metrics: [accuracy]
  - {name: made, builder: "plain:build", inputs: "plain:samples"}
"""
PLAIN = """import keras
import numpy as np

SCALE = 1.0

def build():
    keras.utils.set_random_seed(2)
    dense = keras.layers.Dense(3, name="top")
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Rescaling(SCALE), dense])

def samples():
    return {"x": np.full((20, 4), SCALE, "float32")}
"""
FILES: Files = {
    ".gitignore": ".keras-validator\n__pycache__/\n",
    "validator.yml": SETTINGS,
    "sea/__init__.py": "",
    "sea/model.py": """import keras
from sea.layers import Damped

def build():
    keras.utils.set_random_seed(1)
    hidden = keras.layers.Dense(8, "tanh", name="hidden")
    top = keras.layers.Dense(3, name="top")
    return keras.Sequential([keras.layers.Input((4,)), hidden, Damped(name="damped"), top])
""",
    "sea/layers.py": """import keras
from .factors import factor

class Damped(keras.layers.Layer):
    def call(self, inputs):
        return inputs * factor()
""",
    "sea/factors.py": "def factor():\n    return 1.0\n",
    "plain.py": PLAIN,
}
#: Writes the weights, and others for a second commit beside the repository.
WRITER = """import sys, numpy as np
sys.dont_write_bytecode = True
from sea.model import build
model = build()
model.save_weights("tides.weights.h5")
inputs = np.load("hours.npz")["x"]
np.savez("heights.npz", y=np.asarray(model(inputs)).argmax(-1))
top = model.get_layer("top")
kernel, bias = top.get_weights()
top.set_weights([kernel + np.random.default_rng(6).normal(size=kernel.shape) * 0.3, bias])
model.save_weights("../other.weights.h5")
"""


def requirements(keras: str) -> str:
    """What the environment of a commit is built from."""
    return f"keras=={keras}\ntensorflow-cpu==2.17.1\nnumpy==1.26.4\npackaging==24.1\n"


def start(folder: Path, python: Path) -> Repo:
    """The repository with its first commit on main; `python` has Keras, and saves the weights."""
    repo = Repo(folder)
    repo.git("init", "--quiet", "-b", "main")
    repo.write({**FILES, "requirements.txt": requirements("3.3.3")})
    generator = np.random.default_rng(3)
    np.savez(folder / "hours.npz", x=generator.normal(size=(200, 4)).astype(np.float32))
    subprocess.run([python, "-c", WRITER], cwd=folder, check=True, capture_output=True)
    repo.commit({}, "start")
    return repo
