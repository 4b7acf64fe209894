"""Runs the cases through the product: one run for each baseline, with every model of it in one plan."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from bench.corpus.benign import ONE_THREAD, ONEDNN_OFF, ORDERS
from bench.corpus.case import Case, Model
from bench.corpus.known import EDITED, OLD
from bench.corpus.models import data
from validator.matrix import Cell, Plan, Variant
from validator.pipeline.project import Project, open_project
from validator.pipeline.run import clear
from validator.pipeline.run_folder import RunFolder
from validator.pipeline.validate import Run, validate, write
from validator.runner import Watcher
from validator.verdict.results import CellResult

#: Beside Nox's own environments: `.nox/corpus` is that of the session.
KEPT = Path(__file__).resolve().parents[2] / ".nox" / "corpus-environments"
RUNS = KEPT.with_name("corpus-runs")
#: Environments with the packages of the oldest Keras 3, and what their workers start with.
_VARIABLES = {
    EDITED: {"KV_CORPUS_EDIT": "1"},
    ONEDNN_OFF: {"TF_ENABLE_ONEDNN_OPTS": "0"},
    ONE_THREAD: {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
    **{environment: {"KV_CORPUS_ORDER": order} for environment, order in ORDERS.items()},
}
_PACKAGES = {
    "version": 1,
    "python": "3.11",
    "requirements": ["tensorflow-cpu==2.17.1", "numpy==1.26.4"],
    "matrix": {"keras": ["3.3.3", "3.5.0", "legacy", "3.15.1"]},
    "environments": {"keras-3.15.1": {"requirements": ["tensorflow-cpu==2.21.0", "numpy>=2"]}},
    "gate": {"fail_on": []},
    "parity": {"search": False},
}
_QUIET = Watcher(lambda _, __: None, lambda _: None, lambda _, __: None)


@dataclass(frozen=True)
class Ran:
    """One case, the product's verdict, and where the captures of both sides lie."""

    case: Case
    result: CellResult
    baseline: Path
    candidate: Path


def run_cases(cases: Sequence[Case], jobs: int, folder: Path = RUNS, seed: int | None = None) -> list[Ran]:
    """Run every case through the product: one run for each baseline.

    Args:
        cases: of any pairs.
        jobs: environments that compute at the same time.
        folder: where a project and a run are written for each baseline.
        seed: draws other weights and inputs; None for those of the corpus.
    """
    ran: list[Ran] = []
    for baseline in dict.fromkeys(case.pair.baseline for case in cases):
        started = [case for case in cases if case.pair.baseline == baseline]
        ran += _run(_project(folder / f"from-{baseline}", started, seed), started, jobs)
    return ran


def _run(project: Project, cases: Sequence[Case], jobs: int) -> list[Ran]:
    run = Run(project, RunFolder(project.work / "run"), jobs, _QUIET)
    clear(run.folder)
    began = time.monotonic()
    report = validate(run)
    write(run.folder, report)
    failures = {place.name: place.failure for place in report.environments if place.failure}
    assert not failures, failures
    print(
        f"  from {project.plan.baseline:23} {time.monotonic() - began:6.1f} s, "
        f"{len(project.plan.cells)} cells"
    )
    results = {cell.cell: cell for model in report.models for cell in model.cells}
    return [_ran(run, case, results) for case in cases]


def _ran(run: Run, case: Case, results: dict[str, CellResult]) -> Ran:
    cell = _cell(case.model, case.pair.candidate)
    folders = run.folder.capture(run.project.plan.baseline_of(cell)), run.folder.capture(cell)
    return Ran(case, results[cell.id], *folders)


def _project(folder: Path, cases: Sequence[Case], seed: int | None) -> Project:
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
    _share_environments(project)
    return dataclasses.replace(project, plan=_plan(project.plan, cases, seed))


def _share_environments(project: Project) -> None:
    """Let every run use the same environments and locks."""
    project.work.mkdir(exist_ok=True)
    for name in ("environments", "locks"):
        (KEPT / name).mkdir(parents=True, exist_ok=True)
        place = project.work / name
        if not place.is_symlink():
            place.symlink_to(KEPT / name)


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


def _plan(laid_out: Plan, cases: Sequence[Case], seed: int | None) -> Plan:
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
    drawn = () if seed is None else (("KV_CORPUS_SEED", str(seed)),)
    environments = tuple(
        dataclasses.replace(environment, variables=(*environment.variables, *drawn))
        for name, environment in known.items()
        if name in used
    )
    return Plan(cases[0].pair.baseline, environments, tuple(cells))


def _cell(model: Model, environment: str) -> Cell:
    return Cell(model.name, environment, Variant(model.precision))
