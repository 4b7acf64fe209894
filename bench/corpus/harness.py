"""Runs the cases through the product: one run for each baseline, with every model of it in one plan."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml

from bench.corpus.benign import ONE_THREAD, ONEDNN_OFF, ORDERS
from bench.corpus.case import Case, Model
from bench.corpus.known import EDITED
from bench.corpus.models import data
from validator.environments import Built, Uv, prepare
from validator.failure import Failure
from validator.matrix import Cell, Plan, Variant
from validator.pipeline.bounds import bounds_of
from validator.pipeline.places import places
from validator.pipeline.project import Project, open_project
from validator.pipeline.run import clear
from validator.pipeline.run_folder import RunFolder
from validator.pipeline.validate import Run, validate, write
from validator.report.json import worded
from validator.runner import Capture, Job, Pool, Watcher, read_capture
from validator.verdict.results import CellResult

#: Beside Nox's own environments: `.nox/corpus` is that of the session.
KEPT = Path(__file__).resolve().parents[2] / ".nox" / "corpus-environments"
_KEPT = (KEPT / "environments", KEPT / "locks")
RUNS = KEPT.with_name("corpus-runs")
_TENSORFLOW = ("tensorflow-cpu==2.17.1", "numpy==1.26.4")
_JAX = ("jax==0.4.38", "jaxlib==0.4.38", "numpy==1.26.4")
_QUIET = Watcher(lambda _, __: None, lambda _: None, lambda _, __: None)
_NONE: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Ran:
    """One case, the product's verdict, and where the captures of both sides lie."""

    case: Case
    result: CellResult
    baseline: Path
    candidate: Path


@dataclass(frozen=True)
class Series:
    """Environments that cases may name.

    Attributes:
        keras: the releases of the matrix.
        requirements: packages of all of them.
        environments: packages of one alone, as in validator.yml.
        variables: further environments with the packages of the first release → what workers start with.
        seed: draws other weights and inputs; None for those of the corpus.
    """

    keras: tuple[str, ...]
    requirements: tuple[str, ...] = _TENSORFLOW
    backend: str = "tensorflow"
    environments: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    seed: int | None = None

    @property
    def settings(self) -> dict[str, object]:
        """validator.yml without its models."""
        return {
            "version": 1,
            "python": "3.11",
            "requirements": list(self.requirements),
            "matrix": {"keras": list(self.keras), "backend": [self.backend]},
            "environments": dict(self.environments),
            "gate": {"fail_on": []},
            "parity": {"search": False},
        }


CORPUS = Series(
    keras=("3.3.3", "3.5.0", "legacy", "3.15.1"),
    environments={"keras-3.15.1": {"requirements": ["tensorflow-cpu==2.21.0", "numpy>=2"]}},
    variables={
        EDITED: {"KV_CORPUS_EDIT": "1"},
        ONEDNN_OFF: {"TF_ENABLE_ONEDNN_OPTS": "0"},
        ONE_THREAD: {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
        **{environment: {"KV_CORPUS_ORDER": order} for environment, order in ORDERS.items()},
    },
)


def releases(cases: Sequence[Case]) -> list[tuple[Series, list[Case]]]:
    """Cases that name nothing but a release of Keras, and perhaps JAX, with their environments."""
    series = []
    for backend, requirements in (("tensorflow", _TENSORFLOW), ("jax", _JAX)):
        mine = [case for case in cases if case.pair.candidate.endswith("-jax") == (backend == "jax")]
        names = dict.fromkeys(name for case in mine for name in (case.pair.baseline, case.pair.candidate))
        versions = tuple(name.split("-")[1] for name in names)
        series += [(Series(versions, requirements, backend), mine)] if mine else []
    return series


def run_cases(
    cases: Sequence[Case], jobs: int, series: Series = CORPUS, folder: Path = RUNS, *, kept: bool = False
) -> list[Ran]:
    """Run every case through the product: one run for each baseline.

    Args:
        cases: of any pairs.
        jobs: environments that compute at the same time.
        series: the environments that the pairs name.
        folder: where a project and a run are written for each baseline.
        kept: judge what an earlier run of the same cases captured there, and run nothing.
    """
    ran: list[Ran] = []
    for baseline in dict.fromkeys(case.pair.baseline for case in cases):
        started = [case for case in cases if case.pair.baseline == baseline]
        project = _project(folder / f"from-{baseline}", series, started, kept=kept)
        kind = _KeptRun if kept else Run
        ran += _run(kind(project, RunFolder(project.work / "run"), jobs, _QUIET), started)
    return ran


class _KeptRun(Run):
    """A run whose captures are there already."""

    def pool(self) -> Pool:
        """What workers of an earlier run left, in their place."""
        bounds = bounds_of(self.project, self.folder)
        return _KeptCaptures(places(self.project, self.folder), bounds, self.watcher, self.jobs)


class _KeptCaptures(Pool):
    """Reads captures where a pool would have workers record them."""

    def run(
        self,
        jobs: Sequence[Job],
        budgets: Mapping[str, float] = _NONE,
        ended: Callable[[Job, Capture | Failure], None] = lambda job, capture: None,
    ) -> dict[str, Capture | Failure]:
        """The capture of each job, or why there is none."""
        captures = {job.id: read_capture(Path(job.folder), job.id) for job in jobs}
        for job in jobs:
            ended(job, captures[job.id])
        return captures


def _run(run: Run, cases: Sequence[Case]) -> list[Ran]:
    project = run.project
    if not isinstance(run, _KeptRun):
        clear(run.folder)
    began = time.monotonic()
    report = worded(validate(run))
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


def _project(folder: Path, series: Series, cases: Sequence[Case], *, kept: bool = False) -> Project:
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
    settings = {**series.settings, "origin": {"seconds": 0}, "models": list(models.values())}
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    project = open_project(path)
    _share_environments(project)
    project = dataclasses.replace(project, plan=_plan(project.plan, series, cases))
    if not kept:
        _save(project, {case.model.name: case.model for case in cases if case.model.saved}.values())
    return project


def _save(project: Project, models: Iterable[Model]) -> None:
    """Have the baseline's Keras save the models that are compared as files."""
    for model in models:
        environment = project.plan.environment(project.plan.baseline)
        built = prepare(environment, project.install, *_KEPT, Uv.bundled(os.environ))
        assert isinstance(built, Built), built
        module, _, function = model.builder.partition(":")
        code = f"from corpus_models.{module} import {function}; {function}().save('{model.name}.keras')"
        variables = {**os.environ, **dict(environment.variables)}
        subprocess.run([str(built.python), "-c", code], check=True, cwd=project.folder, env=variables)


def _share_environments(project: Project) -> None:
    """Let every run use the same environments and locks."""
    project.work.mkdir(exist_ok=True)
    for kept in _KEPT:
        kept.mkdir(parents=True, exist_ok=True)
        place = project.work / kept.name
        if not place.is_symlink():
            place.symlink_to(kept)


def _settings(model: Model) -> dict[str, object]:
    """A model as validator.yml has it."""
    module, _, _ = model.builder.partition(":")
    source: dict[str, object] = {
        "builder": f"corpus_models.{model.builder}",
        "builder_arguments": dict(model.arguments),
    }
    if model.saved:
        source = {"artifact": f"{model.name}.keras", "custom_objects": [f"corpus_models.{module}"]}
    settings: dict[str, object] = {
        "name": model.name,
        **source,
        "inputs": f"corpus_models.data:{model.inputs}",
        "matrix": {"precision": [model.precision]},
        **dict(model.settings),
    }
    return settings | ({"labels": f"{model.labels}.npz"} if model.labels else {})


def _plan(laid_out: Plan, series: Series, cases: Sequence[Case]) -> Plan:
    """The cells of the cases and their baselines, in environments that differ by variables too."""
    old = laid_out.environments[0]
    known = {environment.name: environment for environment in laid_out.environments}
    for name, variables in series.variables.items():
        known[name] = dataclasses.replace(old, name=name, variables=(*old.variables, *variables.items()))
    cells = dict.fromkeys(
        _cell(case.model, environment)
        for environment in known
        for case in cases
        if environment in (case.pair.baseline, case.pair.candidate)
    )
    used = {cell.environment for cell in cells}
    drawn = () if series.seed is None else (("KV_CORPUS_SEED", str(series.seed)),)
    environments = tuple(
        dataclasses.replace(environment, variables=(*environment.variables, *drawn))
        for name, environment in known.items()
        if name in used
    )
    return Plan(cases[0].pair.baseline, environments, tuple(cells))


def _cell(model: Model, environment: str) -> Cell:
    return Cell(model.name, environment, Variant(model.precision))
