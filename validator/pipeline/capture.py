"""Captures one environment: builds it, runs every cell of it, and records how far that came."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from validator.base import Frozen
from validator.config.settings import Limits
from validator.environments import Built, build
from validator.environments.uv import Uv
from validator.matrix import Cell, Environment
from validator.matrix.variants import own_setting
from validator.pipeline.decode_request import decode_options
from validator.pipeline.project import Project, check_files, prepare_recordings
from validator.pipeline.run_folder import RunFolder, locked
from validator.pipeline.training import training_job
from validator.results import Failure
from validator.runner import Bounds, Job, Supervisor, Watcher, default_memory, write_json, write_request


class Status(Frozen):
    """`status.json` of an environment. `run` ties it to one run: an older one's is never taken for it."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    run: str
    environment: str
    failure: Failure | None = None
    lock: str = ""
    reused: bool = False
    build_seconds: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Run:
    """One run: the project, its folder, when it began (UTC), and an id that every status carries."""

    project: Project
    folder: RunFolder
    id: str
    began: datetime = field(default_factory=lambda: datetime.now(timezone.utc))


def capture(run: Run, environment: Environment, venv: Path, uv: Uv, watcher: Watcher) -> Status:
    """Build an environment and run its cells.

    What goes wrong in the user's environment or model is recorded; the comparison says it.

    Args:
        run: what to run and where it is written.
        environment: one of the plan's.
        venv: a virtual environment of its Python, made by Nox.
        uv: installs into it.
        watcher: told about every cell.

    Raises:
        ConfigurationError: files are missing, or another run writes the same folder.
    """
    began = time.monotonic()
    check_files(run.project)
    folder = run.folder.captures(environment.name)
    with locked(folder, f"the captures of {environment.name}"):
        _clear(folder)
        jobs = make_jobs(run, environment)
        install, locks = run.project.install_of(environment.name), run.project.locks_of(environment.name)
        built = build(environment, install, venv, locks, uv)
        if isinstance(built, Failure):
            status = Status(run=run.id, environment=environment.name, failure=built)
        else:
            build_seconds = time.monotonic() - began
            _run_cells(run, environment, built, jobs, watcher)
            status = Status(
                run=run.id,
                environment=environment.name,
                lock=str(built.lock),
                reused=built.reused,
                build_seconds=round(build_seconds, 3),
                seconds=round(time.monotonic() - began, 3),
            )
        write_json(run.folder.status(environment.name), status.model_dump(mode="json", by_alias=True))
    return status


def _run_cells(
    run: Run, environment: Environment, built: Built, jobs: Sequence[Job], watcher: Watcher
) -> None:
    folder = run.folder.captures(environment.name)
    write_request(folder, environment, jobs, [run.project.folder])
    bounds = bounds_of(run.project.settings.limits)
    Supervisor(built.python, folder, dict(environment.variables), bounds, watcher).run(jobs)


def make_jobs(run: Run, environment: Environment) -> list[Job]:
    """The jobs of an environment, in the order of the plan; recordings are converted on the way."""
    cells = run.project.plan.cells_of(environment.name)
    jobs = [make_job(run, cell) for cell in cells]
    trainings = (
        training_job(run.project, run.folder, cell, job) for cell, job in zip(cells, jobs, strict=True)
    )
    return [*jobs, *(job for job in trainings if job is not None)]


def make_job(run: Run, cell: Cell) -> Job:
    """The job of one cell, in the plan or not.

    An artifact is ready-made: a setting with arguments for the builder takes the builder and its weights.
    """
    model = next(model for model in run.project.settings.models if model.name == cell.model)
    own = own_setting(model, cell.variant)
    artifact = None if own.builder_arguments else model.artifact
    recordings = prepare_recordings(run.project, model, run.folder)
    resolve = run.project.resolve
    return Job(
        id=cell.id,
        folder=str(run.folder.capture(cell)),
        model=model.name,
        artifact=resolve(artifact) if artifact else None,
        builder=model.builder,
        builder_arguments={**model.builder_arguments, **own.builder_arguments},
        weights=resolve(model.weights) if model.weights else None,
        custom_objects=model.custom_objects,
        safe_mode=model.safe_mode,
        signature=model.signature,
        variant={
            "precision": cell.variant.precision,
            "jit": cell.variant.jit,
            "attention": cell.variant.attention,
        },
        inputs=recordings.inputs,
        labels=recordings.labels,
        batch_size=model.batch_size,
        evaluate=recordings.labels is not None,
        tasks=_tasks(run, cell),
        variables=dict(own.variables),
    )


def _tasks(run: Run, cell: Cell) -> dict[str, dict[str, JsonValue]]:
    """What is asked for besides predictions. Noise is the baseline's: it is the floor for every candidate.

    Whether an as-saved model is one of half precision shows when it is loaded: the worker decides.
    """
    plan = run.project.plan
    is_baseline = cell.environment == plan.baseline
    tasks: dict[str, dict[str, JsonValue]] = {"noise": {}} if is_baseline else {}
    tasks["layers"] = {"noise": 2 if is_baseline else 0}
    if cell.variant.precision not in {"float32", "float64"} and plan.twin_of(cell) is None:
        tasks["twin"] = {"noise": {} if is_baseline else None}
    decode = decode_options(run.project, cell.model, run.folder, baseline=is_baseline)
    if decode is not None:
        tasks["decode"] = decode
    return tasks


def bounds_of(limits: Limits) -> Bounds:
    """The limits of one worker."""
    memory = default_memory() if limits.memory_gib is None else int(limits.memory_gib * 2**30)
    return Bounds(limits.start_seconds, limits.seconds, memory)


def _clear(folder: Path) -> None:
    """Remove what an earlier run left, all but the lock that is held."""
    for entry in folder.iterdir():
        if entry.name == ".lock":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
