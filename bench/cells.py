"""What running the examples costs beside a bare script that imports, loads, predicts and saves the same."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from validator.environments import Built, Uv, prepare
from validator.failure import Failure
from validator.matrix import Environment
from validator.pipeline.jobs import JobMaker
from validator.pipeline.project import Project, open_project
from validator.pipeline.rounds import predictions
from validator.pipeline.run_folder import RunFolder
from validator.runner import Bounds, Job, Place, Pool, Watcher, default_memory

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
KEPT = ROOT / ".nox" / "bench"
_NOBODY = Watcher(lambda _, __: None, lambda _: None, lambda _, __: None)


#: What a full run asks for besides predictions to tell how far, where and of what kind a change is.
DIAGNOSIS = ("outputs", "structure")


@dataclass(frozen=True)
class Sample:
    """Seconds of one environment: predictions alone, with diagnosis, and by the bare script."""

    worker: float
    diagnosed: float
    bare: float


def main(rounds: int = 3) -> None:
    """Print wall seconds of each way, interleaved, and the ratios of their sums."""
    project = open_project(EXAMPLES / "validator.yml")
    built = {environment.name: _built(environment, project) for environment in project.plan.environments}
    print(
        f"seconds, median of {rounds} after one warm-up; targets: predict ÷ bare 1.15, diagnosed ÷ predict 2"
    )
    print("environment       predict   bare  ratio  diagnosed  ratio")
    totals = Sample(0.0, 0.0, 0.0)
    for environment in project.plan.environments:
        samples = [_pair(project, environment, built[environment.name]) for _ in range(rounds + 1)][1:]
        median = Sample(
            statistics.median(sample.worker for sample in samples),
            statistics.median(sample.diagnosed for sample in samples),
            statistics.median(sample.bare for sample in samples),
        )
        totals = Sample(
            totals.worker + median.worker, totals.diagnosed + median.diagnosed, totals.bare + median.bare
        )
        _print(environment.name, median)
    _print("all", totals)


def warm(rounds: int = 3) -> None:
    """Print seconds to build all three environments from kept locks and a warm cache."""
    project = open_project(EXAMPLES / "validator.yml")
    for environment in project.plan.environments:
        _built(environment, project)  # the locks and the cache
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=KEPT) as folder:
            began = time.perf_counter()
            for environment in project.plan.environments:
                _built(environment, project, Path(folder))
            seconds.append(time.perf_counter() - began)
    print(f"three environments built warm: {statistics.median(seconds):.2f} s (target 3)")


def validate(rounds: int = 1) -> None:
    """Print wall seconds of the main job on the examples: every environment is built already."""
    command = [sys.executable, "-m", "validator", "run", "--config", str(EXAMPLES / "validator.yml")]
    seconds = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    print(f"the examples, warm environments: {statistics.median(seconds[1:]):.1f} s")


def _built(environment: Environment, project: Project, root: Path = KEPT) -> Path:
    built = prepare(environment, project.install, root, KEPT / "locks", Uv.bundled(os.environ))
    assert isinstance(built, Built), built
    return built.python


def _pair(project: Project, environment: Environment, python: Path) -> Sample:
    with tempfile.TemporaryDirectory() as scratch:
        worker = _worker(JobMaker(project, RunFolder(Path(scratch, "plain"))), environment, python, ())
        diagnosed = _worker(
            JobMaker(project, RunFolder(Path(scratch, "full"))), environment, python, DIAGNOSIS
        )
        bare = _bare(project, environment, python, Path(scratch))
    return Sample(worker, diagnosed, bare)


def _worker(maker: JobMaker, environment: Environment, python: Path, checks: tuple[str, ...]) -> float:
    jobs: list[Job] = [
        replace(
            job,
            evaluate=False,
            tasks={name: options for name, options in job.tasks.items() if name in checks},
        )
        for job in predictions(maker)
        if job.environment == environment.name
    ]
    place = Place(
        environment, maker.folder.captures(environment.name), (maker.project.folder,), lambda: python
    )
    began = time.perf_counter()
    with Pool([place], Bounds(600, 600, default_memory()), _NOBODY, 1) as pool:
        captures = pool.run(jobs)
    seconds = time.perf_counter() - began
    failed = {job: capture for job, capture in captures.items() if isinstance(capture, Failure)}
    assert not failed, failed
    return seconds


def _bare(project: Project, environment: Environment, python: Path, output: Path) -> float:
    wanted = [
        cell.model + (":" + cell.variant.precision if cell.variant.name else "")
        for cell in project.plan.cells
        if cell.environment == environment.name
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(output), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [str(python), str(Path(__file__).with_name("bare.py")), str(EXAMPLES), str(output), *wanted]
    began = time.perf_counter()
    subprocess.run(
        command, check=True, env={**environ, **dict(environment.variables)}, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def _print(name: str, sample: Sample) -> None:
    predict, bare, diagnosed = sample.worker, sample.bare, sample.diagnosed
    against_bare = f"{name:15} {predict:9.2f} {bare:6.2f} {predict / bare:6.2f}"
    print(f"{against_bare} {diagnosed:10.2f} {diagnosed / predict:6.2f}")
