"""What a threshold is. The values stand in `verdict.bands`, and reach a check as an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from validator.numbers.floor import Grain

CellVerdict = Literal[
    "identical", "rounding", "suspicious", "changed", "metric-only", "failed", "not-compared"
]


@dataclass(frozen=True)
class Band:
    """Of a ratio of drift to noise: rounding below `rounding`, changed above `changed`, else suspicious."""

    rounding: float
    changed: float

    def verdict(self, ratio: float) -> CellVerdict:
        """What a ratio of drift to noise means."""
        if ratio < self.rounding:
            return "rounding"
        return "changed" if ratio > self.changed else "suspicious"


@dataclass(frozen=True)
class OutputBands:
    """Of predictions. A ratio is drift ÷ noise ÷ what a member of the ensemble comes to against the others.

    Attributes:
        grains: everything, a sample, a column, an element.
        places: discrete values that no member has ÷ the most that a member has to itself.
        slack: so many such places more are not yet certain.
        units: without noise, a difference counts as rounding up to this many units in the last place.
        chaos, column_chaos: noise as a share of what all outputs, or a column, vary by, from which on they
            cannot show a change.
        unsteady: a difference up to this many times the baseline's own, run to run, is chance.
        same, other: relative difference of the float64 runs below which both sides compute the same function,
            and above which they compute different ones.
        part: `other` for a sample or a column alone.
    """

    grains: Mapping[Grain, Band]
    places: Band
    slack: int
    units: float
    chaos: float
    column_chaos: float
    unsteady: float
    same: float
    other: float
    part: float


@dataclass(frozen=True)
class LayerBands:
    """Drift ÷ noise of one layer: `diverges` on identical input; `reached` in the full forward pass."""

    diverges: float
    reached: float


@dataclass(frozen=True)
class TrainingBands:
    """Of the links of a training step.

    Attributes:
        link: all tensors together.
        tensor: factor on `link` for one tensor alone, whose noise is known less well.
        later: factor on `link` for the steps after the first.
        same_maths: difference of float64 gradients, as a share of float32's errors, up to which they agree.
        moment_errors: standard errors by which a fresh initialisation's moment may be off.
        outliers: a tensor's drift counts up to this many times its median difference; beyond, few elements.
        double: relative difference of float64 reference runs above which a layer computes something else.
        batch: relative error up to which a ratio of losses is the batch size.
        drawn: draws of random layers below the first p are of another distribution, below the second perhaps.
    """

    link: Band
    tensor: float
    later: float
    same_maths: float
    moment_errors: float
    outliers: float
    double: float
    batch: float
    drawn: tuple[float, float]


@dataclass(frozen=True)
class ReportedBands:
    """Of a metric that the framework reports.

    Attributes:
        rtol, atol: how far it may move with predictions inside their noise.
        exact: the same share where every prediction is bit-identical.
        mask: how exactly it must be the true value times the unmasked share to be one that ignores the mask.
    """

    rtol: float
    atol: float
    exact: float
    mask: float


@dataclass(frozen=True)
class Bands:
    """Every threshold, and the order of verdicts: `severity` has the worst last.

    `moved`: verdicts that ask where a difference starts, and which setting restores parity.
    """

    outputs: OutputBands
    layers: LayerBands
    training: TrainingBands
    decode: Band
    reported: ReportedBands
    severity: tuple[CellVerdict, ...]
    green: frozenset[CellVerdict]
    moved: frozenset[CellVerdict]
    growth_errors: float  # standard errors above which a divergence grows with the steps of a decode

    def worst(self, verdicts: Iterable[CellVerdict | None]) -> CellVerdict:
        """The worst of some verdicts; identical where there is none."""
        known = (verdict for verdict in verdicts if verdict is not None)
        return max(known, key=self.severity.index, default="identical")
