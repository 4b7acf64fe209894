"""The numbers of a compared training, as a report holds them: nothing infinite, checkpoints in full."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from validator.compare import compare_tensors
from validator.compare.training import StepDrift
from validator.results import TrainingCheckpoint, TrainingStep
from validator.runner.training import TrainingCapture


def numbers_of(step: StepDrift) -> TrainingStep:
    """One step for the report."""
    return TrainingStep(
        step=step.step,
        loss_baseline=step.losses[0],
        loss_candidate=step.losses[1],
        loss_ratio=_finite(step.loss.ratio),
        gradient=_finite(step.gradients.relative) if step.gradients else None,
        gradient_ratio=_finite(step.gradients.ratio) if step.gradients else None,
        weights=_finite(step.weights.relative),
        weights_ratio=_finite(step.weights.ratio),
        state_ratio=_finite(step.state.ratio),
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def checkpoints(baseline: TrainingCapture, candidate: TrainingCapture) -> Iterator[TrainingCheckpoint]:
    """The weights that were kept in full."""
    theirs = {point.step: point for point in candidate.answer.checkpoints}
    for point in baseline.answer.checkpoints:
        if point.step not in theirs:
            continue
        old, new = baseline.tensors(point.tensors), candidate.tensors(theirs[point.step].tensors)
        if len(old) != len(new):
            continue
        found = [
            compare_tensors(left, right)
            for left, right in zip(old, new, strict=True)
            if left.shape == right.shape
        ]
        worst = max(found, key=lambda one: one.max_abs or 0.0, default=None)
        yield TrainingCheckpoint(
            step=point.step,
            identical=len(found) == len(old) and all(one.identical for one in found),
            max_abs=worst.max_abs if worst else None,
            variable=worst.name if worst else "",
        )
