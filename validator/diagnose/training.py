"""A compared training → what does otherwise: the first link of the chain that breaks, and at which layer.

The links of a step are forward, loss, gradient (backward), and the weights after it (optimiser). The first
step carries the signal: both sides start from the same weights and take the same batch, so the first link
that is above its noise names the cause, and those behind it follow from it. Later steps inherit what went
before, so more is asked of them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from validator.compare.training import (
    Drift,
    Group,
    LayerDrift,
    StepDrift,
    TrainingComparison,
    compare_training,
)
from validator.diagnose.training_numbers import checkpoints, numbers_of
from validator.diagnose.training_words import (
    Settings,
    amount,
    differing,
    in_double,
    layer_of,
    listed,
    lost,
    shown,
)
from validator.results import (
    SEVERITY,
    CellVerdict,
    Failure,
    TrainingCause,
    TrainingEpoch,
    TrainingResult,
)
from validator.runner.training import LayerSettings, TrainingCapture
from validator.text import first_line

#: Drift ÷ noise of all tensors together: below the one it is rounding, above the other the maths differs.
_ROUNDING, _CHANGED = 2.0, 4.0
#: One tensor alone: the noise of one is known less well than that of all.
_ALONE = 4.0
#: Steps after the first start from weights that differ already.
_LATER = 4.0
#: Difference of the float64 twins up to which their mathematics is the same, as a share of float32's errors.
_TWIN_SHARE = 0.05
#: Standard errors by which a fresh initialisation's moment may be off; variables and moments are many.
_MOMENT_ERRORS = 6.0


def judge_training(
    baseline: TrainingCapture | Failure, candidate: TrainingCapture | Failure
) -> TrainingResult:
    """The training of one cell against that of its baseline."""
    if isinstance(candidate, Failure):
        message = f"training failed: {candidate.error}: {first_line(candidate.message)}"
        return TrainingResult(verdict="failed", message=message, failure=candidate)
    if isinstance(baseline, Failure):
        message = f"training was not compared: it failed in the baseline: {first_line(baseline.message)}"
        return TrainingResult(verdict="not-compared", message=message)
    comparison = compare_training(baseline, candidate)
    if comparison.unpaired:
        return TrainingResult(
            verdict="not-compared", message=f"training was not compared: {comparison.unpaired}"
        )
    case = _Case(comparison, baseline, candidate)
    causes = tuple(sorted(case.causes(), key=lambda cause: -SEVERITY.index(cause.verdict)))
    verdict = max((cause.verdict for cause in causes), key=SEVERITY.index, default=case.quiet())
    return TrainingResult(
        verdict=verdict,
        message=_message(verdict, causes, comparison),
        causes=causes,
        start=candidate.answer.start,
        steps=tuple(numbers_of(step) for step in comparison.steps),
        curve=tuple(
            TrainingEpoch(loss_baseline=old, loss_candidate=new, noise=noise)
            for old, new, noise in comparison.curve
        ),
        checkpoints=tuple(checkpoints(baseline, candidate)),
        seconds=candidate.seconds,
    )


@dataclass(frozen=True)
class _Case:
    """One comparison with what both sides say about themselves."""

    comparison: TrainingComparison
    baseline: TrainingCapture
    candidate: TrainingCapture

    def quiet(self) -> CellVerdict:
        """The verdict where nothing was found to say."""
        steps = self.comparison.steps
        exact = all(
            link.identical
            for step in steps
            for link in (step.loss, step.forward, step.gradients, step.weights, step.state)
            if link is not None
        )
        return "identical" if exact else "rounding"

    def causes(self) -> Iterator[TrainingCause]:
        """Everything that differs, each once."""
        fresh = tuple(self._initialisation())
        if self.comparison.start:
            names = listed(self.comparison.start)
            message = f"training starts from other weights ({names}), so nothing after them is comparable"
            yield TrainingCause(cause="initial weights", verdict="changed", message=message)
            yield from fresh
            return
        if self.comparison.data:
            order = self.comparison.data == "order"
            message = (
                "the steps get the same samples in another order" if order else "the steps get other samples"
            )
            cause = "data order" if order else "data"
            yield _cause(cause, "changed", None, "", message)
            return
        broken = yield from self._chain()
        yield from self._state()
        yield from self._reported(broken)
        yield from fresh

    def _chain(self) -> Generator[TrainingCause, None, int]:
        """The first link that breaks; returns the step of it, or the number of steps."""
        for step in self.comparison.steps:
            for link, tell in (
                (step.forward, self._forward),
                (step.loss, self._loss),
                (step.gradients, self._backward),
                (step.weights, self._optimiser),
            ):
                verdict = _band(link, step.step, robust=link is step.weights)
                if verdict != "rounding":
                    yield tell(step, verdict)
                    return step.step
        yield from self._rounding()
        return len(self.comparison.steps)

    def _forward(self, step: StepDrift, verdict: CellVerdict) -> TrainingCause:
        layer = self._first_layer() if step.step == 0 else None
        if step.step:
            message = f"outputs in training differ from step {step.step} on{lost(step.loss)}, not before"
        elif layer is None:
            message = f"the outputs of the first step differ{amount(step.forward)}"
        else:
            message = (
                f"`{layer.name}` ({layer.class_name}) is the first layer whose output in training differs"
            )
            message += amount(layer.forward) + in_double(layer.double) + self._settings(layer.name)
        inference = self.comparison.inference
        if not step.step and inference is not None and _band(inference, 0) == "rounding":
            message += "; predictions agree, so it does so in training mode only"
        return _cause("forward", verdict, step.step, layer.name if layer else "", message)

    def _loss(self, step: StepDrift, verdict: CellVerdict) -> TrainingCause:
        old = self.baseline.answer.steps[step.step]
        new = self.candidate.answer.steps[step.step]
        same = "the outputs agree" if step.forward else "the outputs are not seen"
        message = f"{same}, but the loss of step {step.step} is {shown(new.loss)} here and "
        message += f"{shown(old.loss)} in the baseline"
        if new.loss and old.loss:
            ratio, size = new.loss / old.loss, self.baseline.answer.batch_size
            for name, value in (("", size), ("one part in ", 1 / size)):
                if abs(ratio / value - 1) < 1e-3 and size > 1:
                    message += f": {name}{size} times as much, the batch size, as a sum is to a mean"
        if old.masked != new.masked:
            message += f"; the outputs carry a mask {'here' if new.masked else 'in the baseline'} only"
        message += differing("the loss", self.baseline.answer.loss, self.candidate.answer.loss)
        return _cause("loss reduction or mask", verdict, step.step, "", message)

    def _backward(self, step: StepDrift, verdict: CellVerdict) -> TrainingCause:
        group = step.gradients
        worst = group.worst if group else None
        layer = self._backward_layer() if step.step == 0 else None
        where = (
            f"behind `{layer.name}` ({layer.class_name})" if layer else f"of `{worst.name if worst else '?'}`"
        )
        message = f"loss and outputs agree, but the gradient {where} differs at step {step.step}"
        message += amount(worst) + (self._settings(layer.name) if layer else "")
        return _cause(
            "backward", verdict, step.step, layer.name if layer else worst.name if worst else "", message
        )

    def _optimiser(self, step: StepDrift, verdict: CellVerdict) -> TrainingCause:
        moved = [part.name for part in step.weights.parts if part.robust > _CHANGED * _factor(step.step)]
        message = f"the gradient of step {step.step} agrees, but the weights after it do not: {listed(moved)}"
        if step.gradients is None:
            message = (
                f"the weights after step {step.step} differ: {listed(moved)}; gradients are not seen here, so"
            )
            message += " it is the optimiser or the backward pass"
        worst = max(step.weights.parts, key=lambda part: part.robust)
        message += amount(worst)
        names = self.comparison.names
        sparse = {names[number] for number in self.baseline.answer.sparse}
        old, new = self.baseline.answer.optimizer, self.candidate.answer.optimizer
        for name in old.keys() & new.keys():
            message += differing(f"the {old[name].get('class', name)}", old[name], new[name])
        if moved and set(moved) <= sparse:
            message += (
                "; only gradients that come as rows of an embedding are concerned: where an id repeats in a "
                "batch, tf_keras adds its rows up before it squares them, Keras 3 squares each"
            )
        return _cause("optimiser", verdict, step.step, worst.name, message)

    def _rounding(self) -> Iterator[TrainingCause]:
        """No link breaks; where the bits differ, say where that begins and what shows that it is rounding."""
        step = self.comparison.steps[0]
        layer = next((layer for layer in self.comparison.layers if not layer.forward.identical), None)
        if layer is None or step.gradients is None:
            return
        largest = max((part.largest[0] for part in step.gradients.parts), default=0.0)
        message = (
            f"the gradient of the first step differs by {step.gradients.relative:.1e} of its size (an element"
            f" near zero by up to {largest:.1e} of its own), {step.gradients.ratio:.1f}× its noise: rounding"
            f" that begins in the forward pass of `{layer.name}` ({layer.class_name}), where another kernel"
            " computes the same"
        )
        twins = self.comparison.twins
        if twins is not None and _same_mathematics(twins.gradients, twins.errors):
            message += (
                f"; in float64 the gradients agree to {twins.gradients:.0e}, and in float32 both are as far "
                f"from that ({twins.errors[0]:.1e} and {twins.errors[1]:.1e})"
            )
        yield _cause("forward", "rounding", 0, layer.name, message)

    def _state(self) -> Iterator[TrainingCause]:
        """Weights that are not trained: moving statistics. They feed nothing back while training lasts."""
        for step in self.comparison.steps:
            verdict = _band(step.state, step.step)
            if verdict == "rounding":
                continue
            moved = [part for part in step.state.parts if part.ratio > _CHANGED * _factor(step.step)]
            names = [part.name for part in moved]
            message = f"{listed(names)} after step {step.step} differ{'s' if len(names) == 1 else ''}"
            message += amount(step.state.worst)
            counted = self._counted(names) if step.step == 0 else None
            if counted:
                larger, smaller = ("here", "in the baseline") if counted > 0 else ("in the baseline", "here")
                message += (
                    f": {smaller} the variance of {abs(counted)} values is their mean square; {larger} it is "
                    f"larger by {abs(counted)}/{abs(counted) - 1}, as the fused kernel of tf_keras makes it"
                )
            yield _cause("forward", verdict, step.step, layer_of(names[0]) if names else "", message)
            return

    def _counted(self, names: Sequence[str]) -> int | None:
        """N, if all these variances differ by N/(N−1) alone; negative where the baseline's is larger."""
        found = {self._correction(name) for name in names}
        return found.pop() if len(found) == 1 else None

    def _correction(self, name: str) -> int | None:
        """N of one moving variance m·before + (1−m)·variance, from the variances of both sides."""
        momentum = self._layer_settings(self.baseline, layer_of(name)).get("momentum")
        number = self.comparison.names.index(name)
        start = self.baseline.values(self.baseline.answer.start_file)
        old = self.baseline.values(self.baseline.answer.steps[0].weights)
        new = self.candidate.values(self.candidate.answer.steps[0].weights)
        if not isinstance(momentum, float) or start is None or old is None or new is None:
            return None
        here, there = (side - momentum * start[number] for side in (new[self._place(number)], old[number]))
        ratio = float(np.sum(here) / np.sum(there))
        larger = max(ratio, 1 / ratio) if ratio > 0 else 1.0
        if not 1.0 + 1e-6 < larger < 1.6:
            return None
        # float32 blurs the ratio; every sample of the batch gives equally many values
        batch = self.baseline.answer.batch_size
        counted = round(larger / (larger - 1) / batch) * batch or round(larger / (larger - 1))
        if abs(larger * (counted - 1) / counted - 1) > 0.1 * (larger - 1):
            return None
        return counted if ratio > 1 else -counted

    def _place(self, number: int) -> int:
        """Where the candidate has the baseline's variable of this number."""
        names = [variable.name for variable in self.candidate.answer.variables]
        name = self.comparison.names[number]
        return names.index(name) if name in names else number

    def _reported(self, broken: int) -> Iterator[TrainingCause]:
        """Metrics that differ while what they are computed from agrees."""
        for step in self.comparison.steps[: max(1, broken)]:
            if step.forward is None or _band(step.forward, step.step) != "rounding":
                return
            for name, old, new in step.reported:
                if old is None or new is None or name == "loss":
                    continue
                if abs(old - new) <= 1e-4 + 1e-3 * max(abs(old), abs(new)):
                    continue
                message = (
                    f"the outputs of step {step.step} agree, but the framework reports `{name}` {new:.4g} "
                    f"here and {old:.4g} in the baseline"
                )
                if (
                    self.baseline.answer.steps[step.step].masked
                    or self.candidate.answer.steps[step.step].masked
                ):
                    message += "; the outputs carry a mask, which Keras 3.0 to 3.11.3 ignores in metrics"
                yield _cause("reported metric", "metric-only", step.step, "", message)
                return

    def _initialisation(self) -> Iterator[TrainingCause]:
        """Fresh seeded initialisations, whatever the training started from."""
        fresh = self.comparison.fresh
        others = [part for part in fresh if part.errors > _MOMENT_ERRORS]
        if others:
            part = others[0]
            message = (
                f"a fresh initialisation draws {listed([part.name for part in others])} from another "
                f"distribution: {part.moment} {part.candidate:.4g} here, {part.baseline:.4g} in the baseline"
                f"{self._settings(layer_of(part.name))}"
            )
            yield _cause("initial weights", "changed", None, part.name, message)
        seeded = [part.name for part in fresh if not part.same_values and part not in others]
        if seeded:
            message = (
                f"under one seed a fresh initialisation gives other values of {listed(seeded)}, from the "
                f"same distribution: another seed or order of draws{self._settings(layer_of(seeded[0]))}"
            )
            yield _cause("initial weights", "rounding", None, seeded[0], message)

    def _first_layer(self) -> LayerDrift | None:
        """The first whose float64 twin differs, else the first above its noise, else the first that moved."""
        layers = self.comparison.layers
        tests = (
            lambda layer: layer.double is not None and layer.double > 1e-9,
            lambda layer: layer.forward.ratio > _CHANGED,
            lambda layer: not layer.forward.identical,
        )
        for test in tests:
            found = next((layer for layer in layers if test(layer)), None)
            if found is not None:
                return found
        return None

    def _backward_layer(self) -> LayerDrift | None:
        """The layer whose output gets the right gradient and hands a wrong one on: the last such."""
        layers = [layer for layer in self.comparison.layers if layer.backward is not None]
        wrong = [
            number
            for number, layer in enumerate(layers)
            if layer.backward is not None and layer.backward.ratio > _CHANGED
        ]
        if not wrong or wrong[-1] + 1 >= len(layers):
            later = [layer for layer in self.comparison.layers if layer.backward is None]
            return later[-1] if wrong and later else None
        return layers[wrong[-1] + 1]

    def _settings(self, layer: str) -> str:
        old, new = (self._layer_settings(side, layer) for side in (self.baseline, self.candidate))
        return differing("its", old, new)

    def _layer_settings(self, side: TrainingCapture, name: str) -> Settings:
        last = name.rpartition("/")[2]
        found: list[LayerSettings] = [layer for layer in side.answer.layers if layer.name in (name, last)]
        return dict(found[0].config) if found else {}


def _band(link: Drift | Group | None, step: int, *, robust: bool = False) -> CellVerdict:
    """Rounding, suspicious or changed; `robust`: whatever a few elements do."""
    if link is None or link.identical:
        return "rounding"
    factor = _factor(step)
    parts = link.parts if isinstance(link, Group) else (link,)
    alone = max((part.robust if robust else part.ratio for part in parts), default=0.0)
    # one number (a loss) is as uncertain as its noise: it is judged like one tensor of many
    whole = link.ratio if isinstance(link, Group) or link.name != "loss" else 0.0
    if robust and isinstance(link, Group):
        whole = link.robust
    if whole > _CHANGED * factor or alone > _CHANGED * _ALONE * factor:
        return "changed"
    if whole > _ROUNDING * factor or alone > _ROUNDING * _ALONE * factor:
        return "suspicious"
    return "rounding"


def _factor(step: int) -> float:
    return _LATER if step else 1.0


def _cause(cause: str, verdict: CellVerdict, step: int | None, layer: str, message: str) -> TrainingCause:
    return TrainingCause.model_validate(
        {"cause": cause, "verdict": verdict, "step": step, "layer": layer, "message": message}
    )


def _same_mathematics(difference: float, errors: tuple[float, float]) -> bool:
    return difference <= _TWIN_SHARE * max(errors)


def _message(verdict: CellVerdict, causes: Sequence[TrainingCause], comparison: TrainingComparison) -> str:
    count = len(comparison.steps)
    told = [f"{cause.cause}: {cause.message}" for cause in causes if cause.verdict == verdict]
    told += [f"{cause.cause}: {cause.message}" for cause in causes if cause.verdict != verdict]
    head = {
        "identical": f"{count} steps of training are identical, bit for bit",
        "rounding": f"{count} steps of training agree within rounding",
        "metric-only": f"{count} steps of training agree",
        "suspicious": "training is suspicious",
        "changed": "training differs",
    }[verdict]
    ended = [step.step for step in comparison.steps if step.loss.identical and _never(step)]
    if ended:
        told.append(f"the loss is not finite from step {ended[0]} on, on both sides")
    return "; ".join([head, *told])


def _never(step: StepDrift) -> bool:
    return step.losses == (None, None)
