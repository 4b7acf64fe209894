"""A compared training → what does otherwise: the first link of the chain that breaks, and at which layer.

The links of a step are forward, loss, gradient (backward), and the weights after it (optimiser). The first
step carries the signal: both sides start from the same weights and take the same batch, so the first link
that is above its noise names the cause, and those behind it follow from it. Later steps start from what went
before, so more is asked of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from validator.checks.bands import Bands, CellVerdict
from validator.checks.training import types
from validator.checks.training.answers import AddedLoss
from validator.checks.training.configurations import setting_changes
from validator.checks.training.draws import DrawnDifference, drawn_differences
from validator.checks.training.drift import DriftGroup, LayerName, ProbedDrift, StepDrift, TensorDrift
from validator.checks.training.sides import TrainingDrifts
from validator.checks.training.types import (
    DriftAmount,
    ReferenceGradients,
    SettingChange,
    Side,
    TrainingCause,
    TrainingComparison,
    TrainingFacts,
    TrainingVerdict,
)
from validator.failure import UNJUDGED


def _fails(comparison: TrainingComparison) -> bool:
    """Whether the candidate cannot be trained; not where its time never came."""
    failure = comparison.failure
    return failure is not None and comparison.failed_side == "candidate" and failure.stage not in UNJUDGED


def training_findings(
    comparison: TrainingComparison, bands: Bands
) -> tuple[TrainingVerdict | TrainingCause, ...]:
    """The verdict of the training, then its causes, worst first."""
    drifts = comparison.drifts
    if drifts is None:
        verdict = TrainingVerdict(
            **{name: getattr(comparison, name) for name in TrainingFacts.model_fields},
            verdict="failed" if _fails(comparison) else "not-compared",
        )
        return (verdict,)
    causes = sorted(
        _Case(drifts, comparison.reference, bands).causes(),
        key=lambda cause: -bands.severity.index(cause.verdict or "identical"),
    )
    identical = all(step.identical for step in drifts.steps)
    quiet: CellVerdict = "identical" if identical else "rounding"
    drawn = next((cause.draws for cause in causes if isinstance(cause, types.DistributionCompared)), 0)
    verdicts = [cause.verdict for cause in causes if cause.verdict is not None]
    if (
        drifts.lost and bands.worst([quiet, *verdicts]) in bands.green
    ):  # what is not a number differs from nothing
        return (TrainingVerdict(verdict="not-compared", lost_from=0), *causes)
    verdict = TrainingVerdict(
        verdict=bands.worst(verdicts) if verdicts else quiet,
        steps=len(drifts.steps),
        draws=drawn,
        lost_from=next((step.step for step in drifts.steps if step.losses == (None, None)), None),
    )
    return (verdict, *causes)


@dataclass(frozen=True)
class _Case:
    """One comparison, and what it is judged by."""

    drifts: TrainingDrifts
    reference: ReferenceGradients | None
    bands: Bands

    def causes(self) -> Iterator[TrainingCause]:
        """Everything that differs, each once."""
        if self.drifts.start:
            yield types.StartDiffers(verdict="changed", variables=self.drifts.start)
            yield from self._initialisation()
            return
        if self.drifts.data != "same":
            yield types.BatchesDiffer(verdict="changed", difference=self.drifts.data)
            return
        if drawn := drawn_differences(self.drifts.baseline, self.drifts.candidate):
            yield self._distribution(drawn)
            yield from self._initialisation()
            return
        yield from self._silenced()
        yield from self._left_out()
        broken = self._broken()
        if broken is None:
            yield from self._rounding()
        else:
            yield broken
        yield from self._state()
        yield from self._reported(len(self.drifts.steps) if broken is None else broken.step or 0)
        yield from self._initialisation()

    def _silenced(self) -> Iterator[TrainingCause]:
        """What was switched off on either side."""
        answers = (self.drifts.baseline.answer, self.drifts.candidate.answer)
        off = dict.fromkeys(each for answer in answers for each in answer.random if answer.dropout == "off")
        if off:
            yield types.DropoutOff(random=tuple(off))

    def _left_out(self) -> Iterator[TrainingCause]:
        """A float64 run that differing steps lack for its size."""
        sides = (self.drifts.baseline.answer, self.drifts.candidate.answer)
        reason = next((each.reference.left_out for each in sides if each.reference.left_out), "")
        if reason and not all(step.identical for step in self.drifts.steps):
            yield types.ReferenceLeftOut(reason=reason)

    def _distribution(self, drawn: Sequence[DrawnDifference]) -> TrainingCause:
        """Of what is least likely to be chance."""
        worst = min(drawn, key=lambda each: each.p)
        changed, suspicious = self.bands.training.drawn
        verdict: CellVerdict = "suspicious" if worst.p <= suspicious else "rounding"
        return types.DistributionCompared(
            verdict="changed" if worst.p <= changed else verdict,
            random=self.drifts.baseline.answer.random,
            **vars(worst),
        )

    def _broken(self) -> TrainingCause | None:
        """The first link above its noise."""
        for step in self.drifts.steps:
            for verdict, finding in (
                (self._verdict(step.forward, step), self._forward),
                # a loss is as uncertain as its noise: it is judged like one tensor of many
                (self._judged(step.loss.ratio / self.bands.training.tensor, step), self._loss),
                (self._verdict(step.gradients, step), self._backward),
                (self._verdict(self._robust(step), step), self._optimiser),
            ):
                if verdict != "rounding":
                    return finding(step, verdict)
        return None

    def _forward(self, step: StepDrift, verdict: CellVerdict) -> TrainingCause:
        if step.step:
            return types.ForwardDiffers(verdict=verdict, step=step.step, loss_lost=step.loss.lost)
        layer, inference = self._first_layer(), self.drifts.inference
        double = layer.double if layer else None
        outputs = step.forward.worst if step.forward else None
        return types.ForwardDiffers(
            verdict=verdict,
            step=0,
            layer=layer.layer if layer else None,
            amount=_amount(layer.forward if layer else outputs),
            double=double,
            in_double=None if double is None else double > self.bands.training.double,
            training_only=inference is not None and self._verdict(inference, step) == "rounding",
            settings=self._settings(layer.layer.name) if layer else (),
        )

    def _loss(self, step: StepDrift, verdict: CellVerdict) -> TrainingCause:
        baseline, candidate = self.drifts.baseline.answer, self.drifts.candidate.answer
        sides: dict[Side, bool | None] = {
            "baseline": baseline.steps[step.step].masked,
            "candidate": candidate.steps[step.step].masked,
        }
        masked = [side for side, mask in sides.items() if mask]
        added = self._added() if step.step == 0 else None
        return types.LossDiffers(
            verdict=verdict,
            step=step.step,
            layer=LayerName(name=added[0].layer, class_name=added[0].class_name) if added else None,
            baseline=step.losses[0],
            candidate=step.losses[1],
            outputs_recorded=step.forward is not None,
            batch_size=baseline.batch_size,
            factor=self._factor_of(step.losses, baseline.batch_size),
            masked_side=masked[0] if len(masked) == 1 else None,
            added=added,
            settings=setting_changes(baseline.loss, candidate.loss),
        )

    def _added(self) -> tuple[AddedLoss, AddedLoss] | None:
        """The layer whose own loss differs most, where layers add the same number of losses."""
        old, new = (side.answer.probe.added for side in (self.drifts.baseline, self.drifts.candidate))
        if len(old) != len(new):
            return None
        distances = {
            pair: abs(pair[0].value - pair[1].value)
            for pair in zip(old, new, strict=True)
            if pair[0].value is not None and pair[1].value is not None
        }
        worst = max(distances, key=lambda pair: distances[pair], default=None)
        share = self.bands.reported.rtol
        return worst if worst and distances[worst] > share * abs(worst[0].value or 0.0) else None

    def _factor_of(
        self, losses: tuple[float | None, float | None], size: int
    ) -> Literal["times", "divided"] | None:
        """Whether the losses are as a sum is to a mean over the batch."""
        old, new = losses
        if not old or not new or size < 2:
            return None
        limit = self.bands.training.batch
        if abs(new / old / size - 1) < limit:
            return "times"
        return "divided" if abs(new / old * size - 1) < limit else None

    def _backward(self, step: StepDrift, verdict: CellVerdict) -> TrainingCause:
        worst = step.gradients.worst if step.gradients else None
        layer = self._backward_layer() if step.step == 0 else None
        return types.BackwardDiffers(
            verdict=verdict,
            step=step.step,
            layer=layer.layer if layer else None,
            variables=(worst.name,) if worst else (),
            amount=_amount(worst),
            settings=self._settings(layer.layer.name) if layer else (),
        )

    def _optimiser(self, step: StepDrift, verdict: CellVerdict) -> TrainingCause:
        weights = self._robust(step)
        old, new = self.drifts.baseline.answer, self.drifts.candidate.answer
        moved = weights.above(self._limit(step))
        worst = max(zip(weights.parts, step.weights.parts, strict=True), key=lambda pair: pair[0].ratio)[1]
        changes = (
            setting_changes(config, new.optimizer[name], str(config.get("class", name)))
            for name, config in old.optimizer.items()
            if name in new.optimizer
        )
        return types.OptimiserDiffers(
            verdict=verdict,
            step=step.step,
            variables=moved or (worst.name,),
            amount=_amount(worst),
            gradients_recorded=step.gradients is not None,
            sparse_only=bool(moved) and set(moved) <= {old.variables[number].name for number in old.sparse},
            settings=tuple(itertools.chain.from_iterable(changes)),
        )

    def _rounding(self) -> Iterator[TrainingCause]:
        """No link breaks: the layer at which bits begin to differ, and whether float64 agrees."""
        gradients = self.drifts.steps[0].gradients
        layer = next((layer for layer in self.drifts.layers if not layer.forward.identical), None)
        if layer is None or gradients is None:
            return
        yield types.RoundingBegins(
            verdict="rounding",
            step=0,
            layer=layer.layer,
            amount=DriftAmount(finite=True, relative=gradients.relative, ratio=gradients.ratio),
            largest=max((part.largest for part in gradients.parts), default=0.0),
            reference=self.reference if self._same_mathematics() else None,
        )

    def _same_mathematics(self) -> bool:
        reference = self.reference
        if reference is None or reference.gradients is None:
            return False
        return reference.gradients <= self.bands.training.same_maths * max(
            error or 0.0 for error in reference.errors
        )

    def _state(self) -> Iterator[TrainingCause]:
        """Weights that are not trained: moving statistics. They feed nothing back while training lasts."""
        for step in self.drifts.steps:
            verdict = self._verdict(step.state, step)
            if verdict == "rounding":
                continue
            moved = step.state.above(self._limit(step))
            counted = {self.drifts.corrections.get(name) for name in moved} if step.step == 0 else set()
            number = counted.pop() if len(counted) == 1 else None
            larger: Side = "candidate" if (number or 0) > 0 else "baseline"
            yield types.StateDiffers(
                verdict=verdict,
                step=step.step,
                variables=moved,
                amount=_amount(step.state.worst),
                counted=None if number is None else abs(number),
                larger_side=None if number is None else larger,
            )
            return

    def _reported(self, broken: int) -> Iterator[TrainingCause]:
        """The first metric that differs while what it is computed from agrees."""
        reported = self.bands.reported
        for step in self.drifts.steps[: max(1, broken)]:
            if step.forward is None or self._verdict(step.forward, step) != "rounding":
                return
            for name, old, new in step.reported:
                if old is None or new is None or name == "loss":
                    continue
                if abs(old - new) <= reported.atol + reported.rtol * max(abs(old), abs(new)):
                    continue
                sides = (self.drifts.baseline.answer, self.drifts.candidate.answer)
                yield types.MetricDiffers(
                    verdict="metric-only",
                    step=step.step,
                    metric=name,
                    baseline=old,
                    candidate=new,
                    masked=any(side.steps[step.step].masked for side in sides),
                )
                return

    def _initialisation(self) -> Iterator[TrainingCause]:
        """Fresh seeded initialisations, whatever the training started from."""
        fresh = self.drifts.fresh
        others = [part for part in fresh if part.errors > self.bands.training.moment_errors]
        if others:
            yield types.InitialiserDiffers(
                verdict="changed",
                variables=tuple(part.name for part in others),
                moment=others[0].moment,
                baseline=others[0].baseline,
                candidate=others[0].candidate,
                settings=self._settings(others[0].name.rpartition("/")[0]),
            )
        seeded = tuple(part.name for part in fresh if not part.same_values and part not in others)
        if seeded:
            settings = self._settings(seeded[0].rpartition("/")[0])
            yield types.DrawsDiffer(verdict="rounding", variables=seeded, settings=settings)

    def _first_layer(self) -> ProbedDrift | None:
        """The first that differs in float64, else the first above its noise, else the first that moved."""
        bands = self.bands.training
        tests: tuple[Callable[[ProbedDrift], bool], ...] = (
            lambda layer: (layer.double or 0.0) > bands.double,
            lambda layer: layer.forward.ratio > bands.link.changed,
            lambda layer: not layer.forward.identical,
        )
        return next((layer for test in tests for layer in self.drifts.layers if test(layer)), None)

    def _backward_layer(self) -> ProbedDrift | None:
        """The layer whose output gets the right gradient and hands a wrong one on: the last such."""
        known = [layer for layer in self.drifts.layers if layer.backward is not None]
        unknown = [layer for layer in self.drifts.layers if layer.backward is None]
        limit = self.bands.training.link.changed
        wrong = [at for at, layer in enumerate(known) if layer.backward and layer.backward.ratio > limit]
        behind = [*known[wrong[-1] + 1 :], *unknown[-1:]] if wrong else []
        return behind[0] if behind else None

    def _settings(self, layer: str) -> tuple[SettingChange, ...]:
        old, new = self.drifts.baseline.answer, self.drifts.candidate.answer
        return setting_changes(old.settings(layer), new.settings(layer))

    def _robust(self, step: StepDrift) -> DriftGroup:
        return step.weights.robust(self.bands.training.outliers)

    def _verdict(self, link: DriftGroup | None, step: StepDrift) -> CellVerdict:
        """Rounding, suspicious or changed: of all tensors together, or of the worst."""
        if link is None or link.worst is None:
            return "rounding"
        return self._judged(max(link.ratio, link.worst.ratio / self.bands.training.tensor), step)

    def _judged(self, ratio: float, step: StepDrift) -> CellVerdict:
        return self.bands.training.link.verdict(ratio / self._later(step))

    def _limit(self, step: StepDrift) -> float:
        return self.bands.training.link.changed * self._later(step)

    def _later(self, step: StepDrift) -> float:
        return self.bands.training.later if step.step else 1.0


def _amount(drift: TensorDrift | None) -> DriftAmount | None:
    if drift is None:
        return None
    if not math.isfinite(drift.rms):
        return DriftAmount(finite=False, lost=drift.lost)
    return DriftAmount(finite=True, rms=drift.rms, relative=drift.relative, ratio=drift.ratio)
