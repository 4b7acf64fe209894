"""The numbers and findings of the check `loading`: is what runs what the file holds?"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from validator.base import Frozen
from validator.checks.protocol import Comparison, Finding
from validator.failure import Failure
from validator.runner.captures import Note

Side = Literal["baseline", "candidate"]
SIDES: tuple[Side, Side] = ("baseline", "candidate")


class LoadedSide(Frozen):
    """How one side's model came to be."""

    loaded_from: Literal["artifact", "builder"] | None = None
    artifact_failure: Failure | None = None
    notes: tuple[Note, ...] = ()


class BuilderSetting(Frozen):
    """A setting with arguments for the builder: the model is built, although an artifact exists."""

    setting: str
    builder: str
    arguments: dict[str, str | int | float | bool]


class LoadingComparison(Comparison):
    """How both sides were loaded."""

    baseline: LoadedSide
    candidate: LoadedSide
    setting: BuilderSetting | None = None


class _OfLoading(Finding):
    check: Literal["loading"] = "loading"


class ArtifactFinding(_OfLoading):
    """The artifact does not load on a side; its builder ran with the weights."""

    kind: Literal["artifact-not-loaded"] = "artifact-not-loaded"
    side: Side
    failure: Failure


class SettingFinding(_OfLoading):
    """The cell's setting has arguments for the builder, so that the artifact was not used."""

    kind: Literal["setting-built"] = "setting-built"
    setting: BuilderSetting


class NoteFinding(_OfLoading):
    """A note of a worker. Tasks that were lost with a worker make a run no plain pass."""

    kind: Literal["worker-note", "tasks-lost"]
    side: Side
    note: str = Field(
        description="Its kind: `inputs`, `outputs`, `compile`, `precision`, `attention`, `tasks`."
    )
    text: str = Field(description="In the worker's words.")


class BaselineFailed(_OfLoading):
    """The baseline has no capture: nothing can be compared with it, and nothing is said about the upgrade."""

    kind: Literal["baseline-failed"] = "baseline-failed"
    failure: Failure


class CellFailed(_OfLoading):
    """The candidate has no capture."""

    kind: Literal["cell-failed"] = "cell-failed"
    failure: Failure
