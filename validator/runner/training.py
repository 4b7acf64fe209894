"""Reads what a worker recorded of a training: typed facts, and samples of values on disk."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, ValidationError

from validator.base import Frozen
from validator.errors import CannotJudgeError
from validator.results import Failure
from validator.runner.captures import WorkerFailure, read_capture
from validator.tensors import StoredTensor, TensorEntry, open_tensors

#: The name of the task, and of the folder of its job inside that of the cell.
TASK = "training"
Values = NDArray[np.float64]
Numbers = tuple[float | None, ...]


class Vectors(Frozen):
    """Samples of several tensors in one file, one after the other. Digests and norms are of the whole."""

    path: str
    counts: tuple[int, ...]
    digests: tuple[str | None, ...] = ()
    norms: Numbers = ()


class Variable(Frozen):
    """One variable and what it starts from."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    digest: str


class Step(Frozen):
    """One step. `rows` names the samples whatever their order; `loss` is None where it is not finite."""

    batch: str
    rows: str
    loss: float | None
    masked: bool | None
    reported: dict[str, float | None]
    forward: Vectors | None
    gradients: Vectors | None
    weights: Vectors


class ProbedLayer(Frozen):
    """A layer or operation whose output was recorded."""

    name: str
    class_name: str
    occurrence: int


class Probed(Frozen):
    """One training-mode pass, layer by layer."""

    failure: str | None = None
    layers: tuple[ProbedLayer, ...] = ()
    loss: float | None = None
    forward: Vectors | None = None
    backward: Vectors | None = None
    gradients: Vectors | None = None


class NoiseStep(Frozen):
    """How far the members of the ensemble are from the recorded run: root mean squares, one a member."""

    loss: Numbers
    forward: Numbers
    gradients: tuple[Numbers, ...]
    weights: tuple[Numbers, ...]


class NoiseProbe(Frozen):
    """The same for the probe: one row a member, one entry a layer or variable."""

    forward: tuple[Numbers, ...]
    backward: tuple[Numbers, ...]
    gradients: tuple[Numbers, ...]


class Noise(Frozen):
    """The noise ensemble of the baseline."""

    members: int
    steps: tuple[NoiseStep, ...]
    probe: NoiseProbe


class Dropout(Frozen):
    """Layers that draw random numbers, whether they were silenced, and the first loss when they are not."""

    layers: tuple[str, ...]
    off: bool
    loss: float | None


class FreshVariable(Frozen):
    """A variable under each seed: digest, and mean, deviation and kurtosis."""

    size: int
    digests: tuple[str, ...]
    moments: tuple[tuple[float, float, float], ...]


class Fresh(Frozen):
    """Fresh seeded initialisations."""

    seeds: tuple[int, ...]
    variables: tuple[FreshVariable, ...]
    failure: str | None = None


class Epoch(Frozen):
    """One epoch of the curve: the mean loss of its samples, and what the framework reports at its end."""

    loss: float | None
    reported: dict[str, float | None]


class Checkpoint(Frozen):
    """The weights after so many steps, in full as far as they fit."""

    step: int
    tensors: tuple[TensorEntry, ...]


class LayerSettings(Frozen):
    """A layer as it is configured."""

    name: str
    class_name: str
    config: dict[str, bool | int | float | str | None]


class TrainingAnswer(Frozen):
    """The task's answer (docs/protocol.md, "Training")."""

    failure: WorkerFailure | None = None
    source: str = ""
    start: str = ""
    batch_size: int = 0
    custom_step: bool = False
    gradients: str = ""
    sparse: tuple[int, ...] = ()
    seed: int = 0
    samples: str = ""
    variables: tuple[Variable, ...] = ()
    optimizer: dict[str, dict[str, bool | int | float | str | None]] = {}
    loss: dict[str, bool | int | float | str | None] = {}
    layers: tuple[LayerSettings, ...] = ()
    start_file: Vectors | None = None
    steps: tuple[Step, ...] = ()
    probe: Probed | None = None
    inference: Vectors | None = None
    twin: Probed | None = None
    noise: Noise | None = None
    dropout: Dropout | None = None
    fresh: Fresh | None = None
    curve: tuple[tuple[Epoch, ...], ...] = ()
    full_gradients: tuple[TensorEntry, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    seconds: dict[str, float] = {}


@dataclass(frozen=True)
class TrainingCapture:
    """An answer with the folder its files are in."""

    answer: TrainingAnswer
    folder: Path
    seconds: float = 0.0

    def values(self, vectors: Vectors | None) -> tuple[Values, ...] | None:
        """The samples of each tensor, in float64.

        Raises:
            CannotJudgeError: the file is not what the answer says.
        """
        if vectors is None:
            return None
        path = self.folder / vectors.path
        try:
            whole: NDArray[Any] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CannotJudgeError(
                f"{path}: no samples of a training ({error}); run the cell again"
            ) from None
        if whole.dtype != np.float64 or whole.shape != (sum(vectors.counts),):
            raise CannotJudgeError(f"{path}: not as long as its answer says; run the cell again")
        ends = np.cumsum((0, *vectors.counts)).tolist()
        return tuple(whole[start:stop] for start, stop in pairwise(ends))

    def tensors(self, entries: tuple[TensorEntry, ...]) -> tuple[StoredTensor, ...]:
        """Tensors that were kept in full."""
        return open_tensors(entries, self.folder)


def read_training(cell_folder: Path) -> TrainingCapture | Failure | None:
    """The training of a cell, or the failure of it; None where no worker was asked for one.

    Raises:
        CannotJudgeError: a file is there and is not what the protocol says.
    """
    folder = cell_folder / TASK
    capture = read_capture(folder)
    if capture is None:
        return None
    if capture.failure is not None:
        return capture.failure.failure()
    answer = _parsed(capture.tasks.get(TASK), folder)
    if answer.failure is not None:
        return answer.failure.failure()
    return TrainingCapture(answer, folder, round(sum(capture.seconds.values()), 3))


def _parsed(value: JsonValue, folder: Path) -> TrainingAnswer:
    try:
        return TrainingAnswer.model_validate(value)
    except ValidationError as error:
        reason = error.errors()[0]
        where = ".".join(map(str, reason["loc"]))
        raise CannotJudgeError(
            f"{folder}: no answer of a training ({where}: {reason['msg']}); run the cell again"
        ) from None
