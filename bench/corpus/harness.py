"""Runs the cases through the product: one run for each baseline, with every model of it in one plan."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from bench.corpus.benign import ONE_THREAD, ONEDNN_OFF
from bench.corpus.case import Case, Model
from bench.corpus.known import EDITED, OLD
from bench.corpus.models import data
from validator.environments import Built, build, create
from validator.environments.uv import Uv
from validator.matrix import Cell, Environment, Plan, Variant
from validator.pipeline.capture import Run, capture
from validator.pipeline.diagnose import diagnose
from validator.pipeline.judge import judge
from validator.pipeline.project import Project, open_project
from validator.pipeline.run_folder import RunFolder
from validator.pipeline.twins import run_twins
from validator.pipeline.validate import write
from validator.results import CellResult
from validator.runner import Watcher

#: Beside Nox's own environments: `.nox/corpus` is that of the session.
KEPT = Path(__file__).resolve().parents[2] / ".nox" / "corpus-environments"
RUNS = KEPT.with_name("corpus-runs")
#: Environments with the packages of the oldest Keras 3, and what their workers start with.
_VARIABLES = {
    EDITED: {"KV_CORPUS_EDIT": "1"},
    ONEDNN_OFF: {"TF_ENABLE_ONEDNN_OPTS": "0"},
    ONE_THREAD: {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
}
_PACKAGES = {
    "version": 1,
    "python": "3.11",
    "requirements": ["tensorflow-cpu==2.17.1", "numpy==1.26.4"],
    "matrix": {"keras": ["3.3.3", "3.5.0", "legacy", "3.15.1"]},
    "environments": {"keras-3.15.1": {"requirements": ["tensorflow-cpu==2.21.0", "numpy>=2"]}},
    "gate": {"fail_on": []},
}


@dataclass(frozen=True)
class Ran:
    """One case, what the product said, and where the captures of both sides lie."""

    case: Case
    result: CellResult
    baseline: Path
    candidate: Path


def run_cases(cases: Sequence[Case], jobs: int, folder: Path = RUNS) -> list[Ran]:
    """Run every case and read what the product makes of it.

    Args:
        cases: of any pairs.
        jobs: environments that are captured at the same time.
        folder: where a project and a run are written for each baseline.
    """
    baselines = dict.fromkeys(case.pair.baseline for case in cases)
    mine = {name: [case for case in cases if case.pair.baseline == name] for name in baselines}
    runs = {name: _run(folder / f"from-{name}", of) for name, of in mine.items()}
    captures = [(run, environment) for run in runs.values() for environment in run.project.plan.environments]
    for run, environment in captures:  # one after the other: both runs use some of them
        _build(run, environment)
    captures.sort(key=lambda one: -len(one[0].project.plan.cells_of(one[1].name)))  # the longest first
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda one: _capture(*one), captures))
        concluded = pool.map(lambda name: _conclude(runs[name], mine[name]), runs)
        return [one for ran in concluded for one in ran]


def _run(folder: Path, cases: Sequence[Case]) -> Run:
    project = _project(folder, cases)
    return Run(project, RunFolder(project.work / "run"), uuid.uuid4().hex)


def _conclude(run: Run, cases: Sequence[Case]) -> list[Ran]:
    """What `validate` does when all is captured."""
    clock = [time.monotonic()]
    report = judge(run)
    if run_twins(run, report):
        report = judge(run)
    clock.append(time.monotonic())
    report = diagnose(run, report)
    write(run.folder, report)
    clock.append(time.monotonic())
    name = f"from {run.project.plan.baseline}"
    print(f"  {name:28} {clock[1] - clock[0]:6.1f} s of twins, {clock[2] - clock[1]:.1f} s of diagnosis")
    results = {cell.cell: cell for model in report.models for cell in model.cells}
    return [_ran(run, case, results) for case in cases]


def _ran(run: Run, case: Case, results: dict[str, CellResult]) -> Ran:
    cell = _cell(case.model, case.pair.candidate)
    folders = run.folder.capture(run.project.plan.baseline_of(cell)), run.folder.capture(cell)
    return Ran(case, results[cell.id], *folders)


def _build(run: Run, environment: Environment) -> None:
    uv, venv = Uv.found(os.environ), KEPT / environment.name
    failure = create(venv, environment.python, uv)
    assert failure is None, failure
    built = build(environment, run.project.install, venv, run.project.locks, uv)
    assert isinstance(built, Built), built


def _capture(run: Run, environment: Environment) -> None:
    venv = KEPT / environment.name
    quiet = Watcher(lambda _: None, lambda _, __: None)
    status = capture(run, environment, venv, Uv.found(os.environ), quiet)
    assert status.failure is None, status.failure
    cells = len(run.project.plan.cells_of(environment.name))
    print(f"  {environment.name:28} {status.seconds:6.1f} s, {cells} models", flush=True)


def _project(folder: Path, cases: Sequence[Case]) -> Project:
    """A project with the models of the cases, whose plan has their cells alone."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "corpus_models", ignore_errors=True)
    shutil.copytree(
        Path(__file__).with_name("models"),
        folder / "corpus_models",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name, arrays in data.labels().items():
        np.savez(folder / f"{name}.npz", **arrays)
    models = {case.model.name: _settings(case.model) for case in cases}
    path = folder / "validator.yml"
    path.write_text(yaml.safe_dump({**_PACKAGES, "models": list(models.values())}, sort_keys=False))
    project = open_project(path)
    return dataclasses.replace(project, plan=_plan(project.plan, cases))


def _settings(model: Model) -> dict[str, object]:
    """A model as validator.yml has it."""
    settings: dict[str, object] = {
        "name": model.name,
        "builder": f"corpus_models.{model.builder}",
        "builder_arguments": dict(model.arguments),
        "inputs": f"corpus_models.data:{model.inputs}",
        "matrix": {"precision": [model.precision]},
    }
    return settings | ({"labels": f"{model.labels}.npz"} if model.labels else {})


def _plan(laid_out: Plan, cases: Sequence[Case]) -> Plan:
    """The cells of the cases and their baselines, in environments that differ by variables too."""
    old = laid_out.environment(OLD)
    known = {environment.name: environment for environment in laid_out.environments}
    for name, variables in _VARIABLES.items():
        known[name] = dataclasses.replace(old, name=name, variables=(*old.variables, *variables.items()))
    cells = dict.fromkeys(
        _cell(case.model, environment)
        for environment in known
        for case in cases
        if environment in (case.pair.baseline, case.pair.candidate)
    )
    used = {cell.environment for cell in cells}
    environments = tuple(environment for name, environment in known.items() if name in used)
    return Plan(cases[0].pair.baseline, environments, tuple(cells))


def _cell(model: Model, environment: str) -> Cell:
    return Cell(model.name, environment, Variant(model.precision))
