"""Reads what a worker left: the facts of its environment, and one capture a job. Each file is parsed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, JsonValue, ValidationError

from validator.base import Frozen
from validator.documents import first_problem, read_model
from validator.failure import Failure, Hint, Stage, WeightsAccount
from validator.storage.tensors import StoredTensor, TensorEntry, open_tensors

#: The worker's own files in the folder of an environment: no model's name begins with `+`.
WORKER_FOLDER = "+worker"
_T = TypeVar("_T", bound=Frozen)


class WorkerFailure(Frozen):
    """A failure as the worker writes it."""

    stage: Stage
    error: str
    message: str
    traceback: str = ""
    hint: Hint | None = None
    weights: WeightsAccount | None = None

    def failure(self) -> Failure:
        """The same for a report."""
        return Failure(
            stage=self.stage,
            error=self.error,
            message=self.message,
            log=self.traceback,
            hint=self.hint,
            weights=self.weights,
        )


class KerasFacts(Frozen):
    """The Keras that really ran."""

    module: str
    version: str


class CpuFacts(Frozen):
    """The processor."""

    model: str
    features: tuple[str, ...]


class EnvironmentFacts(Frozen):
    """`environment.json`: what a worker sees after importing Keras."""

    schema_version: Literal[1] = Field(alias="schema")
    keras: KerasFacts | None = None
    backend: str = ""
    packages: dict[str, str] = {}
    python: str = ""
    cpu: CpuFacts
    isolation: Literal["fork", "process"] | None = None
    failure: WorkerFailure | None = None


class Note(Frozen):
    """Something worth knowing about how a job ran."""

    kind: str
    message: str


class WorkerWarning(Frozen):
    """Something that a framework warned of. `key`: the message without what differs from run to run."""

    phase: Literal["load", "predict"]
    category: str
    message: str
    key: str


class SelfDifference(Frozen):
    """An output that differed between two predictions of the same worker."""

    output: str
    max_abs: float | None = None
    elements: int


class Response(Frozen):
    """`response.json`: what one job gave (docs/protocol.md)."""

    schema_version: Literal[1] = Field(alias="schema")
    id: str
    failure: WorkerFailure | None
    artifact_failure: WorkerFailure | None = None
    compile_failure: WorkerFailure | None = None
    loaded_from: Literal["artifact", "builder"] | None = None
    weights: WeightsAccount | None = None
    artifact_kind: str | None = None
    policy: str | None = None
    jit: bool | str | None = None
    samples: int | None = None
    batch_size: int | None = None
    inputs_digest: str | None = None
    joined: bool | None = None
    outputs: tuple[TensorEntry, ...] = ()
    deterministic: bool | None = None
    self_difference: tuple[SelfDifference, ...] = ()
    listed: tuple[SelfDifference, ...] | None = None
    state: tuple[str, ...] = ()
    reported: dict[str, float | None] | None = None
    reported_listed: dict[str, float | None] | None = None
    masked: bool = False
    reported_failure: WorkerFailure | None = None
    notes: tuple[Note, ...] = ()
    warnings: tuple[WorkerWarning, ...] = ()
    surroundings: dict[str, str] = {}
    tasks: dict[str, dict[str, JsonValue]] = {}
    seconds: dict[str, float] = {}


@dataclass(frozen=True)
class Capture:
    """What one job left: its response, and the folder that the paths in it start from.

    `seal`: path in the folder → SHA-256 of the file as the job ended.
    """

    folder: Path
    response: Response
    seal: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def outputs(self) -> tuple[StoredTensor, ...]:
        """The predictions, their files checked.

        Raises:
            ConfigurationError: a file is missing or other than the response says.
        """
        return open_tensors(self.response.outputs, self.folder)

    @property
    def seconds(self) -> float:
        """What the job took in the worker."""
        return round(sum(self.response.seconds.values()), 3)

    def answer(self, check: str, kind: type[_T]) -> _T | Failure | None:
        """The typed answer of a check's task; its failure; None where the job had no such task."""
        answer = self.response.tasks.get(check)
        if answer is None:
            return None
        try:
            failure = answer.get("failure")
            if failure is not None:
                return WorkerFailure.model_validate(failure).failure()
            return kind.model_validate({name: value for name, value in answer.items() if name != "failure"})
        except ValidationError as error:
            return _broken(self.folder, f"the answer of the task {check}: {first_problem(error)}")


def read_capture(folder: Path, identity: str | None = None) -> Capture | Failure:
    """The capture in a job's folder, or why there is none: the job failed, or left no response.

    `identity` is the id of the job, which the response must name; None reads whatever lies there.
    """
    try:
        response = read_model(folder / "response.json", Response)
    except FileNotFoundError:
        return Failure(stage="crash", error="worker", message=f"{folder.name}: the worker left no response")
    except OSError as error:
        return _broken(folder, f"response.json: {error.strerror or error}")
    except ValueError as error:
        return _broken(folder, f"response.json: {error}")
    if identity is not None and response.id != identity:
        return _broken(folder, f"response.json is about {response.id!r}, not {identity!r}")
    names = [output.name for output in response.outputs]
    if len(set(names)) < len(names):
        return _broken(folder, "response.json has two outputs of one name")
    return response.failure.failure() if response.failure else Capture(folder, response)


def read_environment(folder: Path) -> EnvironmentFacts | None:
    """The facts that a worker left in its folder; None where it left none, or what it left cannot be read."""
    try:
        return read_model(folder / "environment.json", EnvironmentFacts)
    except (OSError, ValueError):
        return None


def worker_facts(capture: Path, environment: str = "") -> EnvironmentFacts | None:
    """The facts of the environment that a capture is from, or of another of the same run by its name."""
    for folder in capture.parents:
        if (folder / WORKER_FOLDER / "environment.json").is_file():
            return read_environment((folder.parent / environment if environment else folder) / WORKER_FOLDER)
    return None


def _broken(folder: Path, reason: str) -> Failure:
    message = f"{folder}: not a capture ({reason}); run the cell again"
    return Failure(stage="crash", error="capture", message=message)
