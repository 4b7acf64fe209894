"""The answer of a worker's task `noise` as typed values (docs/protocol.md, "The task noise")."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, ValidationError

from validator.base import Frozen
from validator.errors import CannotJudgeError
from validator.runner.captures import WorkerFailure
from validator.tensors import TensorEntry
from validator.text import first_line

_T = TypeVar("_T", bound=Frozen)
Double = NDArray[np.float64]


class OutputNoise(Frozen):
    """How far one output moves when the weights move by one unit in the last place.

    `rms` and `max_abs` are over all members and samples, in the output's unit; None where they could not be
    measured. `path`: a `.npy` of float64 with the rms of every sample, None without a sample axis. `split_*`:
    the same samples in batches of half the size.
    """

    name: str
    rms: float | None = None
    max_abs: float | None = None
    flips: int = 0
    rows: int = 0
    nonfinite: int = 0
    path: str | None = None
    split_rms: float | None = None
    split_max_abs: float | None = None


class NoiseAnswer(Frozen):
    """What the task answered. `reason` says why there is no noise, `failure` why there is not even that."""

    failure: WorkerFailure | None = None
    reason: str = ""
    weights: int = 0
    members: int = 0
    samples: int = 0
    split: int | None = None
    outputs: tuple[OutputNoise, ...] = ()

    def of(self, output: str) -> OutputNoise | None:
        """What was measured of one output."""
        return next((found for found in self.outputs if found.name == output), None)

    def missing(self, output: str) -> str:
        """Why there is no noise for an output, in words; empty where there is."""
        if self.failure is not None:
            return f"measuring it failed: {self.failure.error}: {first_line(self.failure.message)}"
        if self.reason:
            return self.reason
        found = self.of(output)
        if found is None:
            return "it is no floating-point output"
        if found.rms is None:
            return "the output takes another shape, or nothing of it is finite"
        return "" if found.rms > 0 else "the weights do not move this output"


class TwinAnswer(Frozen):
    """What the task `twin` answered. `policy` is None where the cell is none of half precision.

    Paths of `outputs` and `noise` are relative to the folder `twin` of the cell's capture.
    """

    failure: WorkerFailure | None = None
    policy: str | None = None
    outputs: tuple[TensorEntry, ...] = ()
    noise: NoiseAnswer | None = None


def parse_noise(answer: JsonValue | None) -> NoiseAnswer | None:
    """The typed answer; None where the task was not asked for.

    Raises:
        CannotJudgeError: it is something else.
    """
    return None if answer is None else _parse(NoiseAnswer, answer, "noise")


def parse_twin(answer: JsonValue | None) -> TwinAnswer | None:
    """The typed answer; None where the task was not asked for.

    Raises:
        CannotJudgeError: it is something else.
    """
    return None if answer is None else _parse(TwinAnswer, answer, "twin")


def _parse(kind: type[_T], answer: JsonValue, task: str) -> _T:
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        reason = str(error).splitlines()[0]
        raise CannotJudgeError(
            f"the answer of the task {task} cannot be read ({reason}); run the cell again"
        ) from None


def read_rows(noise: OutputNoise, folder: Path) -> Double | None:
    """The noise of every sample, or None where there is none.

    Raises:
        CannotJudgeError: the file is gone or does not hold it.
    """
    if noise.path is None:
        return None
    path = folder / noise.path
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CannotJudgeError(f"{path}: no noise of samples ({error}); run the cell again") from None
    if rows.ndim != 1 or rows.dtype != np.float64:
        raise CannotJudgeError(f"{path}: holds {rows.dtype} {rows.shape}, not one float64 a sample")
    found: Double = rows
    return found
