"""Both sides of every output → numbers, the reference run's beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from validator.checks.bands import OutputBands
from validator.checks.loading.types import SIDES
from validator.checks.outputs.matching import OutputPair, match_outputs
from validator.checks.outputs.recording import MeasuredNoise, OutputsRecording, Predictions
from validator.checks.outputs.types import (
    Obstacle,
    OutputNumbers,
    OutputsComparison,
    ReferenceComparison,
    ReferenceDistance,
)
from validator.config.settings import Tolerance
from validator.failure import Failure
from validator.numbers.distance import TensorComparison, compare_tensors
from validator.numbers.drift import NoiseFloor, measure_drift
from validator.storage.tensors import StoredTensor

#: Dtype policies whose noise hides real changes: such a cell has a float32 reference, others a float64 one.
HALF = frozenset({"float16", "bfloat16", "mixed_float16", "mixed_bfloat16"})


def compare_outputs(
    baseline: OutputsRecording, candidate: OutputsRecording, tolerance: Tolerance | None, bands: OutputBands
) -> OutputsComparison:
    """Everything that the outputs of both sides show, or what stands against comparing them."""
    left, right = baseline.response, candidate.response
    responses = dict(zip(SIDES, (left, right), strict=True))
    comparison = OutputsComparison(
        obstacles=tuple(_obstacles(baseline, candidate)),
        samples=(left.samples, right.samples),
        nondeterministic={
            side: response.self_difference
            for side, response in responses.items()
            if response.deterministic is False
        },
    )
    if comparison.obstacles:
        return comparison
    outputs = []
    for numbers in output_numbers(baseline.own, candidate.own.outputs, tolerance, bands):
        unsteady = {
            side: own
            for side, response in responses.items()
            for own in response.self_difference
            if own.output == numbers.name
        }
        outputs.append(numbers.model_copy(update={"unsteady": unsteady}))
    update = {
        "outputs": tuple(outputs),
        "reference": _reference(baseline, candidate, tolerance, bands),
        "can_be_widened": not comparison.nondeterministic and left.policy == right.policy == "float32",
    }
    return comparison.model_copy(update=update)


def output_numbers(
    baseline: Predictions, candidate: Sequence[StoredTensor], tolerance: Tolerance | None, bands: OutputBands
) -> Iterator[OutputNumbers]:
    """Every output of both sides: those of both first, then what only a side has."""
    match = match_outputs(baseline.outputs, candidate)
    for pair in match.pairs:
        measured = baseline.noise.of(pair.baseline.name)
        comparison = compare_tensors(*pair, tolerance)
        yield OutputNumbers(
            name=pair.baseline.name,
            comparison=comparison,
            noise_max_abs=measured.max_abs if measured else None,
            tolerance=tolerance,
        ).model_copy(update=_over_noise(pair, comparison, baseline.noise, bands))
    for tensor in match.missing:
        yield OutputNumbers(name=tensor.name, only_in="baseline")
    for tensor in match.extra:
        yield OutputNumbers(name=tensor.name, only_in="candidate")
    for pair in match.renamed:
        yield OutputNumbers(name=pair.baseline.name, only_in="baseline", renamed_to=pair.candidate.name)


def _over_noise(
    pair: OutputPair, comparison: TensorComparison, noise: MeasuredNoise, bands: OutputBands
) -> dict[str, object]:
    """The fields of an output's drift over noise, or of why there is none."""
    floor = noise.floor(pair.baseline.name, bands.batches)
    if isinstance(floor, Failure):
        return {"gap": "failed", "gap_failure": floor}
    if not isinstance(floor, NoiseFloor):
        return {"gap": floor}
    if not comparison.compared or pair.baseline.dtype != pair.candidate.dtype:
        return {"gap": "unpaired"}
    drift = measure_drift(*pair, comparison, floor, bands.quiet)
    return {"drift": drift, "gap": None if drift else "not-finite"}


def _obstacles(baseline: OutputsRecording, candidate: OutputsRecording) -> Iterator[Obstacle]:
    left, right = baseline.response, candidate.response
    if left.inputs_digest != right.inputs_digest:
        yield Obstacle(kind="inputs")
    if left.samples != right.samples:
        yield Obstacle(kind="samples", baseline=left.samples, candidate=right.samples)
    if left.batch_size != right.batch_size:
        yield Obstacle(kind="batch-size", baseline=left.batch_size, candidate=right.batch_size)
    for recording in (baseline, candidate):
        if recording.own.failure is not None:
            yield Obstacle(kind="unreadable", failure=recording.own.failure)
    if not (left.outputs or right.outputs):
        yield Obstacle(kind="no-outputs")


def _reference(
    baseline: OutputsRecording, candidate: OutputsRecording, tolerance: Tolerance | None, bands: OutputBands
) -> ReferenceComparison | None:
    """Both reference runs; None where there are none on both sides.

    A SavedModel has no policy: only its worker knows whether it computes in half precision.
    """
    left, right = baseline.response.policy, candidate.response.policy
    half = next((policy for policy in (right, left) if policy in HALF), None)
    narrow = half is not None or right is None
    before, after = (side.float32 if narrow else side.float64 for side in (baseline, candidate))
    if before is None or after is None:
        return None
    comparison = ReferenceComparison(precision="float32" if narrow else "float64", policy=half or right)
    for side, run in zip(SIDES, (before, after), strict=True):
        if run.failure is not None:
            return comparison.model_copy(update={"failure": run.failure, "failed_side": side})
    if not match_outputs(before.outputs, after.outputs).complete:
        return comparison.model_copy(update={"unmatched": True})
    outputs = output_numbers(before, after.outputs, tolerance, bands)
    errors = _errors(before, baseline.own.outputs, candidate.own.outputs)
    return comparison.model_copy(update={"outputs": tuple(outputs), "errors": tuple(errors)})


def _errors(
    reference: Predictions, baseline: Sequence[StoredTensor], candidate: Sequence[StoredTensor]
) -> Iterator[ReferenceDistance]:
    """Both sides against the baseline's reference, for every output that differs at all."""
    outputs = {tensor.name: tensor for tensor in reference.outputs}
    for pair in match_outputs(baseline, candidate).pairs:
        exact = outputs.get(pair.baseline.name)
        if exact is None or exact.shape != pair.baseline.shape:
            continue
        apart = compare_tensors(pair.baseline, pair.candidate)
        if not apart.rms:
            continue
        before, after = compare_tensors(exact, pair.baseline), compare_tensors(exact, pair.candidate)
        if before.rms is None or after.rms is None or before.rms_baseline is None:
            continue
        yield ReferenceDistance(
            output=pair.baseline.name,
            baseline=before.rms,
            candidate=after.rms,
            reference=before.rms_baseline,
            bias=abs(apart.mean_difference or 0.0) / apart.rms,
        )
