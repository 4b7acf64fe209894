"""Two recorded trainings → drift ÷ noise, step by step. What that means is decided elsewhere.

Drift is the root mean square of a difference; noise is that of the ensemble whose initial weights were moved
by one ULP. Values are the recorded samples; where digests agree the whole tensor agrees, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from validator.compare.training_pairs import Pairs, different_variables, pair_layers, pair_variables

if TYPE_CHECKING:  # the types of what arrives; this room imports none of the runner's code
    from validator.runner.training import (
        NoiseStep,
        Numbers,
        Step,
        TrainingAnswer,
        TrainingCapture,
        Vectors,
    )

Values = NDArray[np.float64]

#: Half a unit in the last place of 1: no number is known better. Half types are coarser, which their noise
#: says; where all weights are float64, so is what is computed from them.
_HALF_ULP, _HALF_ULP_DOUBLE = 2**-24, 2**-53


@dataclass(frozen=True)
class Drift:
    """One quantity of both sides.

    Attributes:
        rms: root mean square of the difference; infinite where one side alone is not finite.
        size: root mean square of the baseline.
        noise: root mean square of the noise, never below half a ULP of `size`.
        largest: the largest relative difference of one element, and the largest absolute one.
        typical: the median distance of the elements that differ.
    """

    name: str
    identical: bool
    rms: float
    size: float
    noise: float
    largest: tuple[float, float] = (0.0, 0.0)
    typical: float = math.inf

    @property
    def robust(self) -> float:
        """Drift ÷ noise, unless it is that of a few elements.

        Adam divides by the gradient's own size: where one is close to zero, its rounding moves a weight by a
        whole learning rate, which three members of an ensemble need not have met.
        """
        return min(self.ratio, 6 * self.typical / self.noise) if self.noise else self.ratio

    @property
    def ratio(self) -> float:
        """Drift ÷ noise."""
        if self.rms == 0:
            return 0.0
        return self.rms / self.noise if self.noise else math.inf

    @property
    def relative(self) -> float:
        """Drift as a share of the baseline."""
        return self.rms / self.size if self.size else (0.0 if self.rms == 0 else math.inf)


@dataclass(frozen=True)
class Group:
    """All tensors of one kind: gradients, trained weights, other state, or the outputs of layers."""

    parts: tuple[Drift, ...]

    @property
    def identical(self) -> bool:
        """Whether every tensor is the same, bit for bit."""
        return all(part.identical for part in self.parts)

    @property
    def ratio(self) -> float:
        """Of all tensors together, each in the unit of its own noise."""
        ratios = [part.ratio for part in self.parts]
        return math.sqrt(sum(ratio**2 for ratio in ratios) / len(ratios)) if ratios else 0.0

    @property
    def robust(self) -> float:
        """The same without what a few elements do."""
        ratios = [part.robust for part in self.parts]
        return math.sqrt(sum(ratio**2 for ratio in ratios) / len(ratios)) if ratios else 0.0

    @property
    def relative(self) -> float:
        """Drift as a share of the baseline, of all tensors together."""
        size = math.sqrt(sum(part.size**2 for part in self.parts))
        rms = math.sqrt(sum(part.rms**2 for part in self.parts))
        return rms / size if size else (0.0 if rms == 0 else math.inf)

    @property
    def worst(self) -> Drift | None:
        """The tensor farthest above its noise."""
        return max(self.parts, key=lambda part: part.ratio, default=None)


@dataclass(frozen=True)
class StepDrift:
    """One step. A part is None where a side has none of it (a custom step may hide gradients)."""

    step: int
    losses: tuple[float | None, float | None]
    loss: Drift
    forward: Drift | None
    gradients: Group | None
    weights: Group
    state: Group
    reported: tuple[tuple[str, float | None, float | None], ...]


@dataclass(frozen=True)
class LayerDrift:
    """One layer in the training-mode pass: its output, and the gradient of the loss there.

    `double` is the output's relative difference between the float64 twins, None without them.
    """

    name: str
    class_name: str
    forward: Drift
    backward: Drift | None
    double: float | None = None
    double_backward: float | None = None


@dataclass(frozen=True)
class Twins:
    """The first step in float64 on both sides: the same mathematics without the rounding.

    `forward`, `loss` and `gradients` are relative differences of the two twins. `errors` are the distances of
    each side's float32 gradients from its own twin, as shares of their size: baseline, candidate.
    """

    loss: float
    forward: float
    gradients: float
    errors: tuple[float, float]


@dataclass(frozen=True)
class FreshDrift:
    """A variable's fresh initialisation: standard errors by which a moment differs, and which."""

    name: str
    same_values: bool
    moment: str
    baseline: float
    candidate: float
    errors: float


@dataclass(frozen=True)
class TrainingComparison:
    """Everything of two trainings; `unpaired` says why nothing could be compared."""

    unpaired: str = ""
    names: tuple[str, ...] = ()
    data: str = ""  # "", "order" or "content"
    start: tuple[str, ...] = ()  # variables whose initial weights differ
    inference: Drift | None = None
    steps: tuple[StepDrift, ...] = ()
    layers: tuple[LayerDrift, ...] = ()
    twins: Twins | None = None
    fresh: tuple[FreshDrift, ...] = ()
    curve: tuple[tuple[float | None, float | None, float], ...] = ()  # baseline, candidate, noise


def compare_training(baseline: TrainingCapture, candidate: TrainingCapture) -> TrainingComparison:
    """Compare two trainings of one model; the ensemble of the baseline is the noise of both."""
    old, new = baseline.answer, candidate.answer
    pairs = pair_variables(old.variables, new.variables)
    if pairs is None:
        return TrainingComparison(unpaired=different_variables(old.variables, new.variables))
    if len(old.steps) != len(new.steps):
        return TrainingComparison(unpaired=f"{len(old.steps)} steps against {len(new.steps)}")
    sides = _Sides(baseline, candidate, pairs)
    layers = _layers(sides)
    return TrainingComparison(
        names=tuple(variable.name for variable in old.variables),
        data=_data(old, new),
        start=tuple(
            old.variables[i].name for i, j in pairs if old.variables[i].digest != new.variables[j].digest
        ),
        inference=sides.one("prediction", (old.inference, new.inference), _forward_noise(sides, 0)),
        steps=tuple(_step(sides, number) for number in range(len(old.steps))),
        layers=layers,
        twins=_twins(sides),
        fresh=_fresh(sides),
        curve=_curve(sides),
    )


@dataclass(frozen=True)
class _Sides:
    """Both captures, and which variable of the one is which of the other."""

    baseline: TrainingCapture
    candidate: TrainingCapture
    pairs: Pairs

    @property
    def unit(self) -> float:
        """What rounding leaves at least, as a share of a number's size."""
        kinds = {variable.dtype for variable in self.baseline.answer.variables if variable.trainable}
        return _HALF_ULP_DOUBLE if kinds == {"float64"} else _HALF_ULP

    def one(self, name: str, vectors: tuple[Vectors | None, Vectors | None], noise: float) -> Drift | None:
        """The drift of a single tensor."""
        found = self.many((name,), vectors, ((0, 0),), lambda _: noise)
        return found.parts[0] if found is not None and found.parts else None

    def many(
        self,
        names: Sequence[str],
        vectors: tuple[Vectors | None, Vectors | None],
        pairs: Pairs,
        noise: Callable[[int], float],
    ) -> Group | None:
        """The drifts of paired tensors; those that a side lacks are left out."""
        left, right = self.baseline.values(vectors[0]), self.candidate.values(vectors[1])
        if left is None or right is None or vectors[0] is None or vectors[1] is None:
            return None
        parts = []
        for i, j in pairs:
            ours, theirs = vectors[0].digests[i], vectors[1].digests[j]
            if ours is None and theirs is None:
                continue
            known = max(noise(i), self.unit * _rms(left[i]))
            parts.append(drift(names[i], left[i], right[j], known, identical=ours == theirs))
        return Group(tuple(parts))


def drift(name: str, old: Values, new: Values, noise: float, *, identical: bool = False) -> Drift:
    """The drift of one tensor's samples."""
    if identical:
        return Drift(name, True, 0.0, _rms(old), noise)
    if old.shape != new.shape:
        return Drift(name, False, math.inf, _rms(old), noise)
    finite = np.isfinite(old) & np.isfinite(new)
    if not np.array_equal(np.isfinite(old), np.isfinite(new)):
        return Drift(name, False, math.inf, _rms(old[finite]), noise, (math.inf, math.inf))
    old, new = old[finite], new[finite]
    distance = np.abs(new - old)
    scale = np.abs(old)
    relative = np.divide(distance, scale, out=np.zeros_like(distance), where=scale > 0)
    largest = (float(relative.max(initial=0.0)), float(distance.max(initial=0.0)))
    differing = distance[distance > 0]
    typical = float(np.median(differing)) if differing.size else 0.0
    return Drift(name, False, _rms(distance), _rms(old), noise, largest, typical)


def _rms(values: Values) -> float:
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0


def _step(sides: _Sides, number: int) -> StepDrift:
    old, new = sides.baseline.answer.steps[number], sides.candidate.answer.steps[number]
    variables = sides.baseline.answer.variables
    names = [variable.name for variable in variables]
    trained = tuple(pair for pair in sides.pairs if variables[pair[0]].trainable)
    others = tuple(pair for pair in sides.pairs if not variables[pair[0]].trainable)
    noise = _noise_of(sides, number)
    weights = (old.weights, new.weights)
    return StepDrift(
        step=number,
        losses=(old.loss, new.loss),
        loss=_loss(old, new, _combined(noise.loss) if noise else 0.0, sides.unit),
        forward=sides.one("outputs", (old.forward, new.forward), _forward_noise(sides, number)),
        gradients=sides.many(
            names, (old.gradients, new.gradients), trained, _by_variable(noise.gradients if noise else ())
        ),
        weights=sides.many(names, weights, trained, _by_variable(noise.weights if noise else ()))
        or Group(()),
        state=sides.many(names, weights, others, _by_variable(noise.weights if noise else ())) or Group(()),
        reported=tuple(
            (name, old.reported.get(name), new.reported.get(name))
            for name in dict.fromkeys((*old.reported, *new.reported))
        ),
    )


def _loss(old: Step, new: Step, noise: float, unit: float) -> Drift:
    sides = [np.array([math.nan if value is None else value]) for value in (old.loss, new.loss)]
    # one number rounds to its own last place, and a mean of many to a few of them
    known = max(noise, 4 * unit * _rms(sides[0]))
    return drift("loss", sides[0], sides[1], known, identical=old.loss == new.loss)


def _noise_of(sides: _Sides, number: int) -> NoiseStep | None:
    noise = sides.baseline.answer.noise
    return noise.steps[number] if noise and number < len(noise.steps) else None


def _forward_noise(sides: _Sides, number: int) -> float:
    noise = _noise_of(sides, number)
    return _combined(noise.forward) if noise else 0.0


def _by_variable(members: tuple[Numbers, ...]) -> Callable[[int], float]:
    """Noise of the variable with a number, over all members."""
    return lambda index: _combined([member[index] for member in members if index < len(member)])


def _combined(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return math.sqrt(sum(value**2 for value in known) / len(known)) if known else 0.0


def _layers(sides: _Sides) -> tuple[LayerDrift, ...]:
    """Layers in the order of their calls, each with its own noise."""
    old, new = sides.baseline.answer.probe, sides.candidate.answer.probe
    if old is None or new is None or not old.layers or not new.layers:
        return ()
    pairs = pair_layers(old.layers, new.layers)
    names = [layer.name for layer in old.layers]
    noise = sides.baseline.answer.noise
    forward = sides.many(
        names, (old.forward, new.forward), pairs, _by_variable(noise.probe.forward if noise else ())
    )
    backward = sides.many(
        names, (old.backward, new.backward), pairs, _by_variable(noise.probe.backward if noise else ())
    )
    behind = {part.name: part for part in backward.parts} if backward else {}
    double, double_backward = _twin_layers(sides)
    return tuple(
        LayerDrift(
            old.layers[i].name,
            old.layers[i].class_name,
            part,
            behind.get(part.name),
            double.get(part.name),
            double_backward.get(part.name),
        )
        for (i, _), part in zip(pairs, forward.parts if forward else (), strict=True)
    )


def _twin_layers(sides: _Sides) -> tuple[dict[str, float], dict[str, float]]:
    old, new = sides.baseline.answer.twin, sides.candidate.answer.twin
    if old is None or new is None or old.failure or new.failure:
        return {}, {}
    pairs = pair_layers(old.layers, new.layers)
    names = [layer.name for layer in old.layers]
    groups = (
        sides.many(names, vectors, pairs, lambda _: 0.0)
        for vectors in ((old.forward, new.forward), (old.backward, new.backward))
    )
    forward, backward = (
        {part.name: part.relative for part in group.parts} if group else {} for group in groups
    )
    return forward, backward


def _twins(sides: _Sides) -> Twins | None:
    old, new = sides.baseline.answer.twin, sides.candidate.answer.twin
    if old is None or new is None or old.failure or new.failure:
        return None
    names = [variable.name for variable in sides.baseline.answer.variables]
    gradients = sides.many(names, (old.gradients, new.gradients), sides.pairs, lambda _: 0.0)
    if gradients is None or old.loss is None or new.loss is None:
        return None
    forward = max(_twin_layers(sides)[0].values(), default=0.0)
    loss = abs(old.loss - new.loss) / (abs(old.loss) or 1.0)
    return Twins(loss, forward, gradients.relative, (_error(sides.baseline), _error(sides.candidate)))


def _error(side: TrainingCapture) -> float:
    """How far a side's own gradients are from its float64 twin's, as a share of their size."""
    probe, twin = side.answer.probe, side.answer.twin
    here = side.values(probe.gradients) if probe else None
    exact = side.values(twin.gradients) if twin else None
    if here is None or exact is None:
        return math.inf
    group = Group(tuple(drift("", b, a, 0.0) for a, b in zip(here, exact, strict=True) if a.size))
    return group.relative


def _data(old: TrainingAnswer, new: TrainingAnswer) -> str:
    """Empty for the same batches, `order` for the same samples in other ones, else `content`."""
    if [step.batch for step in old.steps] == [step.batch for step in new.steps]:
        return ""
    rows = [{row for step in side.steps for row in step.rows.split(",")} for side in (old, new)]
    same_steps = rows[0] == rows[1] and rows[0] != {""}
    return "order" if same_steps or (old.samples and old.samples == new.samples) else "content"


def _fresh(sides: _Sides) -> tuple[FreshDrift, ...]:
    old, new = sides.baseline.answer.fresh, sides.candidate.answer.fresh
    if old is None or new is None or old.failure or new.failure:
        return ()
    found = []
    for i, j in sides.pairs:
        if i >= len(old.variables) or j >= len(new.variables):
            return ()
        here, there = old.variables[i], new.variables[j]
        name = sides.baseline.answer.variables[i].name
        moment, values, errors = _moment(here.moments, there.moments, here.size)
        found.append(FreshDrift(name, here.digests == there.digests, moment, *values, errors))
    return tuple(found)


def _moment(
    old: Sequence[tuple[float, float, float]], new: Sequence[tuple[float, float, float]], size: int
) -> tuple[str, tuple[float, float], float]:
    """The moment that differs most, in its standard errors (normal theory; wider than uniform draws need)."""
    means = [np.mean(np.array(side, dtype=np.float64).reshape(-1, 3), axis=0) for side in (old, new)]
    # copies of one seeded draw are no more draws than one
    draws = [len({tuple(moment) for moment in side}) for side in (old, new)]
    count = max(1, size * min(draws))
    spread = max(float(means[0][1]), float(means[1][1]))
    if spread == 0:
        differs = float(means[0][0]) != float(means[1][0])
        return "mean", (float(means[0][0]), float(means[1][0])), math.inf if differs else 0.0
    errors = {
        "mean": abs(means[0][0] - means[1][0]) / (spread * math.sqrt(2 / count)),
        "standard deviation": abs(means[0][1] - means[1][1]) / (spread / math.sqrt(count)),
        "kurtosis": abs(means[0][2] - means[1][2]) / math.sqrt(48 / count),
    }
    worst = max(errors, key=lambda name: errors[name])
    index = list(errors).index(worst)
    return worst, (float(means[0][index]), float(means[1][index])), float(errors[worst])


def _curve(sides: _Sides) -> tuple[tuple[float | None, float | None, float], ...]:
    old, new = sides.baseline.answer.curve, sides.candidate.answer.curve
    if not old or not new:
        return ()
    points = []
    for number, (here, there) in enumerate(zip(old[0], new[0], strict=False)):
        members = [run[number].loss for run in old[1:] if number < len(run)]
        distances = [None if value is None or here.loss is None else value - here.loss for value in members]
        points.append((here.loss, there.loss, _combined(distances)))
    return tuple(points)
