"""Two trainings side by side → how far they are apart, tensor by tensor.

Noise is that of the ensemble whose initial weights were moved by one ULP. Values are the recorded samples;
where digests agree the whole tensor agrees, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from validator.checks.training.answers import (
    FreshVariable,
    NoiseStep,
    Numbers,
    Trained,
    Vectors,
)
from validator.checks.training.drift import (
    DriftGroup,
    FreshDrift,
    LayerName,
    Moment,
    ProbedDrift,
    StepDrift,
    TensorDrift,
    combined,
    rms,
    tensor_drift,
)
from validator.checks.training.pairs import Pairs, pair_layers

#: Half a unit in the last place of 1: no number is known better. Half types are coarser, which their noise
#: says; where all weights are float64, so is what is computed from them.
_HALF_ULP, _HALF_ULP_DOUBLE = 2**-24, 2**-53
_NO_NOISE = NoiseStep(loss=(), forward=(), gradients=(), weights=())
_MOMENTS: tuple[Moment, ...] = ("mean", "standard-deviation", "kurtosis")


@dataclass(frozen=True)
class TrainingDrifts:
    """Both trainings, paired variable by variable, and how far each of their quantities is apart."""

    baseline: Trained
    candidate: Trained
    pairs: Pairs

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the baseline's variables."""
        return tuple(variable.name for variable in self.baseline.answer.variables)

    @cached_property
    def unit(self) -> float:
        """What rounding leaves at least, as a share of a number's size."""
        kinds = {variable.dtype for variable in self.baseline.answer.variables if variable.trainable}
        return _HALF_ULP_DOUBLE if kinds == {"float64"} else _HALF_ULP

    @property
    def start(self) -> tuple[str, ...]:
        """The variables whose initial weights differ."""
        sides = [
            (self.baseline.answer.variables[i], self.candidate.answer.variables[j]) for i, j in self.pairs
        ]
        return tuple(old.name for old, new in sides if old.digest != new.digest)

    @property
    def lost(self) -> bool:
        """Whether both sides are lost with the first step: nothing that follows from it is a number."""
        return _is_lost(self.baseline) and _is_lost(self.candidate)

    @property
    def data(self) -> Literal["same", "order", "content"]:
        """Whether the batches are the same, the same samples in another order, or other samples."""
        old, new = self.baseline.answer, self.candidate.answer
        if [step.batch for step in old.steps] == [step.batch for step in new.steps]:
            return "same"
        rows = [{row for step in side.steps for row in step.rows.split(",")} for side in (old, new)]
        same_steps = rows[0] == rows[1] and rows[0] != {""}
        return "order" if same_steps or (old.samples and old.samples == new.samples) else "content"

    @property
    def inference(self) -> DriftGroup | None:
        """Of the outputs of the first batch outside training mode."""
        return self._outputs(self.baseline.answer.inference, self.candidate.answer.inference, 0)

    @cached_property
    def steps(self) -> tuple[StepDrift, ...]:
        """Every step."""
        return tuple(self._step(number) for number in range(len(self.baseline.answer.steps)))

    @cached_property
    def layers(self) -> tuple[ProbedDrift, ...]:
        """Layers in the order of their calls, each with its own noise."""
        old, new = self.baseline.answer.probe, self.candidate.answer.probe
        if old.forward is None or new.forward is None:
            return ()
        digests = (old.forward.digests, new.forward.digests)
        paired = pair_layers(old.layers, new.layers)
        pairs = tuple((i, j) for i, j in paired if (digests[0][i], digests[1][j]) != (None, None))
        names = [layer.name for layer in old.layers]
        probe = self.baseline.answer.noise.probe if self.baseline.answer.noise else None
        noises = (probe.forward, probe.backward) if probe else ((), ())
        forward = self.group(names, (old.forward, new.forward), pairs, noises[0]) or DriftGroup()
        backward = self.group(names, (old.backward, new.backward), pairs, noises[1]) or DriftGroup()
        gradients = {part.name: part for part in backward.parts}
        return tuple(
            ProbedDrift(
                LayerName(name=part.name, class_name=old.layers[i].class_name),
                part,
                gradients.get(part.name),
                self.double.get(part.name),
            )
            for (i, _), part in zip(pairs, forward.parts, strict=True)
        )

    @cached_property
    def double(self) -> Mapping[str, float]:
        """The relative difference of each layer's output between the float64 reference runs."""
        old, new = self.baseline.answer.reference, self.candidate.answer.reference
        names, pairs = [layer.name for layer in old.layers], pair_layers(old.layers, new.layers)
        group = self.group(names, (old.forward, new.forward), pairs) or DriftGroup()
        return {part.name: part.relative for part in group.parts}

    @property
    def fresh(self) -> tuple[FreshDrift, ...]:
        """Fresh initialisations, by variable."""
        old, new = self.baseline.answer.fresh, self.candidate.answer.fresh
        if old is None or new is None or old.failure or new.failure:
            return ()
        if any(i >= len(old.variables) or j >= len(new.variables) for i, j in self.pairs):
            return ()  # a builder gives another model than the artifact holds
        return tuple(_moment(self.names[i], old.variables[i], new.variables[j]) for i, j in self.pairs)

    @property
    def corrections(self) -> Mapping[str, int]:
        """Moving variance → N, where it differs by N/(N−1) alone after the first step.

        N is negative where the baseline's is the larger. A moving variance is m·before + (1−m)·variance, so
        both sides' variances follow from it.
        """
        corrections = {}
        old, new = self.baseline.answer, self.candidate.answer
        start = self.baseline.values(old.start_file)
        before = self.baseline.values(old.steps[0].weights)
        after = self.candidate.values(new.steps[0].weights)
        for i, j in self.pairs:
            name = old.variables[i].name
            momentum = old.settings(name.rpartition("/")[0]).get("momentum")
            if old.variables[i].trainable or not isinstance(momentum, float):
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.sum(after[j] - momentum * start[i]) / np.sum(before[i] - momentum * start[i])
            counted = _counted(float(max(ratio, 1 / ratio)), old.batch_size) if ratio > 0 else None
            if counted is not None:
                corrections[name] = counted if ratio > 1 else -counted
        return corrections

    def group(
        self,
        names: Sequence[str],
        vectors: tuple[Vectors | None, Vectors | None],
        pairs: Pairs,
        members: Sequence[Numbers] = (),
    ) -> DriftGroup | None:
        """The drifts of paired tensors against noise; those that neither side has are left out."""
        old, new = vectors
        if old is None or new is None:
            return None
        left, right = self.baseline.values(old), self.candidate.values(new)
        parts = []
        for i, j in pairs:
            if old.digests[i] is None and new.digests[j] is None:
                continue
            noise = combined([member[i] for member in members if i < len(member)])
            known = max(noise, self.unit * rms(left[i]))
            identical = old.digests[i] == new.digests[j]
            parts.append(tensor_drift(names[i], (left[i], right[j]), known, identical=identical))
        return DriftGroup(tuple(parts))

    def _outputs(self, old: Vectors | None, new: Vectors | None, step: int) -> DriftGroup | None:
        """What the model returned is recorded as a single tensor."""
        members = self.baseline.answer.noise.steps[step].forward if self.baseline.answer.noise else ()
        return self.group(["outputs"], (old, new), ((0, 0),), [(value,) for value in members])

    def _step(self, number: int) -> StepDrift:
        old, new = self.baseline.answer.steps[number], self.candidate.answer.steps[number]
        variables, noise = self.baseline.answer.variables, self.baseline.answer.noise
        members = noise.steps[number] if noise else _NO_NOISE
        trained = tuple(pair for pair in self.pairs if variables[pair[0]].trainable)
        others = tuple(pair for pair in self.pairs if not variables[pair[0]].trainable)
        weights = (old.weights, new.weights)
        metrics = dict.fromkeys((*old.reported, *new.reported))
        return StepDrift(
            step=number,
            losses=(old.loss, new.loss),
            loss=self._loss(old.loss, new.loss, combined(members.loss)),
            forward=self._outputs(old.forward, new.forward, number),
            gradients=self.group(self.names, (old.gradients, new.gradients), trained, members.gradients),
            weights=self.group(self.names, weights, trained, members.weights) or DriftGroup(),
            state=self.group(self.names, weights, others, members.weights) or DriftGroup(),
            reported=tuple((name, old.reported.get(name), new.reported.get(name)) for name in metrics),
        )

    def _loss(self, old: float | None, new: float | None, noise: float) -> TensorDrift:
        before, after = (np.array([math.nan if loss is None else loss]) for loss in (old, new))
        # a single number rounds to its own last place, and a mean of many to a few of them
        known = max(noise, 4 * self.unit * rms(before))
        return tensor_drift("loss", (before, after), known, identical=old == new)


def _is_lost(side: Trained) -> bool:
    """Whether the first step leaves weights that are not numbers, or has a loss and gradients that are not.

    Gradients alone may be infinite: a scaled loss overflows, its optimizer skips the step and scales less.
    """
    first = side.answer.steps[0]
    vectors = [first.weights, first.gradients if first.loss is None else None]
    return any(
        not np.isfinite(value).all() for each in vectors if each is not None for value in side.values(each)
    )


def _moment(name: str, baseline: FreshVariable, candidate: FreshVariable) -> FreshDrift:
    """The moment that differs most, in its standard errors (normal theory; wider than uniform draws need)."""
    sides = (baseline, candidate)
    old, new = (np.mean(np.array(side.moments, dtype=np.float64).reshape(-1, 3), axis=0) for side in sides)
    # copies of one seeded draw are no more draws than one
    count = max(1, baseline.size * min(len(set(side.moments)) for side in sides))
    spread = max(float(old[1]), float(new[1]))
    units = np.array([spread * math.sqrt(2 / count), spread / math.sqrt(count), math.sqrt(48 / count)])
    with np.errstate(divide="ignore", invalid="ignore"):  # constants: any difference is infinitely far
        errors = np.nan_to_num(np.abs(old - new) / units, nan=0.0, posinf=math.inf)
    worst = int(errors.argmax())
    same = baseline.digests == candidate.digests
    return FreshDrift(name, same, _MOMENTS[worst], float(old[worst]), float(new[worst]), float(errors[worst]))


def _counted(larger: float, batch: int) -> int | None:
    """N where `larger` is N/(N−1). Float32 blurs it; every sample of the batch gives equally many values."""
    if not 1.0 + 1e-6 < larger < 1.6:
        return None
    counted = round(larger / (larger - 1) / batch) * batch or round(larger / (larger - 1))
    return counted if abs(larger * (counted - 1) / counted - 1) <= 0.1 * (larger - 1) else None
