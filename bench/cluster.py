"""What a cluster brings: the same run here and on processes of Dask, and what its costs come to at scale."""

from __future__ import annotations

import heapq
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from validator import config
from validator.environments import Built, Uv, prepare
from validator.matrix import Plan, common_requirements, make_plan, shards
from validator.pipeline.project import open_project

ROOT = Path(__file__).resolve().parent.parent
RELEASES = ("3.3.3", "3.4.1", "3.5.0")
MODELS = 20
_CONFIG = """
version: 1
origin: {{seconds: 0}}
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {{keras: {releases}}}
parity: {{jit: [], attention: []}}
models:
{models}
"""
_MODEL = '  - {{name: m{n}, builder: "little:model", builder_arguments: {{n: {n}}}, inputs: inputs.npz}}'
_CODE = """
import keras

class Scaled(keras.layers.Layer):
    def call(self, inputs):
        return inputs * (1.5 if keras.__version__ == "3.5.0" else 1.0)

def model(n):
    keras.utils.set_random_seed(n)
    last = [Scaled(name="scaled")] if n % 7 == 0 else []
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8, "tanh", name="hidden"), *last,
                             keras.layers.Dense(3, name="top")])
"""


@dataclass(frozen=True)
class Costs:
    """Seconds: to build an environment from a warm cache, to start a worker in it, and of a cell."""

    build: float
    start: float
    cell: float


def write_project(folder: Path, models: int = MODELS, releases: Sequence[str] = RELEASES) -> Path:
    """Write a project of little models, of which every seventh changes in Keras 3.5.0, into a new folder."""
    folder.mkdir()
    listed = "\n".join(_MODEL.format(n=number) for number in range(1, models + 1))
    text = _CONFIG.format(models=listed, releases=json.dumps(list(releases)))
    (folder / "validator.yml").write_text(text, encoding="utf-8")
    (folder / "little.py").write_text(_CODE, encoding="utf-8")
    generator = np.random.default_rng(3)
    np.savez(folder / "inputs.npz", x=generator.normal(size=(50, 4)).astype(np.float32))
    return folder


def main() -> None:
    """Print the wall time of 40 cells here and on one and four workers, unit costs, and a simulation."""
    with tempfile.TemporaryDirectory() as scratch:
        project = write_project(Path(scratch, "project"))
        _run(project)  # environments, here and in the cache of packages
        here = _run(project)
        print(f"{2 * MODELS} cells on {os.cpu_count()} cores      wall   speed-up")
        print(f"this machine             {here:6.1f} s       1.00")
        for workers in (1, 4):
            seconds = _run(project, "--executor", _cluster(project, workers))
            print(f"LocalCluster, {workers} processes {seconds:7.1f} s     {here / seconds:6.2f}")
        costs = _costs(project)
    print(f"\na build {costs.build:.1f} s, a start {costs.start:.1f} s; simulated from these:")
    print("a cell    models  releases  workers  shards   one machine      wall  speed-up")
    for cell in (costs.cell, 10.0):
        for models, releases, workers in ((100, 12, 16), (1000, 12, 16), (1000, 12, 64), (1000, 12, 256)):
            count, wall, alone = simulated(models, releases, workers, replace(costs, cell=cell))
            print(
                f"{cell:4.1f} s {models:10} {releases:9} {workers:8} {count:7} {alone / 3600:11.2f} h "
                f"{wall / 3600:7.2f} h {alone / wall:9.1f}"
            )


def simulated(models: int, releases: int, workers: int, costs: Costs) -> tuple[int, float, float]:
    """The shards of a plan on so many workers: how many, wall seconds, and seconds of one machine instead.

    Shards go in their order to the first worker that is free. An environment is built once a worker, and a
    shard runs the baseline of its own models; one machine does both once.
    """
    plan = _plan(models, releases)
    parts = shards(plan, max(workers, releases - 1))
    free = [(0.0, worker) for worker in range(workers)]
    built: dict[int, set[str]] = {worker: set() for worker in range(workers)}
    for part in parts:
        now, worker = heapq.heappop(free)
        environments = {cell.environment for cell in part} | {plan.baseline}
        cells = len(part) + len({cell.model for cell in part})  # and those of the baseline
        seconds = len(environments - built[worker]) * costs.build
        seconds += len(environments) * costs.start + cells * costs.cell
        built[worker] |= environments
        heapq.heappush(free, (now + seconds, worker))
    alone = releases * (costs.build + costs.start + models * costs.cell)
    return len(parts), max(now for now, _ in free), alone


def _plan(models: int, releases: int) -> Plan:
    with tempfile.TemporaryDirectory() as scratch:
        names = [f"3.{number}.0" for number in range(releases)]
        project = write_project(Path(scratch, "project"), models, names)
        settings = config.load(project / "validator.yml")
        return make_plan(settings, common_requirements(settings, project))


def _cluster(project: Path, workers: int) -> str:
    file = project / "cluster.yml"
    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    file.write_text(json.dumps({"cluster": "LocalCluster", "options": options}), encoding="utf-8")
    return str(file)


def _run(project: Path, *arguments: str) -> float:
    """Wall seconds of a run."""
    command = [sys.executable, "-m", "validator", "run", "--output", "run", *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    done = subprocess.run(command, cwd=project, env=environ, capture_output=True, check=False)
    seconds = time.perf_counter() - began
    assert done.returncode == 1, done.stderr.decode()  # a seventh of the models changes
    return seconds


def _costs(project: Path) -> Costs:
    """Unit costs: a build by itself; starts are what is left of a run of one environment at a time."""
    wall = _run(project, "--jobs", "1")
    report = json.loads((project / "run" / "report.json").read_text(encoding="utf-8"))
    cells = [cell["seconds"] for model in report["models"] for cell in model["cells"]]
    cell = sum(cells) / len(cells)
    environments = len(report["environments"])
    opened = open_project(project / "validator.yml")
    environment = opened.plan.environments[0]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        uv = Uv.bundled(os.environ)
        built = prepare(environment, opened.install, Path(folder), opened.locks, uv)
        seconds = time.perf_counter() - began
    assert isinstance(built, Built), built
    return Costs(seconds, max(0.0, wall / environments - cell * MODELS), cell)
