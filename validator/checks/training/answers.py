"""What workers recorded of a training: typed facts, and samples of values on disk (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from validator.base import Frozen
from validator.checks.protocol import Evidence
from validator.errors import ConfigurationError
from validator.failure import Failure
from validator.storage.tensors import StoredTensor, TensorEntry, open_tensors

Numbers = tuple[float | None, ...]
SettingValue = bool | int | float | str | None
Configuration = dict[str, SettingValue]


class _Recorded(Frozen):
    """What is read of an answer. A worker writes more, for people who look into its folder."""

    model_config = ConfigDict(extra="ignore")


class Vectors(_Recorded):
    """Samples of several tensors in one file, one after the other. Digests are of the whole tensors."""

    path: str
    counts: tuple[int, ...]
    digests: tuple[str | None, ...] = ()


class Variable(_Recorded):
    """One variable and what it starts from."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    digest: str


class Step(_Recorded):
    """One step. `rows` names the samples whatever their order; `loss` is None where it is not finite."""

    batch: str
    rows: str
    loss: float | None
    masked: bool | None
    reported: dict[str, float | None]
    forward: Vectors | None
    gradients: Vectors | None
    weights: Vectors


class ProbedLayer(_Recorded):
    """A layer or operation whose output was recorded."""

    name: str
    class_name: str
    occurrence: int


class AddedLoss(_Recorded):
    """The loss that a layer adds: of its weights, its activity, or what it likes."""

    layer: str
    class_name: str
    value: float | None


class Probed(_Recorded):
    """One training-mode pass, layer by layer. `left_out`: why there is none, where it was for its size."""

    layers: tuple[ProbedLayer, ...] = ()
    loss: float | None = None
    forward: Vectors | None = None
    backward: Vectors | None = None
    gradients: Vectors | None = None
    added: tuple[AddedLoss, ...] = ()
    left_out: str = ""


class NoiseStep(_Recorded):
    """How far the members of the ensemble are from the recorded run: root mean squares, one a member."""

    loss: Numbers
    forward: Numbers
    gradients: tuple[Numbers, ...]
    weights: tuple[Numbers, ...]


class NoiseProbe(_Recorded):
    """The same for the probe: one row a member, one entry a layer."""

    forward: tuple[Numbers, ...]
    backward: tuple[Numbers, ...]


class TrainingNoise(_Recorded):
    """The noise ensemble of the baseline."""

    steps: tuple[NoiseStep, ...]
    probe: NoiseProbe


class FreshVariable(_Recorded):
    """A variable under each seed: digest, and mean, deviation and kurtosis."""

    size: int
    digests: tuple[str, ...]
    moments: tuple[tuple[float, float, float], ...]


class Fresh(_Recorded):
    """Fresh seeded initialisations."""

    variables: tuple[FreshVariable, ...]
    failure: str | None = None


class RandomSetting(_Recorded):
    """A rate by which a layer draws random numbers in training."""

    layer: str
    setting: str
    value: float


class Draws(_Recorded):
    """Trainings from one start whose random layers draw anew: losses by step, outputs of the first step."""

    losses: tuple[Numbers, ...]
    forward: Vectors


class Epoch(_Recorded):
    """One epoch of the curve: the mean loss of its samples."""

    loss: float | None


class Checkpoint(_Recorded):
    """The weights after so many steps, in full as far as they fit."""

    step: int
    tensors: tuple[TensorEntry, ...]


class LayerSettings(_Recorded):
    """A layer as it is configured."""

    name: str
    config: Configuration


class TrainingAnswer(_Recorded):
    """The task's answer. What every worker writes has no default: a worker that leaves it out is not read."""

    start: str
    batch_size: int
    sparse: tuple[int, ...]
    samples: str
    variables: tuple[Variable, ...]
    optimizer: dict[str, Configuration]
    loss: Configuration
    layers: tuple[LayerSettings, ...]
    start_file: Vectors
    steps: tuple[Step, ...] = Field(min_length=1)
    probe: Probed
    inference: Vectors | None
    reference: Probed
    noise: TrainingNoise | None
    fresh: Fresh | None
    dropout: Literal["off", "on"] = "off"
    random: tuple[RandomSetting, ...] = ()
    draws: Draws | None = None
    curve: tuple[tuple[Epoch, ...], ...]
    checkpoints: tuple[Checkpoint, ...]

    def settings(self, layer: str) -> Configuration:
        """How a layer is configured, by its name or the end of its path; empty where that is unknown."""
        names = (layer, layer.rpartition("/")[2])
        return next((each.config for each in self.layers if each.name in names), {})


@dataclass(frozen=True)
class Trained:
    """An answer with its files: samples by their path, and by step the weights that were kept in full."""

    answer: TrainingAnswer
    samples: Mapping[str, StoredTensor]
    checkpoints: Mapping[int, tuple[StoredTensor, ...]]

    def values(self, vectors: Vectors) -> list[NDArray[np.float64]]:
        """The samples of each tensor."""
        return np.split(self.samples[vectors.path].open().values, np.cumsum(vectors.counts)[:-1])


def read_trained(evidence: Evidence) -> Trained | Failure:
    """One side's training, every file of it checked; or why there is none."""
    capture = evidence.own.get("training")
    if capture is None:
        return Failure(stage="train", error="worker", message=f"{evidence.cell.id} left no training")
    if isinstance(capture, Failure):
        return capture
    answer = capture.answer("training", TrainingAnswer)
    if answer is None:
        return _broken(capture.folder, "no answer of the task training")
    return answer if isinstance(answer, Failure) else trained(answer, capture.folder)


def trained(answer: TrainingAnswer, folder: Path) -> Trained | Failure:
    """An answer with its files, if they are what it says."""
    draws = answer.draws.forward if answer.draws else None
    parts: list[Vectors | None] = [answer.start_file, answer.inference, draws]
    for probe in (answer.probe, answer.reference):
        parts += (probe.forward, probe.backward, probe.gradients)
    for step in answer.steps:
        parts += (step.forward, step.gradients, step.weights)
    entries = [
        TensorEntry(name=part.path, path=part.path, dtype="float64", shape=(sum(part.counts),))
        for part in parts
        if part is not None
    ]
    try:
        samples = {tensor.name: tensor for tensor in open_tensors(entries, folder)}
        kept = {point.step: open_tensors(point.tensors, folder) for point in answer.checkpoints}
    except ConfigurationError as error:
        return _broken(folder, str(error))
    return Trained(answer, samples, kept)


def _broken(folder: Path, reason: str) -> Failure:
    message = f"{folder}: not a training ({reason}); run the cell again"
    return Failure(stage="crash", error="capture", message=message)
