"""What a threshold is. The values stand in `verdict.bands`, and reach a check as an argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

CellVerdict = Literal[
    "identical", "rounding", "suspicious", "changed", "metric-only", "failed", "not-compared"
]


@dataclass(frozen=True)
class Band:
    """Drift ÷ noise. Below `rounding`: rounding. Above `changed`: changed. Between them: suspicious."""

    rounding: float
    changed: float

    def verdict(self, ratio: float) -> CellVerdict:
        """What a ratio of drift to noise means."""
        if ratio < self.rounding:
            return "rounding"
        return "changed" if ratio > self.changed else "suspicious"


@dataclass(frozen=True)
class OutputBands:
    """Of predictions: all elements together, and the worst sample.

    Attributes:
        batches: other batch boundaries count as rounding up to this many times the ensemble's noise.
        quiet: the noise of a sample is at least this share of the noise of all.
        unsteady: a difference up to this many times a side's own, run to run, is nondeterminism.
    """

    overall: Band
    sample: Band
    batches: float
    quiet: float
    unsteady: float


@dataclass(frozen=True)
class ReferenceBands:
    """Of a reference run in higher precision.

    Attributes:
        near: a candidate within this many times the baseline's distance to the reference is rounding.
        alike: errors of both sides within this factor are of one precision.
        bits, bias: lost precision leaves so many effective bits, and errs both ways up to this |mean| ÷ rms.
    """

    near: float
    alike: float
    bits: float
    bias: float


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
    """

    link: Band
    tensor: float
    later: float
    same_maths: float
    moment_errors: float
    outliers: float
    double: float
    batch: float


@dataclass(frozen=True)
class ReportedBands:
    """Of a metric that the framework reports.

    Attributes:
        rtol, atol: how far it may move with predictions inside their noise.
        mask: how exactly it must be the true value times the unmasked share to be one that ignores the mask.
    """

    rtol: float
    atol: float
    mask: float


@dataclass(frozen=True)
class Bands:
    """Every threshold, and the order of verdicts: `severity` has the worst last.

    `moved`: verdicts that ask where a difference starts, and which setting restores parity.
    """

    outputs: OutputBands
    reference: ReferenceBands
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
