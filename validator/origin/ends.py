"""Both ends of a search, measured first and twice: what differs from run to run cannot be traced."""

from __future__ import annotations

import math
from dataclasses import dataclass

from validator.environments import Wheel
from validator.failure import Failure
from validator.origin.steps import Steps
from validator.origin.types import Behaviour, Refusal
from validator.runner import Capture
from validator.storage.tensors import StoredTensor

#: Two implementations report one number by sums in another order.
_SAME_VALUE = 1e-5


@dataclass
class Ends:
    """How the two ends behave, or why they cannot be traced."""

    baseline: Behaviour | None = None
    candidate: Behaviour | None = None
    refused: Refusal | None = None
    refused_end: str = ""
    reason: str = ""
    by_value: bool = False

    def is_candidate(self, outcome: Behaviour) -> bool:
        """Whether a behaviour is the candidate's: byte by byte, or value by value where that is tf-keras."""
        if self.candidate is None:
            return False
        if not self.by_value:
            return outcome.digest == self.candidate.digest
        own, its = outcome.values, self.candidate.values
        return bool(its) and own.keys() >= its.keys() and all(_close(own[name], its[name]) for name in its)


def _close(left: float | None, other: float | None) -> bool:
    if left is None or other is None:
        return left is other
    return math.isclose(left, other, rel_tol=_SAME_VALUE, abs_tol=_SAME_VALUE)


def measure(steps: Steps) -> Ends:
    """Measure both ends twice, the baseline first: what it takes is the measure of all later runs.

    Of predictions, one batch in which the ends differ is all that later runs predict: that which moved most.
    What is like an end counts as that end from then on.
    """
    case = steps.case
    wheels = [
        Wheel("keras", str(version)) for version in (case.baseline, case.candidate) if version is not None
    ]
    if case.aspect in ("outputs", "reported"):  # `evaluate` goes over all batches by itself
        steps.batches = (case.batch or 0,)
    first = _once(steps, wheels)
    if case.aspect == "outputs" and len({each.digest for each in first}) == 1:
        steps.batches = ()
        steps.batches = _batch(steps.captures(wheels), steps)
        first = _once(steps, wheels)
    second = steps.wheels(wheels, again=1)
    for wheel, left, other in zip(wheels, first, second, strict=True):
        if left.digest != other.digest:
            return Ends(refused="flaky", refused_end=str(wheel))
    alike = case.recorded if case.candidate is None else first[1]
    ends = Ends(first[0], alike, by_value=case.candidate is None)
    if ends.baseline is not None and ends.is_candidate(ends.baseline):
        ends.refused = "same"
    elif len(wheels) == 2:
        steps.judge_by(dict(zip(wheels, first, strict=True)))
    return _unless_broken(steps, ends)


def _once(steps: Steps, wheels: list[Wheel]) -> list[Behaviour]:
    baseline = steps.wheel(wheels[0])
    steps.limit(baseline.seconds)
    return [baseline, *steps.wheels(wheels[1:])]


def _unless_broken(steps: Steps, ends: Ends) -> Ends:
    """The ends, unless one does not run though it did before: nothing could be told from it."""
    sides = [
        (steps.case.baseline, ends.baseline, False),
        (steps.case.candidate, ends.candidate, steps.case.fails),
    ]
    for version, end, expected in sides:
        if end is not None and not end.ran and not expected:
            ends.refused = "install" if end.stage in ("install", "resolve") else "fails"
            ends.refused_end = f"keras {version}"
            ends.reason = end.error
            break
    return ends


def _batch(results: list[Capture | Failure], steps: Steps) -> tuple[int, ...]:
    """The first batch in which two captures differ; none where one failed or all must be run."""
    captures = [result for result in results if isinstance(result, Capture)]
    try:
        if len(captures) < 2:
            return ()
        outputs = [capture.outputs for capture in captures]
        samples = [_first_difference(left, other) for left, other in zip(*outputs, strict=False)]
        known = [sample for sample in samples if sample is not None]
        return (min(known) // steps.case.job.batch_size,) if known else ()
    finally:
        for result in results:
            steps.forget(result)


def _first_difference(left: StoredTensor, other: StoredTensor) -> int | None:
    """The first sample in which two outputs differ in a byte; None without any, or where none can be told."""
    if not (left.batched and other.batched) or left.ragged or other.ragged:
        return None
    if (left.shape, left.dtype) != (other.shape, other.dtype):
        return 0
    rows = [tensor.open().values for tensor in (left, other)]
    for sample in range(left.samples):
        if rows[0][sample].tobytes() != rows[1][sample].tobytes():
            return sample
    return None
