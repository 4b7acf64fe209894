"""How far apart other machines measure the same change: the margin of an accepted drift.

`python -m bench.margin` prints drift ÷ noise of planted changes under the kernels of other processors, and
how many times apart they are. One machine has one processor, but oneDNN can be told to use no newer
instructions, and TensorFlow to use one thread, or its own kernels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.conftest import ROOT, share_environments

#: A layer scales by so much more in the candidate: from far beyond the noise to just beyond it.
FACTORS = (1.5, 1.001, 1.000005, 1.000002)
KERNELS: dict[str, dict[str, str]] = {
    "as it is": {},
    "SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "AVX2, one thread": {"ONEDNN_MAX_CPU_ISA": "AVX2", "TF_NUM_INTRAOP_THREADS": "1"},
    "without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}
CODE = """
import keras

def build(factor):
    keras.utils.set_random_seed(1)
    factor = factor if keras.__version__ == "3.5.0" else 1.0
    layers = [keras.layers.Dense(64, "tanh"), keras.layers.Rescaling(factor), keras.layers.Dense(3)]
    return keras.Sequential([keras.layers.Input((4,)), *layers])
"""
SIDES = ("keras-3.3.3", "keras-3.5.0")


def measured(variables: dict[str, str]) -> list[float]:
    """Drift ÷ noise of each planted change, with these variables on both sides."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        share_environments(folder)
        (folder / "planted.py").write_text(CODE)
        np.savez(folder / "inputs.npz", x=np.random.default_rng(3).normal(size=(50, 4)).astype(np.float32))
        models = [
            {
                "name": f"m{at}",
                "builder": "planted:build",
                "builder_arguments": {"factor": factor},
                "inputs": "inputs.npz",
            }
            for at, factor in enumerate(FACTORS)
        ]
        settings = {
            "version": 1,
            "origin": {"seconds": 0},
            "parity": {"search": False},
            "requirements": ["tensorflow-cpu==2.17.1", "numpy==1.26.4"],
            "matrix": {"keras": ["3.3.3", "3.5.0"]},
            "environments": {side: {"variables": variables} for side in SIDES},
            "models": models,
        }
        (folder / "validator.yml").write_text(json.dumps(settings))
        command = [sys.executable, "-m", "validator", "run", "--json"]
        variables_of_run = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=folder, env=variables_of_run, capture_output=True, text=True, check=False
        )
        report = json.loads(done.stdout)
    by_model = {model["name"]: model["cells"][0] for model in report["models"]}
    outputs = [by_model[model["name"]]["checks"]["outputs"]["outputs"][0] for model in models]
    return [each["drift"]["ratio"] for each in outputs]


def main() -> None:
    """Print a row for each kind of kernels, and how many times apart they are."""
    print(f"| kernels | {' | '.join(f'× {factor}' for factor in FACTORS)} |")
    rows = {}
    for name, variables in KERNELS.items():
        rows[name] = measured(variables)
        print(f"| {name} | {' | '.join(f'{ratio:,.4g}' for ratio in rows[name])} |", flush=True)
    columns = list(zip(*rows.values(), strict=True))
    print(f"largest ÷ smallest: {max(max(column) / min(column) for column in columns):.2f}")


if __name__ == "__main__":
    main()
