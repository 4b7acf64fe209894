"""The numbers and findings of the check `loading`: is what runs what the file holds?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from validator.base import Frozen, Text
from validator.checks.protocol import Comparison, Finding
from validator.failure import Failure, WeightsAccount
from validator.runner.captures import Note, SelfDifference, WorkerWarning

Side = Literal["baseline", "candidate"]
SIDES: tuple[Side, Side] = ("baseline", "candidate")
#: Of what a process ran under: which kernels its processor runs, and so in which order numbers are added.
PROCESSOR = ("processor", "instruction sets")
#: What the account of a file's weights leaves open, although every variable is filled.
Leftover = Literal["tensors-not-used", "optimizer-not-restored"]


class LoadedSide(Frozen):
    """How one side's model came to be, and what its process ran under."""

    loaded_from: Literal["artifact", "builder"] | None = None
    artifact_failure: Failure | None = None
    compile_failure: Failure | None = None
    weights: WeightsAccount | None = Field(default=None, description="Null where the file has no account.")
    notes: tuple[Note, ...] = ()
    warnings: tuple[WorkerWarning, ...] = ()
    surroundings: dict[str, str] = Field(
        default={}, description="Settings of the process that change numbers: float type, threads, variables."
    )
    listed: tuple[SelfDifference, ...] = ()
    state: tuple[str, ...] = ()


class BuilderSetting(Frozen):
    """A setting with arguments for the builder: the model is built, although an artifact exists."""

    setting: str
    builder: str
    arguments: dict[str, str | int | float | bool]


class LoadingComparison(Comparison):
    """How both sides were loaded.

    `expected`: variables of the process that differ because the cell's name says so.
    """

    baseline: LoadedSide
    candidate: LoadedSide
    setting: BuilderSetting | None = None
    expected: tuple[str, ...] = ()

    @property
    def other_processor(self) -> bool:
        """Whether the two sides ran on other processors, so that no bit can be compared."""
        return are_other_processors(self.baseline.surroundings, self.candidate.surroundings)


def are_other_processors(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Whether two processes ran on processors of another model, or with other instruction sets.

    Both are known from what they ran under; what a side does not say decides nothing.
    """
    return any(name in before and name in after and before[name] != after[name] for name in PROCESSOR)


class _OfLoading(Finding):
    check: Literal["loading"] = "loading"


class ArtifactFinding(_OfLoading):
    """The artifact does not load on a side; its builder ran with the weights. On one side only is no pass."""

    kind: Literal["artifact-not-loaded"] = "artifact-not-loaded"
    side: Side
    failure: Failure


class CompilationFinding(_OfLoading):
    """The artifact loads on a side without its compilation alone. On one side only is no pass."""

    kind: Literal["compilation-not-loaded"] = "compilation-not-loaded"
    side: Side
    failure: Failure


class LeftoverFinding(_OfLoading):
    """What of a file did not reach the model, or its optimizer, on one side or on both."""

    kind: Leftover
    side: Side | Literal["both"]
    weights: WeightsAccount


class WarningFinding(_OfLoading):
    """A warning that the baseline's process does not give; `more` others are left out."""

    kind: Literal["new-warning"] = "new-warning"
    warning: WorkerWarning
    more: int = 0


class SurroundingsFinding(_OfLoading):
    """A setting of the process that differs without being part of the upgrade; null where not set."""

    kind: Literal["surroundings-differ"] = "surroundings-differ"
    name: str
    baseline: str | None
    candidate: str | None


class SettingFinding(_OfLoading):
    """The cell's setting has arguments for the builder, so that the artifact was not used."""

    kind: Literal["setting-built"] = "setting-built"
    setting: BuilderSetting


class NoteFinding(_OfLoading):
    """A note of a worker. Lost tasks, and a `predict` that is not called, make a run no plain pass."""

    kind: Literal["worker-note", "tasks-lost", "own-predict"]
    side: Side
    note: str = Field(description="Its kind, such as `inputs`, `precision`, `predict` or `tasks`.")
    text: str = Field(description="In the worker's words.")


class InputsFedFinding(_OfLoading):
    """In one environment, inputs fed as a dict give other predictions than as a list. The dict decides."""

    kind: Literal["inputs-fed"] = "inputs-fed"
    side: Side
    outputs: tuple[SelfDifference, ...] = Field(description="What differs between the two, in one batch.")


class StateFinding(_OfLoading):
    """Layers keep a state from batch to batch; before each pass it is reset."""

    kind: Literal["state"] = "state"
    layers: tuple[str, ...]


class BaselineFailed(_OfLoading):
    """The baseline has no capture: nothing can be compared with it, and nothing is said about the upgrade."""

    kind: Literal["baseline-failed"] = "baseline-failed"
    failure: Failure


class CellFailed(_OfLoading):
    """The candidate has no capture."""

    kind: Literal["cell-failed"] = "cell-failed"
    failure: Failure


class ShardMissing(_OfLoading):
    """The shard that judges the cell left no result: nothing is known of it."""

    kind: Literal["shard-missing"] = "shard-missing"
    shard: str = Field(
        pattern=r"^[0-9]{1,3}/[0-9]{1,3}$", description="Its number and how many there are, such as `2/3`."
    )
    why: Text = Field(default="", description="Why it left no result, where that is known.")
