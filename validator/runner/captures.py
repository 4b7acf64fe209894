"""Reads what a worker left: the facts of its environment, and one capture per cell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, JsonValue, ValidationError

from validator.base import Frozen
from validator.errors import CannotJudgeError
from validator.results import Failure, Stage
from validator.tensors import TensorEntry

_MAX_BYTES = 64 << 20
_T = TypeVar("_T", bound=Frozen)


class WorkerFailure(Frozen):
    """A failure as the worker writes it."""

    stage: Stage
    error: str
    message: str
    traceback: str = ""

    def failure(self) -> Failure:
        """The same for a report."""
        return Failure(stage=self.stage, error=self.error, message=self.message, log=self.traceback)


class KerasFacts(Frozen):
    """The Keras that really ran."""

    module: str
    version: str
    file: str


class CpuFacts(Frozen):
    """The processor."""

    model: str
    features: tuple[str, ...]
    cores: int


class EnvironmentFacts(Frozen):
    """`environment.json`: what a worker found after importing Keras."""

    schema_version: Literal[1] = Field(alias="schema")
    environment: str
    keras: KerasFacts | None = None
    backend: str = ""
    packages: dict[str, str] = {}
    python: str = ""
    executable: str = ""
    platform: str = ""
    cpu: CpuFacts | None = None
    threads: dict[str, int] = {}
    onednn: bool | None = None
    jit: str | bool | None = None
    floatx: str = ""
    policy: str = ""
    seed: int = 0
    seconds: float = 0.0
    failure: WorkerFailure | None = None


class Note(Frozen):
    """Something worth saying about how a cell ran."""

    kind: str
    message: str


class SelfDifference(Frozen):
    """An output that differed between two predictions of the same worker."""

    output: str
    max_abs: float | None = None
    elements: int


class Capture(Frozen):
    """`response.json`: what running one cell gave."""

    schema_version: Literal[1] = Field(alias="schema")
    id: str
    failure: WorkerFailure | None
    artifact_failure: WorkerFailure | None = None
    loaded_from: Literal["artifact", "builder"] | None = None
    artifact_kind: str | None = None
    policy: str | None = None
    jit: bool | str | None = None
    samples: int | None = None
    batch_size: int | None = None
    inputs_digest: str | None = None
    outputs: tuple[TensorEntry, ...] = ()
    deterministic: bool | None = None
    self_difference: tuple[SelfDifference, ...] = ()
    reported: dict[str, float | None] | None = None
    reported_failure: WorkerFailure | None = None
    notes: tuple[Note, ...] = ()
    tasks: dict[str, JsonValue] = {}
    seconds: dict[str, float] = {}


def read_capture(folder: Path) -> Capture | None:
    """The capture in a cell's folder, or None where the cell has not run.

    Raises:
        CannotJudgeError: a file is there and is not a capture.
    """
    return _read(folder / "response.json", Capture)


def read_environment(folder: Path) -> EnvironmentFacts | None:
    """The facts of an environment's worker, or None where it never imported Keras.

    Raises:
        CannotJudgeError: a file is there and does not hold them.
    """
    return _read(folder / "environment.json", EnvironmentFacts)


def _read(path: Path, kind: type[_T]) -> _T | None:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CannotJudgeError(f"{path}: larger than {_MAX_BYTES >> 20} MiB; run the cell again")
        return kind.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise CannotJudgeError(f"{path}: not a capture ({reason}); run the cell again") from None
