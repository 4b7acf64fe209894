"""Writes what a worker is asked to do. The format is described in docs/protocol.md."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import JsonValue

from validator.matrix import Environment
from validator.runner.memory import share_left
from validator.runner.sandbox import Sandbox

#: Fields of a job that decide when and where it runs. The worker does not see them.
_PLACING = frozenset(("environment", "needs", "budget"))


@dataclass(frozen=True)
class Overlay:
    """The Keras of one job, laid over the environment's own (docs/protocol.md). Every path is absolute.

    Attributes:
        folder: where the package `keras` lies.
        beside: folders with what an older or newer Keras imports and the environment lacks.
        sources: a JSON file of relative path → text that stands in for a file of the folder.
        trace: a file to write which functions of it ran.
    """

    folder: str
    beside: tuple[str, ...] = ()
    sources: str | None = None
    trace: str | None = None


@dataclass(frozen=True)
class PredictedPiece:
    """The folder of a job (absolute) that predicted the batches [first, stop) of another one."""

    folder: str
    first: int
    stop: int


@dataclass(frozen=True)
class Job:
    """One cell, or one task of it, as the worker sees it: every path absolute.

    Attributes:
        predict: without, only the tasks are done.
        variables: a worker of its own is started with them.
        environment: whose worker does it.
        needs: ids of jobs, in any environment, that must have succeeded before it starts.
        budget: the name of a time limit that it shares with other jobs.
        brief: predicts once; nothing is compared with a second prediction.
        batches: the only ones that it predicts; all if empty. They are consecutive unless the job is brief.
        pieces: captures that together hold all of its batches, in their order: the model predicts the first
            batch alone, and all of them unless that is the same, byte for byte.
        overlay: the Keras that the job imports, in a worker that imports none before.
    """

    id: str
    folder: str
    artifact: str | None
    builder: str | None
    builder_arguments: dict[str, str | int | float | bool]
    weights: str | None
    custom_objects: tuple[str, ...]
    safe_mode: bool
    compile: bool
    signature: str
    variant: dict[str, str]
    inputs: str
    labels: str | None
    batch_size: int
    evaluate: bool
    environment: str
    predict: bool = True
    tasks: dict[str, dict[str, JsonValue]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    budget: str = ""
    brief: bool = False
    batches: tuple[int, ...] = ()
    pieces: tuple[PredictedPiece, ...] = ()
    overlay: Overlay | None = None

    def file(self, name: str) -> Path:
        """A file in the job's folder."""
        return Path(self.folder, name)


@dataclass(frozen=True)
class Bounds:
    """Limits of a worker: seconds for the import, seconds of one job, bytes of resident memory.

    `sandbox`: what it may open; None for all that its user may. `share_left`: how much of all memory is free,
    from 0 to 1, for all workers together.
    """

    start_seconds: float
    job_seconds: float
    memory: int
    sandbox: Sandbox | None = None
    share_left: Callable[[], float] = share_left


def write_request(
    path: Path,
    environment: Environment,
    jobs: Sequence[Job],
    pythonpath: Sequence[Path],
    bounds: Bounds,
) -> None:
    """Write a request for the worker of an environment."""
    request = {
        "schema": 1,
        "environment": environment.name,
        "legacy": environment.legacy,
        "backend": environment.backend,
        "pythonpath": [str(folder) for folder in pythonpath],
        "seed": 0,
        "expected": _expected(environment, jobs),
        "overlays": any(job.overlay for job in jobs),
        "memory": bounds.memory,
        "sandbox": None if bounds.sandbox is None else [str(path) for path in bounds.sandbox.write],
        "jobs": [
            {name: value for name, value in asdict(job).items() if name not in _PLACING} for job in jobs
        ],
    }
    write_json(path, request)


def _expected(environment: Environment, jobs: Sequence[Job]) -> dict[str, JsonValue]:
    """What the name of an environment promises: the worker refuses to run under anything else."""
    own = {name for job in jobs for name in job.variables}
    return {
        "python": environment.python,
        "keras": str(environment.keras) if environment.keras else None,
        "variables": {name: value for name, value in environment.variables if name not in own},
    }


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically: complete or not at all."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text atomically; of what is no Unicode `?` is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8", errors="replace")
    temporary.replace(path)
