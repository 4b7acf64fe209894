"""The numbers and findings of the check `outputs`: do predictions differ beyond noise?"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from validator.base import Finite, Frozen, Text
from validator.checks.bands import CellVerdict
from validator.checks.loading.types import Side
from validator.checks.protocol import Comparison, Finding
from validator.config.settings import Tolerance
from validator.failure import Failure
from validator.numbers.distance import TensorComparison
from validator.numbers.drift import Drift, GrainDrift
from validator.numbers.ensembles import NoiseMethod
from validator.numbers.pictured import ClassPair, Histogram, OutputRow
from validator.numbers.places import Places
from validator.numbers.reference import ReferenceDistance
from validator.runner.captures import SelfDifference

#: `precision`: zero-mean error of another size. `semantic`: another computation.
Change = Literal["rounding", "precision", "semantic"]
#: Why an output has no ensemble; beside these, the worker's own reasons (docs/protocol.md).
NoiseGap = Literal["failed", "no-members"]
#: What decided an output's verdict. `noise`: a grain of its drift. `units`: the same without noise.
OutputRule = Literal[
    "missing", "extra", "renamed", "empty", "structure", "bytes", "not-a-number", "mostly-nan", "unsteady",
    "tolerance", "exact", "dtype-tolerance", "noise", "units", "chaos", "places", "nonfinite", "processor",
]  # fmt: skip
#: `convicts`: another function, which the outputs do not show. `confirms`: another function, as they do.
#: The same function: `acquits` a suspicious cell, `precision` of a cell that changed.
ReferenceKind = Literal[
    "reference-convicts", "reference-confirms", "reference-acquits", "reference-precision",
    "reference-missing",
]  # fmt: skip


class Obstacle(Frozen):
    """Why two captures must not be compared.

    `baseline`, `candidate`: how many samples, or the batch size. `failure`: why a side is unreadable.
    `no-outputs`: neither side has one.
    """

    kind: Literal["inputs", "samples", "batch-size", "unreadable", "no-outputs"]
    baseline: int | None = None
    candidate: int | None = None
    failure: Failure | None = None


class OutputNumbers(Frozen):
    """One output on both sides.

    `comparison` is None for an output of one side only (`renamed_to`: its likely other name). Once noise was
    measured, `drift` is there for numbers that differ, and `places` for discrete values that do (of numbers:
    NaN and infinities). `gap`: why there is no ensemble; `noise_reason`: why none, or one of weights.
    `noise_max_abs`: the furthest that an element moved in the ensemble. `unsteady`: how far a side differs
    from itself. `reference`: the float64 runs.
    """

    name: str
    only_in: Side | None = None
    renamed_to: str = ""
    comparison: TensorComparison | None = None
    drift: Drift | None = None
    places: Places | None = None
    gap: NoiseGap | None = None
    gap_failure: Failure | None = None
    noise_reason: str = Field(default="", description="The worker's reason for less than an ensemble.")
    noise_max_abs: float | None = None
    tolerance: Tolerance | None = Field(default=None, description="The configured tolerance, if any.")
    unsteady: dict[Side, SelfDifference] = {}
    reference: ReferenceDistance | None = None
    classes: tuple[str, ...] = Field(default=(), description="Names along the last axis.")
    ranked: bool = Field(default=True, description="Whether the largest value of a row is a prediction.")

    @property
    def unsized(self) -> bool:
        """Whether it differs in NaN and infinities alone, so that no distance says how far."""
        own = self.comparison
        return own is not None and bool(own.nonfinite_mismatched) and not own.max_abs


class NoiseSource(Frozen):
    """How the noise of a model in the caller's process was measured.

    `reason`: the worker's word for why its operations were not moved (docs/protocol.md). `members`
    predictions of the first `samples` samples were made. `keras`: module and version.
    """

    method: NoiseMethod
    reason: str = ""
    members: int = 0
    samples: int = 0
    keras: str = ""
    backend: str = ""


class DrawnOutput(Frozen):
    """What is worth drawing of an output that differs."""

    output: str
    histogram: Histogram | None = Field(
        default=None, description="Sizes of the differences and of the noise."
    )
    worst_row: OutputRow | None = Field(default=None, description="The row of the largest difference.")
    top1: tuple[ClassPair, ...] = Field(
        default=(), description="Top-1 changes by class, the most frequent first; `flips` counts all."
    )
    points: tuple[tuple[Finite | None, Finite | None], ...] = Field(
        default=(), description="Values of both sides, of an output that is no scores: the most moved first."
    )


class SampleInput(Frozen):
    """One input of a sample: values in C order, or texts; `step`: every so many-th along each axis."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    step: int = 1
    values: tuple[Finite | None, ...] = ()
    texts: tuple[Text, ...] = ()


class WorstSample(Frozen):
    """The sample with the largest difference, as the model was fed it."""

    index: int
    inputs: tuple[SampleInput, ...]


class ReferenceComparison(Frozen):
    """The same model in float64 on both sides; `failure` or `unmatched`: why there is nothing to compare."""

    how: Literal["graph", "reload"] = Field(
        default="graph", description="The traced operations in float64, or the model loaded in float64."
    )
    policy: str | None = Field(default=None, description="Of the cell itself; null for a SavedModel.")
    failure: Failure | None = None
    failed_side: Side | None = None
    unmatched: bool = Field(default=False, description="The two runs have other outputs or samples.")


class Measurement(Frozen):
    """What is worth measuring: noise, and the float64 runs, on some batches; None: on all."""

    noise: bool
    batches: tuple[int, ...] | None
    candidate: bool = True


class OutputsComparison(Comparison):
    """Every output of both sides; no numbers where there is an obstacle.

    `moved`: samples that moved most, the most first. `measurement`: what a further round could tell.
    """

    obstacles: tuple[Obstacle, ...] = ()
    samples: tuple[int | None, int | None] = (None, None)
    outputs: tuple[OutputNumbers, ...] = ()
    reference: ReferenceComparison | None = None
    nondeterministic: dict[Side, tuple[SelfDifference, ...]] = {}
    names: dict[str, str] = Field(
        default={}, description="Outputs that the candidate returns under another name: old → new."
    )
    moved: tuple[int, ...] = ()
    drawn: tuple[DrawnOutput, ...] = ()
    sample: WorstSample | None = Field(default=None, description="In cells that moved.")
    measurement: Measurement | None = Field(default=None, exclude=True)

    @property
    def noise_ratio(self) -> float | None:
        """The largest drift ÷ noise of all outputs whose noise was measured; infinite over no noise."""
        drifts = (each.drift for each in self.outputs if each.drift and not each.unsized)
        ratios = (drift.ratio for drift in drifts if drift.method != "none")
        return max((each if math.isfinite(each) else math.inf for each in ratios), default=None)

    @property
    def max_abs(self) -> float | None:
        """The largest absolute difference of all outputs."""
        sizes = (
            output.comparison.max_abs for output in self.outputs if output.comparison and not output.unsized
        )
        return max((each for each in sizes if each is not None), default=None)


class _OfOutputs(Finding):
    check: Literal["outputs"] = "outputs"


class OutputFinding(_OfOutputs):
    """The verdict of one output, and the rule that decided.

    `grain`: whose drift decided; `band`: the edges below which its ratio is rounding, and above which it is
    changed. `by_noise`: what the noise alone makes of it, where a configured tolerance decided. `acquitted`:
    it was suspicious until the float64 runs.
    """

    kind: Literal["output"] = "output"
    output: str
    rule: OutputRule
    numbers: OutputNumbers
    grain: GrainDrift | None = None
    band: tuple[float, float] | None = None
    by_noise: CellVerdict | None = None
    acquitted: bool = False


class ReferenceFinding(_OfOutputs):
    """What the float64 runs add, and the distances of the output that tells it."""

    kind: ReferenceKind
    policy: str | None
    change: Change | None = None
    distance: ReferenceDistance | None = None
    failure: Failure | None = None
    failed_side: Side | None = None
    weights_differ: bool = Field(
        default=False,
        description="The sides began with other weights, which float64 cannot tell from a function.",
    )


class NondeterministicFinding(_OfOutputs):
    """Two predictions of one side, one after the other, differ."""

    kind: Literal["nondeterministic"] = "nondeterministic"
    side: Side
    outputs: tuple[SelfDifference, ...]


class NamesFinding(_OfOutputs):
    """The candidate returns outputs under the names of others, or under new ones. `missing`: those it lost,
    `extra`: those that it has beside them.
    """

    kind: Literal["output-names"] = "output-names"
    names: dict[str, str]
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


class ObstacleFinding(_OfOutputs):
    """The captures of both sides must not be compared."""

    kind: Literal["not-comparable"] = "not-comparable"
    obstacles: tuple[Obstacle, ...]
