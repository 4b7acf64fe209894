"""How far the quantities of two trainings are apart: root mean squares of differences, against noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from validator.base import Frozen

Values = NDArray[np.float64]
Side = Literal["baseline", "candidate"]
Moment = Literal["mean", "standard-deviation", "kurtosis"]


@dataclass(frozen=True)
class TensorDrift:
    """One quantity on both sides.

    Attributes:
        rms: root mean square of the difference; infinite where one side alone is not finite.
        size: root mean square of the baseline.
        noise: root mean square of the noise.
        largest: the largest relative difference of one element.
        typical: the median distance of the elements that differ.
        lost: the side that is not finite where the other is.
    """

    name: str
    identical: bool
    rms: float
    size: float
    noise: float
    largest: float = 0.0
    typical: float = math.inf
    lost: Side | None = None

    @property
    def ratio(self) -> float:
        """Drift ÷ noise."""
        if self.rms == 0:
            return 0.0
        return self.rms / self.noise if self.noise else math.inf

    @property
    def relative(self) -> float:
        """Drift as a share of the baseline."""
        return _share(self.rms, self.size)


@dataclass(frozen=True)
class DriftGroup:
    """All tensors of one kind: gradients, trained weights, other state, or the outputs of layers."""

    parts: tuple[TensorDrift, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether every tensor is the same, bit for bit."""
        return all(part.identical for part in self.parts)

    @property
    def ratio(self) -> float:
        """Of all tensors together, each in the unit of its own noise."""
        return combined([part.ratio for part in self.parts])

    @property
    def relative(self) -> float:
        """Drift as a share of the baseline, of all tensors together."""
        drift, size = (math.hypot(*(getattr(part, of) for part in self.parts)) for of in ("rms", "size"))
        return _share(drift, size)

    @property
    def worst(self) -> TensorDrift | None:
        """The tensor farthest above its noise."""
        return max(self.parts, key=lambda part: part.ratio, default=None)

    def above(self, ratio: float) -> tuple[str, ...]:
        """The tensors whose drift is more than so many times their noise."""
        return tuple(part.name for part in self.parts if part.ratio > ratio)

    def robust(self, outliers: float) -> DriftGroup:
        """The same without what a few elements do: a drift is at most so many times the typical distance.

        Adam divides by the gradient's own size: where one is close to zero, its rounding moves a weight by a
        whole learning rate, which three members of an ensemble need not have met.
        """
        limited = (replace(part, rms=min(part.rms, outliers * part.typical)) for part in self.parts)
        return DriftGroup(tuple(limited))


@dataclass(frozen=True)
class StepDrift:
    """One step. A part is None where a side has none of it (a custom step may hide gradients)."""

    step: int
    losses: tuple[float | None, float | None]
    loss: TensorDrift
    forward: DriftGroup | None
    gradients: DriftGroup | None
    weights: DriftGroup
    state: DriftGroup
    reported: tuple[tuple[str, float | None, float | None], ...]

    @property
    def identical(self) -> bool:
        """Whether everything in it is the same, bit for bit."""
        links = (self.loss, self.forward, self.gradients, self.weights, self.state)
        return all(link.identical for link in links if link is not None)


class LayerName(Frozen):
    """A layer, and its class."""

    name: str
    class_name: str


@dataclass(frozen=True)
class ProbedDrift:
    """One layer in the training-mode pass: its output, and the gradient of the loss with respect to it.

    `double` is the output's relative difference between the float64 reference runs, None without them.
    """

    layer: LayerName
    forward: TensorDrift
    backward: TensorDrift | None
    double: float | None = None


@dataclass(frozen=True)
class FreshDrift:
    """A variable's fresh initialisation: the moment that differs most, and by how many standard errors."""

    name: str
    same_values: bool
    moment: Moment
    baseline: float
    candidate: float
    errors: float


def tensor_drift(
    name: str, sides: tuple[Values, Values], noise: float, *, identical: bool = False
) -> TensorDrift:
    """The drift of one tensor's samples, baseline and candidate; `identical`: of the whole tensors."""
    old, new = sides
    if identical:
        return TensorDrift(name, True, 0.0, rms(old), noise)
    if old.shape != new.shape:
        return TensorDrift(name, False, math.inf, rms(old), noise)
    known = np.isfinite(old), np.isfinite(new)
    finite = known[0] & known[1]
    if not np.array_equal(*known):
        lost: Side = "baseline" if known[0].sum() < known[1].sum() else "candidate"
        return TensorDrift(name, False, math.inf, rms(old[finite]), noise, math.inf, lost=lost)
    old, new = old[finite], new[finite]
    distance, scale = np.abs(new - old), np.abs(old)
    relative = np.divide(distance, scale, out=np.zeros_like(distance), where=scale > 0)
    differing = distance[distance > 0]
    typical = float(np.median(differing)) if differing.size else 0.0
    return TensorDrift(name, False, rms(distance), rms(old), noise, float(relative.max(initial=0.0)), typical)


def rms(values: Values) -> float:
    """Root mean square of the finite ones."""
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0


def combined(values: Sequence[float | None]) -> float:
    """Root mean square of the known ones; infinite with an infinite one."""
    known = [value for value in values if value is not None]
    return math.sqrt(sum(value**2 for value in known) / len(known)) if known else 0.0


def _share(part: float, whole: float) -> float:
    return part / whole if whole else (0.0 if part == 0 else math.inf)
