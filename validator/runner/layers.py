"""The answers of a worker's tasks `layers` and `golden` as typed values (docs/protocol.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import Field, JsonValue, ValidationError

from validator.base import Frozen
from validator.errors import CannotJudgeError
from validator.layers import Layers
from validator.runner.captures import Capture, WorkerFailure

_MAX_BYTES = 256 << 20
_T = TypeVar("_T", bound=Frozen)


class LayersAnswer(Frozen):
    """What the task `layers` answered. `path` is None where there is nothing, and `reason` says why."""

    failure: WorkerFailure | None = None
    path: str | None = None
    reason: str = ""
    mode: str = ""
    note: str = ""
    rows: tuple[int, ...] = ()
    members: int = 0
    calls: int = 0


class FedOutput(Frozen):
    """One output of a layer that was fed the baseline's inputs, against the baseline's recorded output.

    `rms` is None where the two could not be paired, `noise_rms` where the layer has no weights to move.
    """

    path: str
    dtype: str | None
    same: bool
    rms: float | None
    max_abs: float | None
    nonfinite: int
    rms_baseline: float | None
    noise_rms: float | None
    valid_rms: float | None
    padded_rms: float | None


class FedCall(Frozen):
    """One fed call of the candidate; `failure` says why it could not be made alone."""

    call: int
    failure: str | None
    outputs: tuple[FedOutput, ...] = ()


class GoldenAnswer(Frozen):
    """What the task `golden` answered. `left`: calls for which there was no time."""

    failure: WorkerFailure | None = None
    fed: tuple[FedCall, ...] = ()
    left: int = Field(default=0)


def read_layers(capture: Capture, folder: Path) -> Layers | None:
    """What was recorded of a cell's layers; None where the task was not asked for, failed, or found none.

    Raises:
        CannotJudgeError: the answer or its file cannot be read.
    """
    answer = _parsed(LayersAnswer, capture.tasks.get("layers"), "layers")
    if answer is None or answer.path is None:
        return None
    path = folder / answer.path
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CannotJudgeError(f"{path}: larger than {_MAX_BYTES >> 20} MiB; run the cell again")
        return Layers.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CannotJudgeError(f"{path}: no recording of layers ({reason}); run the cell again") from None


def layers_answer(capture: Capture) -> LayersAnswer | None:
    """The answer of the task `layers` itself.

    Raises:
        CannotJudgeError: it is something else.
    """
    return _parsed(LayersAnswer, capture.tasks.get("layers"), "layers")


def golden_answer(capture: Capture) -> GoldenAnswer | None:
    """The answer of the task `golden`.

    Raises:
        CannotJudgeError: it is something else.
    """
    return _parsed(GoldenAnswer, capture.tasks.get("golden"), "golden")


def _parsed(kind: type[_T], answer: JsonValue | None, task: str) -> _T | None:
    if answer is None:
        return None
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        reason = str(error).splitlines()[0]
        raise CannotJudgeError(
            f"the answer of the task {task} cannot be read ({reason}); run the cell again"
        ) from None
