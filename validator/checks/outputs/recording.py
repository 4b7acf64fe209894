"""What one side of a cell recorded: its outputs, the noise, and the same model in higher precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from validator.base import Frozen
from validator.checks.outputs.types import NoiseGap
from validator.checks.protocol import Evidence
from validator.errors import ConfigurationError
from validator.failure import Failure
from validator.numbers.drift import Double, NoiseFloor
from validator.runner.captures import Capture, Response, WorkerFailure
from validator.storage.tensors import StoredTensor, TensorEntry, open_tensors

_REFERENCE = "reference"  # the folder of a reference run beside the cell's own predictions


class OutputNoise(Frozen, extra="ignore"):
    """How far one output moves when the weights move by one unit in the last place.

    `rms` and `max_abs` are over all members and samples, in the output's unit; None where they could not be
    measured. `path`: a `.npy` of float64 with the rms of every sample, None without a sample axis.
    `split_rms`: the same samples in batches of half the size.
    """

    name: str
    rms: float | None = None
    max_abs: float | None = None
    path: str | None = None
    split_rms: float | None = None


class NoiseAnswer(Frozen, extra="ignore"):
    """The worker's answer on noise; `reason` says why no member ran."""

    failure: WorkerFailure | None = None
    reason: Literal["", "no-weights", "not-floating"] = ""
    outputs: tuple[OutputNoise, ...] = ()


class ReferenceAnswer(Frozen):
    """The worker's answer on the float32 reference; `policy` is None outside half precision."""

    failure: WorkerFailure | None = None
    policy: str | None = None
    outputs: tuple[TensorEntry, ...] = ()
    noise: NoiseAnswer | None = None


class OutputsAnswer(Frozen):
    """The answer of the task `outputs` (docs/protocol.md); None for what it was not asked for."""

    noise: NoiseAnswer | None = None
    reference: ReferenceAnswer | None = None


@dataclass(frozen=True)
class MeasuredNoise:
    """The noise of one run. `answer` is None where it was not measured; `folder` is where its files lie."""

    answer: NoiseAnswer | Failure | None = None
    folder: Path = Path()
    steady: bool = True

    def of(self, output: str) -> OutputNoise | None:
        """What was measured of one output."""
        outputs = self.answer.outputs if isinstance(self.answer, NoiseAnswer) else ()
        return next((noise for noise in outputs if noise.name == output), None)

    def floor(self, output: str, batches: float) -> NoiseFloor | NoiseGap | Failure:
        """The noise of one output, or why there is none. `batches`: see `with_split`."""
        if self.answer is None or not self.steady:
            return "not-measured" if self.answer is None else "unsteady-baseline"
        if isinstance(self.answer, Failure):
            return self.answer
        measured = self.of(output)
        if self.answer.reason or measured is None:
            return self.answer.reason or "not-floating"
        if not measured.rms:
            return "not-finite" if measured.rms is None else "unmoved"
        rows = None if measured.path is None else _rows(self.folder / measured.path)
        if isinstance(rows, Failure):
            return rows
        return with_split(NoiseFloor(measured.rms, rows), measured.split_rms, batches)


def with_split(floor: NoiseFloor, split_rms: float | None, most: float) -> NoiseFloor:
    """The floor raised to what another batch size moves, where that is plausible as rounding.

    Above `most` times the ensemble's noise the outputs depend on their batch, which is no noise.
    """
    if split_rms is None or split_rms <= floor.rms or split_rms > most * floor.rms:
        return floor
    share = split_rms / floor.rms
    return NoiseFloor(split_rms, None if floor.rows is None else floor.rows * share)


@dataclass(frozen=True)
class Predictions:
    """What one run predicted, with its noise. `failure`: the run failed, or a file is not what it says."""

    outputs: tuple[StoredTensor, ...] = ()
    noise: MeasuredNoise = field(default_factory=MeasuredNoise)
    failure: Failure | None = None


@dataclass(frozen=True)
class OutputsRecording:
    """One side of a cell: its own run, and the reference runs in higher precision."""

    response: Response
    own: Predictions
    float32: Predictions | None
    float64: Predictions | None


def read_outputs(evidence: Evidence) -> OutputsRecording:
    """The recording in a cell's evidence."""
    capture, own = evidence.capture, evidence.own.get("outputs")
    return OutputsRecording(
        capture.response,
        _captured(capture),
        _beside(capture) if evidence.float32 is None else _captured(evidence.float32),
        None if own is None else _captured(own),
    )


def _captured(capture: Capture | Failure) -> Predictions:
    """The predictions of a job."""
    if isinstance(capture, Failure):
        return Predictions(failure=capture)
    answer = capture.answer("outputs", OutputsAnswer)
    noise = answer.noise if isinstance(answer, OutputsAnswer) else answer
    return _opened(lambda: capture.outputs, _measured(noise, capture, capture.folder))


def _beside(capture: Capture) -> Predictions | None:
    """The reference that ran beside the predictions."""
    answer = capture.answer("outputs", OutputsAnswer)
    if isinstance(answer, Failure):
        return Predictions(failure=answer)
    reference = answer.reference if answer else None
    if reference is not None and reference.failure is not None:
        return Predictions(failure=reference.failure.failure())
    if reference is None or reference.policy is None:
        return None
    folder = capture.folder / _REFERENCE
    noise = _measured(reference.noise, capture, folder)
    return _opened(lambda: open_tensors(reference.outputs, folder), noise)


def _measured(noise: NoiseAnswer | Failure | None, capture: Capture, folder: Path) -> MeasuredNoise:
    if isinstance(noise, NoiseAnswer) and noise.failure is not None:
        noise = noise.failure.failure()
    return MeasuredNoise(noise, folder, capture.response.deterministic is not False)


def _opened(read: Callable[[], Sequence[StoredTensor]], noise: MeasuredNoise) -> Predictions:
    try:
        return Predictions(tuple(read()), noise)
    except ConfigurationError as error:
        return Predictions(failure=_broken(str(error)))


def _rows(path: Path) -> Double | Failure:
    """The noise of every sample."""
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        return _broken(f"{path}: {error}")
    if rows.ndim != 1 or rows.dtype != np.float64:
        return _broken(f"{path}: holds {rows.dtype} {rows.shape}, not one float64 a sample")
    return np.asarray(rows)


def _broken(message: str) -> Failure:
    return Failure(stage="crash", error="capture", message=message)
