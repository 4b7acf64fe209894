"""What one side of a cell recorded: its outputs, and once they were asked for, noise and a run in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from validator.base import Frozen
from validator.checks.protocol import Evidence
from validator.errors import ConfigurationError
from validator.failure import Failure
from validator.numbers.ensembles import Ensemble, NoiseMethod, Rows
from validator.runner.captures import Capture, Response, SelfDifference, WorkerFailure
from validator.storage.tensors import StoredTensor, TensorEntry, open_tensors

_T = TypeVar("_T")


class _Batches(Frozen, extra="ignore"):
    """Which batches a run did, in its order, and the samples [start, stop) of each."""

    failure: WorkerFailure | None = None
    batches: tuple[int, ...] = ()
    samples: tuple[tuple[int, int], ...] = ()

    def rows(self, recorded: StoredTensor) -> Rows:
        """The rows of a recorded output that were computed again; none where the answer cannot be right."""
        most = recorded.samples
        bounds = self.samples if recorded.batched else [(batch, batch + 1) for batch in self.batches]
        if not all(0 <= start <= stop <= most for start, stop in bounds):
            return _joined([])
        if not recorded.batched:  # a row is a batch
            return np.asarray(self.batches, np.intp)
        if recorded.ragged:
            return _joined([_inside(recorded, *bounds) for bounds in self.samples])
        return _joined(self.samples)


class MemberEntries(Frozen):
    """One output as every member of the ensemble predicted it."""

    name: str
    members: tuple[TensorEntry, ...]


class NoiseAnswer(_Batches):
    """The worker's ensemble; `reason` says in a word why it is not one of operations."""

    method: NoiseMethod = "none"
    reason: str = ""
    outputs: tuple[MemberEntries, ...] = ()


class ReferenceAnswer(_Batches):
    """The same model in float64."""

    how: Literal["graph", "reload"] = "graph"
    outputs: tuple[TensorEntry, ...] = ()


class OutputsAnswer(Frozen):
    """The answer of the task `outputs` (docs/protocol.md); None for what it was not asked for."""

    noise: NoiseAnswer | None = None
    reference: ReferenceAnswer | None = None


@dataclass(frozen=True)
class StoredNoise:
    """The noise of one side, or why there is none; `folder` is where its files lie."""

    answer: NoiseAnswer | Failure | None
    folder: Path

    @property
    def reason(self) -> str:
        """The worker's word for why it is not an ensemble of operations; empty where it is."""
        return self.answer.reason if isinstance(self.answer, NoiseAnswer) else ""

    def ensemble(self, recorded: StoredTensor) -> Ensemble | Failure | None:
        """The members of one output; None where there are none, or they do not fit what was recorded."""
        if not isinstance(self.answer, NoiseAnswer):
            return self.answer
        entries = next((each.members for each in self.answer.outputs if each.name == recorded.name), ())
        members = _opened(lambda: open_tensors(entries, self.folder))
        if isinstance(members, Failure):
            return members
        rows = self.answer.rows(recorded)
        shape = (len(rows), *recorded.shape[1:]) if recorded.shape else ()
        fits = all((member.shape, member.dtype) == (shape, recorded.dtype) for member in members)
        return Ensemble(self.answer.method, rows, members) if members and rows.size and fits else None


@dataclass(frozen=True)
class MeasuredSide:
    """What was measured of one side alone: its noise, and how two of its predictions differ."""

    noise: StoredNoise
    self_difference: tuple[SelfDifference, ...] = ()


@dataclass(frozen=True)
class OutputsRecording:
    """One side of a cell. `measured`: noise and float64 were asked for; `folder` is where their files lie."""

    response: Response
    outputs: tuple[StoredTensor, ...]
    failure: Failure | None
    measured: bool = False
    noise: NoiseAnswer | Failure | None = None
    reference: ReferenceAnswer | Failure | None = None
    folder: Path = Path()

    @property
    def stored_noise(self) -> StoredNoise:
        """The noise, with its files."""
        return StoredNoise(self.noise, self.folder)

    def exact(self) -> tuple[StoredTensor, ...] | Failure | None:
        """The outputs of the float64 run, or why there are none; None where it was not asked for."""
        answer = self.reference
        if not isinstance(answer, ReferenceAnswer):
            return answer
        if answer.failure is not None:
            return answer.failure.failure()
        return _opened(lambda: open_tensors(answer.outputs, self.folder))


def read_outputs(evidence: Evidence) -> OutputsRecording:
    """The recording in a cell's evidence. Noise and float64 come from a later round, or stand beside."""
    capture = evidence.capture
    outputs = _opened(lambda: capture.outputs)
    failure, tensors = (outputs, ()) if isinstance(outputs, Failure) else (None, outputs)
    recording = OutputsRecording(capture.response, tensors, failure, folder=capture.folder)
    own = evidence.own.get("outputs")
    if isinstance(own, Failure):
        return replace(recording, measured=True, noise=own, reference=own)
    return _with_answer(recording, own or capture, measured=own is not None)


def _with_answer(recording: OutputsRecording, capture: Capture, measured: bool) -> OutputsRecording:
    answer = capture.answer("outputs", OutputsAnswer)
    if answer is None:
        return replace(recording, measured=measured)
    answered = replace(recording, measured=True, folder=capture.folder)
    if isinstance(answer, Failure):
        return replace(answered, noise=answer, reference=answer)
    noise = answer.noise.failure.failure() if answer.noise and answer.noise.failure else answer.noise
    return replace(answered, noise=noise, reference=answer.reference)


def _opened(read: Callable[[], _T]) -> _T | Failure:
    try:
        return read()
    except ConfigurationError as error:
        return Failure(stage="crash", error="capture", message=str(error))


def _joined(bounds: Sequence[tuple[int, int]]) -> Rows:
    return np.concatenate([np.arange(0), *(np.arange(*each) for each in bounds)]).astype(np.intp)


def _inside(recorded: StoredTensor, start: int, stop: int) -> tuple[int, int]:
    """The flat rows of some samples of a ragged output."""
    for splits in recorded.open().splits:
        start, stop = int(splits[start]), int(splits[stop])
    return start, stop
