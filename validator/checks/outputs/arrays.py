"""Outputs that a user holds in memory: judged as those of a run, by the noise of a model of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from validator.base import Frozen
from validator.checks.bands import Bands
from validator.checks.loading.types import SIDES, Side
from validator.checks.outputs.compare import output_numbers, with_noise
from validator.checks.outputs.find import judge_output
from validator.checks.outputs.matching import OutputPair, match_outputs
from validator.checks.outputs.recording import MeasuredSide, NoiseAnswer, StoredNoise
from validator.checks.outputs.types import NoiseSource, OutputFinding, OutputNumbers
from validator.config.settings import Tolerance
from validator.errors import CannotJudgeError, ConfigurationError
from validator.numbers.distance import compare_tensors
from validator.runner.captures import SelfDifference, WorkerFailure
from validator.runner.in_process import measure_in_process
from validator.storage.tensors import StoredTensor, TensorEntry, open_tensors

Tensors = Sequence[StoredTensor]


class _Answer(Frozen, extra="ignore"):
    """What the worker's code says of a model in this process."""

    failure: WorkerFailure | None = None
    outputs: tuple[TensorEntry, ...] = ()
    self_difference: tuple[SelfDifference, ...] = ()
    noise: NoiseAnswer = NoiseAnswer()
    keras: str = ""
    backend: str = ""


@dataclass(frozen=True)
class OwnModel:
    """A model of this process: what it predicts, and the noise of these predictions, in files of a folder."""

    predicted: tuple[StoredTensor, ...]
    measured: MeasuredSide
    source: NoiseSource

    def named_alike(self, outputs: Tensors, *, named: bool) -> tuple[StoredTensor, ...]:
        """Outputs with the model's names for them: by position, unless the user named them.

        Raises:
            ConfigurationError: the model has other outputs.
        """
        names = [tensor.name for tensor in self.predicted]
        if named and {tensor.name for tensor in outputs} == set(names):
            return tuple(outputs)
        if len(names) == len(outputs) and not named:
            return tuple(replace(tensor, name=name) for name, tensor in zip(names, outputs, strict=True))
        given = ", ".join(tensor.name for tensor in outputs)
        raise ConfigurationError(
            f"the model predicts {', '.join(names)}, and the outputs to compare are {given}; pass the same "
            "outputs, under the model's names or in its order"
        )


def measure_own(
    model: object, inputs: Mapping[str, Any], folder: Path, options: Mapping[str, JsonValue]
) -> OwnModel:
    """Predict in this process, and measure the noise of it. `options` as in `measure_in_process`.

    Raises:
        ConfigurationError: the inputs do not fit, or it is no Keras model.
        CannotJudgeError: the model's own code failed.
    """
    answer = _Answer.model_validate(measure_in_process(model, inputs, folder, options))
    if answer.failure is not None:
        failed = f"{answer.failure.error}: {answer.failure.message}"
        if answer.failure.stage == "inputs":
            raise ConfigurationError(f"the noise of the model cannot be measured: {answer.failure.message}")
        raise CannotJudgeError(f"the model cannot predict the inputs, so there is no noise: {failed}")
    noise = answer.noise
    members = max((len(each.members) for each in noise.outputs), default=0)
    source = NoiseSource(
        method=noise.method,
        reason="failed" if noise.failure else noise.reason,
        members=members,
        samples=sum(stop - start for start, stop in noise.samples),
        keras=answer.keras,
        backend=answer.backend,
    )
    stored = StoredNoise(noise.failure.failure() if noise.failure else noise, folder)
    measured = MeasuredSide(stored, answer.self_difference)
    return OwnModel(open_tensors(answer.outputs, folder), measured, source)


def judge_arrays(
    sides: Mapping[Side, Tensors], own: OwnModel, tolerance: Tolerance | None, bands: Bands
) -> tuple[tuple[OutputFinding, ...], Side]:
    """A verdict for every output, by the noise of the model, and which of the sides the model predicts.

    Raises:
        CannotJudgeError: it predicts neither of them, so that its noise says nothing about them.
    """
    side = _predicted(sides, own, bands)
    pairs = {pair.baseline.name: pair for pair in match_outputs(*(sides[each] for each in SIDES)).pairs}
    findings = []
    for numbers in output_numbers(sides["baseline"], sides["candidate"], tolerance):
        pair = pairs.get(numbers.name)
        if pair is not None:
            turned = pair if side == "baseline" else OutputPair(pair.candidate, pair.baseline)
            numbers = with_noise(numbers, turned, own.measured, bands.outputs)  # noqa: PLW2901
        findings.append(judge_output(numbers, bands))
    return tuple(findings), side


def _predicted(sides: Mapping[Side, Tensors], own: OwnModel, bands: Bands) -> Side:
    """The side that is nearer to what the model predicts, if it is what the model predicts."""
    away = {side: _distance(own.predicted, sides[side]) for side in SIDES}
    side = min(SIDES, key=lambda each: away[each])
    pairs = match_outputs(own.predicted, sides[side]).pairs
    for pair in pairs:
        comparison = compare_tensors(*pair)
        numbers = OutputNumbers(name=pair.baseline.name, comparison=comparison)
        finding = judge_output(with_noise(numbers, pair, own.measured, bands.outputs), bands)
        if finding.verdict == "changed":
            raise CannotJudgeError(
                f"the model predicts neither side from these inputs: output {finding.output} is off by "
                f"{_size_text(comparison.max_abs)} from the nearer one; pass the model and the inputs that "
                "gave one of the two"
            )
    return side


def _distance(predicted: Tensors, outputs: Tensors) -> float:
    """How far outputs are from the predicted ones: the largest root mean square of all outputs."""
    comparisons = [compare_tensors(*pair) for pair in match_outputs(predicted, outputs).pairs]
    return max((_rms(each.rms, each.compared, each.mismatched) for each in comparisons), default=0.0)


def _rms(rms: float | None, compared: bool, mismatched: int) -> float:
    return float("inf") if not compared else float(mismatched) if rms is None else rms


def _size_text(size: float | None) -> str:
    return "more than numbers can tell" if size is None else f"{size:.3g}"
