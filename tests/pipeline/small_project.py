"""A project with three little models in two environments: unchanged, changed, and failing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.conftest import share_environments

CONFIG = """
version: 1
origin: {seconds: 0}
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {keras: ["3.3.3", "3.5.0"]}
parity: {jit: [], attention: []}
models:
  - {name: same, builder: "little:same", inputs: inputs.npz, labels: labels.npz, metrics: [accuracy]}
  - {name: moved, builder: "little:moved", inputs: inputs.npz, labels: labels.npz, metrics: [accuracy]}
  - {name: lost, builder: "little:lost", inputs: inputs.npz}
"""
MODELS = """
import keras

def same(scale=1.0):
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8, "tanh", name="hidden"),
                             keras.layers.Dense(3, name="top")])

class Scaled(keras.layers.Layer):
    def call(self, inputs):
        return inputs * (1.5 if keras.__version__ == "3.5.0" else 1.0)

def moved():
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8, "tanh", name="hidden"),
                             Scaled(name="scaled"), keras.layers.Dense(3, name="top")])

def lost():
    if keras.__version__ == "3.5.0":
        raise RuntimeError("no such layer in this release")
    return same()
"""


def write_project(folder: Path) -> Path:
    """Write the project into a folder; returns its validator.yml."""
    (folder / "little.py").write_text(MODELS)
    (folder / "validator.yml").write_text(CONFIG)
    generator = np.random.default_rng(3)
    np.savez(folder / "inputs.npz", x=generator.normal(size=(50, 4)).astype(np.float32))
    np.savez(folder / "labels.npz", y=generator.integers(0, 3, 50))
    share_environments(folder)
    return folder / "validator.yml"


def run(config: Path, package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`keras-validator` from a copy of the package, or from the repository itself."""
    return subprocess.run(
        [sys.executable, "-m", "validator", *arguments],
        cwd=config.parent,
        env={**os.environ, "PYTHONPATH": str(package), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
