"""Two recorded trainings → the numbers that a report shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from validator.checks.training import types
from validator.checks.training.answers import Trained, TrainingAnswer, Variable
from validator.checks.training.drift import DriftGroup, StepDrift, combined, tensor_drift
from validator.checks.training.pairs import pair_variables
from validator.checks.training.sides import TrainingDrifts
from validator.failure import Failure
from validator.numbers.distance import compare_tensors

_LISTED = 4  # variables of a side that cannot be paired


def compare_trainings(baseline: Trained | Failure, candidate: Trained | Failure) -> types.TrainingComparison:
    """Compare two trainings of one model; the ensemble of the baseline is the noise of both."""
    if isinstance(baseline, Failure):  # whatever the candidate does, that says nothing about the upgrade
        return types.TrainingComparison(failure=baseline, failed_side="baseline")
    if isinstance(candidate, Failure):
        return types.TrainingComparison(failure=candidate, failed_side="candidate")
    old, new = baseline.answer, candidate.answer
    pairs = pair_variables(old.variables, new.variables)
    if pairs is None:
        return types.TrainingComparison(variables=(_list(old.variables), _list(new.variables)))
    if len(old.steps) != len(new.steps):
        return types.TrainingComparison(step_counts=(len(old.steps), len(new.steps)))
    drifts = TrainingDrifts(baseline, candidate, pairs)
    return types.TrainingComparison(
        start=new.start,
        steps=tuple(_published(step) for step in drifts.steps),
        reference=_reference(drifts),
        curve=tuple(_curve(old, new)),
        checkpoints=tuple(_checkpoints(baseline, candidate)),
        drifts=drifts,
    )


def _list(variables: Sequence[Variable]) -> types.VariableList:
    first = tuple((variable.name, variable.shape) for variable in variables[:_LISTED])
    return types.VariableList(count=len(variables), first=first)


def _published(step: StepDrift) -> types.TrainingStep:
    gradients = step.gradients
    return types.TrainingStep(
        step=step.step,
        loss_baseline=step.losses[0],
        loss_candidate=step.losses[1],
        loss_ratio=step.loss.ratio,
        gradient=gradients.relative if gradients else None,
        gradient_ratio=gradients.ratio if gradients else None,
        weights=step.weights.relative,
        weights_ratio=step.weights.ratio,
        state_ratio=step.state.ratio,
    )


def _reference(drifts: TrainingDrifts) -> types.ReferenceGradients | None:
    old, new = drifts.baseline.answer.reference, drifts.candidate.answer.reference
    gradients = drifts.group(drifts.names, (old.gradients, new.gradients), drifts.pairs)
    if gradients is None or old.loss is None or new.loss is None:
        return None
    return types.ReferenceGradients(
        loss=abs(old.loss - new.loss) / (abs(old.loss) or 1.0),
        forward=max(drifts.double.values(), default=0.0),
        gradients=gradients.relative,
        errors=(_error(drifts.baseline), _error(drifts.candidate)),
    )


def _error(side: Trained) -> float:
    """How far a side's own gradients are from its float64 reference run's, as a share of their size."""
    own, exact = side.answer.probe.gradients, side.answer.reference.gradients
    if own is None or exact is None:
        return math.inf
    pairs = zip(side.values(exact), side.values(own), strict=True)
    return DriftGroup(tuple(tensor_drift("", pair, 0.0) for pair in pairs if pair[1].size)).relative


def _curve(old: TrainingAnswer, new: TrainingAnswer) -> Iterator[types.TrainingEpoch]:
    if not old.curve or not new.curve:
        return
    for number, (before, after) in enumerate(zip(old.curve[0], new.curve[0], strict=False)):
        members = [run[number].loss for run in old.curve[1:] if number < len(run)]
        distances = [None if loss is None or before.loss is None else loss - before.loss for loss in members]
        yield types.TrainingEpoch(
            loss_baseline=before.loss, loss_candidate=after.loss, noise=combined(distances)
        )


def _checkpoints(baseline: Trained, candidate: Trained) -> Iterator[types.TrainingCheckpoint]:
    """The weights that were kept in full."""
    for step, old in baseline.checkpoints.items():
        new = candidate.checkpoints.get(step, ())
        if len(old) != len(new):
            continue
        pairs = zip(old, new, strict=True)
        compared = [compare_tensors(left, right) for left, right in pairs if left.shape == right.shape]
        worst = max(compared, key=lambda part: part.max_abs or 0.0, default=None)
        yield types.TrainingCheckpoint(
            step=step,
            identical=len(compared) == len(old) and all(part.identical for part in compared),
            max_abs=worst.max_abs if worst else None,
            variable=worst.name if worst else "",
        )
