"""Time and memory as samples, layers, models and weights grow: how steep, and whether memory stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = (1_000, 10_000, 100_000, 1_000_000)
LAYERS = (10, 100, 300)
MODELS = (1, 10, 100)
WEIGHTS = (128, 512, 2048)  # MiB
_CONFIG = """
version: 1
origin: {{seconds: 0}}
parity: {{search: false}}
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {{keras: ["3.3.3", "3.5.0"]}}
models:
{models}
"""
_MODEL = (
    '  - {{name: m{n}, builder: "little:model", inputs: inputs.npz,'
    " builder_arguments: {{layers: {layers}, weights: {weights}}}}}"
)
_CLUSTER = {
    "cluster": "LocalCluster",
    "options": {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"},
    "samples": SAMPLES[-1] // 2,
}
_CODE = """
import keras

class Scaled(keras.layers.Layer):
    def call(self, inputs):
        return inputs * (1.0001 if keras.__version__ == "3.5.0" else 1.0)

class Ids(keras.layers.Layer):
    def call(self, inputs):
        return keras.ops.cast(keras.ops.abs(inputs) * 1000, "int32")

def model(layers, weights):
    keras.utils.set_random_seed(1)
    hidden = [keras.layers.Dense(16, "tanh") for _ in range(layers)]
    if weights:  # MiB of an embedding
        embedding = keras.layers.Embedding(weights << 14, 16)
        hidden[:0] = [Ids(), embedding, keras.layers.GlobalAveragePooling1D()]
    first, last = keras.layers.Input((16,)), keras.layers.Dense(10)
    return keras.Sequential([first, *hidden, Scaled(name="scaled"), last])
"""


@dataclass(frozen=True)
class Size:
    """What a project has."""

    samples: int = 1_000
    layers: int = 10
    models: int = 1
    weights: int = 0


@dataclass(frozen=True)
class Taken:
    """Wall seconds of a run, and the most bytes that the tool held of its own and any one worker in all."""

    seconds: float
    tool: int
    worker: int


def main(rows: Sequence[str] = ("samples", "layers", "models", "weights")) -> None:
    """Print a row for each size, and the slope of the logarithms of time and memory along each.

    The row `pieces` is the longest recording, on a cluster of two workers.
    """
    sizes = {"samples": SAMPLES, "layers": LAYERS, "models": MODELS, "weights": WEIGHTS}
    print("                    wall      tool    worker")
    for name in rows:
        if name == "pieces":
            taken = [_measured(Size(SAMPLES[-1]), "--executor", "cluster.yml")]
            print(f"pieces   {SAMPLES[-1]:7,} {_described(taken[0])}", flush=True)
            continue
        taken = [_measured(Size(**{name: count})) for count in sizes[name]]
        for count, each in zip(sizes[name], taken, strict=True):
            print(f"{name:8} {count:7,} {_described(each)}", flush=True)
        slope = _slope(sizes[name], [each.seconds for each in taken])
        tool = max(each.tool for each in taken) / taken[0].tool
        worker = max(each.worker for each in taken) / taken[0].worker
        print(f"{name:8} slope of time {slope:.2f}, memory × {tool:.2f} tool, × {worker:.2f} worker\n")
    print("targets: slope 1.1, memory of samples 1.10")


def _described(taken: Taken) -> str:
    return f"{taken.seconds:6.1f} s {taken.tool / 2**20:6.0f} MiB {taken.worker / 2**20:6.0f} MiB"


def _slope(counts: Sequence[int], values: Sequence[float]) -> float:
    """The steepest slope between two neighbours: a mean would hide where it gets steep."""
    steps = np.diff(np.log(values)) / np.diff(np.log(counts))
    return float(steps.max())


def _measured(size: Size, *options: str) -> Taken:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        models = "\n".join(
            _MODEL.format(n=number, layers=size.layers, weights=size.weights) for number in range(size.models)
        )
        (project / "validator.yml").write_text(_CONFIG.format(models=models), encoding="utf-8")
        (project / "little.py").write_text(_CODE, encoding="utf-8")
        generator = np.random.default_rng(3)
        np.savez(project / "inputs.npz", x=generator.normal(size=(size.samples, 16)).astype(np.float32))
        (project / "cluster.yml").write_text(json.dumps(_CLUSTER), encoding="utf-8")
        _run(project, "plan-only")  # builds the environments, so that the next run finds them
        return _run(project, "run", *options)


def _run(project: Path, name: str, *options: str) -> Taken:
    command = [sys.executable, "-m", "validator", "run", "--output", name, *options]
    if name == "plan-only":
        command += ["--only", "m0@keras-3.5.0"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=project, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    peaks = {"tool": 0, "worker": 0}
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks), daemon=True)
    watcher.start()
    _, errors = process.communicate()
    seconds = time.perf_counter() - began
    report = project / name / "report.json"
    assert report.is_file(), errors.decode()
    verdicts = {
        cell["verdict"] for model in json.loads(report.read_text())["models"] for cell in model["cells"]
    }
    assert verdicts == {"changed"}, verdicts
    return Taken(seconds, peaks["tool"], peaks["worker"])


def _watch(pid: int, peaks: dict[str, int]) -> None:
    """Keep the most resident bytes of a process, and of any one below it."""
    try:
        tool = psutil.Process(pid)
        while True:
            held = tool.memory_info()
            peaks["tool"] = max(peaks["tool"], held.rss - held.shared)  # without mapped files
            for child in tool.children(recursive=True):
                try:
                    peaks["worker"] = max(peaks["worker"], child.memory_info().rss)
                except psutil.Error:
                    continue
            time.sleep(0.05)
    except psutil.Error:
        return
