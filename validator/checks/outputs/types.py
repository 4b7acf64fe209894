"""The numbers and findings of the check `outputs`: do predictions differ beyond noise?"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from validator.base import Frozen
from validator.checks.bands import CellVerdict
from validator.checks.loading.types import Side
from validator.checks.protocol import Comparison, Finding
from validator.config.settings import Tolerance
from validator.failure import Failure
from validator.numbers.distance import TensorComparison
from validator.numbers.drift import Drift
from validator.runner.captures import SelfDifference

#: `precision`: zero-mean error of another size. `semantic`: another computation.
Change = Literal["rounding", "precision", "semantic"]
#: Why an output has no noise floor.
NoiseGap = Literal[
    "not-measured", "failed", "no-weights", "not-floating",
    "not-finite", "unmoved", "unsteady-baseline", "unpaired",
]  # fmt: skip
#: What decided an output's verdict.
OutputRule = Literal[
    "missing", "extra", "renamed", "empty", "structure", "bytes", "nonfinite", "unsteady",
    "tolerance", "exact", "noise", "sample-noise", "dtype-tolerance",
]  # fmt: skip
#: `convicts`: beyond its noise, though the cell's own outputs are not. `confirms`: beyond its noise as they
#: are. Otherwise it is clean. `acquits`: a suspicious cell is about as far from it as the baseline.
#: `precision`, `semantic`: what differs in the cell's precision alone. `agrees`: no more is known.
ReferenceKind = Literal[
    "reference-convicts", "reference-confirms", "reference-acquits", "reference-precision",
    "reference-semantic", "reference-agrees", "reference-missing",
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

    `comparison` is None for an output of one side only (`renamed_to`: its likely other name). `drift` is None
    where there is no noise floor, and `gap` says why. `noise_max_abs`: the furthest that an element moved in
    the baseline's noise. `unsteady`: how far a side differs from itself.
    """

    name: str
    only_in: Side | None = None
    renamed_to: str = ""
    comparison: TensorComparison | None = None
    drift: Drift | None = None
    gap: NoiseGap | None = None
    gap_failure: Failure | None = None
    noise_max_abs: float | None = None
    tolerance: Tolerance | None = Field(default=None, description="The configured tolerance, if any.")
    unsteady: dict[Side, SelfDifference] = {}


class ReferenceDistance(Frozen):
    """How far both sides of one output are from the baseline's reference run: root mean squares, in its unit.

    `reference` is the reference's own; `bias` is |mean| ÷ rms of the difference of both sides.
    """

    output: str
    baseline: float
    candidate: float
    reference: float
    bias: float

    @property
    def ratio(self) -> float:
        """How many times as far the candidate is from the reference."""
        return self.candidate / self.baseline if self.baseline > 0 else math.inf

    @property
    def bits(self) -> tuple[float, float]:
        """Effective bits, −log2 of the relative error, of both sides; 53 where there is no error."""
        before, after = (
            -math.log2(error / self.reference) if error > 0 and self.reference > 0 else 53.0
            for error in (self.baseline, self.candidate)
        )
        return before, after


class ReferenceComparison(Frozen):
    """The same model and weights in higher precision, on both sides; `failure` says why there is none."""

    precision: Literal["float32", "float64"]
    policy: str | None = Field(description="Of the cell itself; null for a SavedModel.")
    # `find` works on the numbers of every output; the finding has the worst.
    outputs: tuple[OutputNumbers, ...] = Field(default=(), exclude=True)
    errors: tuple[ReferenceDistance, ...] = ()
    failure: Failure | None = None
    failed_side: Side | None = None
    unmatched: bool = Field(default=False, description="The reference has other outputs on either side.")


class OutputsComparison(Comparison):
    """Every output of both sides; no numbers where there is an obstacle."""

    obstacles: tuple[Obstacle, ...] = ()
    samples: tuple[int | None, int | None] = (None, None)
    outputs: tuple[OutputNumbers, ...] = ()
    reference: ReferenceComparison | None = None
    can_be_widened: bool = Field(default=False, description="Both sides can run in float64 too.")
    nondeterministic: dict[Side, tuple[SelfDifference, ...]] = {}


class _OfOutputs(Finding):
    check: Literal["outputs"] = "outputs"


class OutputFinding(_OfOutputs):
    """The verdict of one output, and the rule that decided.

    `band`: the edges below which drift ÷ noise is rounding, and above which it is changed. `by_noise`: what
    the noise alone makes of it, where a configured tolerance decided. `unsteady_side`: the side that differs
    from itself as much. `acquitted`: it was suspicious until the reference run.
    """

    kind: Literal["output"] = "output"
    output: str
    rule: OutputRule
    numbers: OutputNumbers
    band: tuple[float, float] | None = None
    by_noise: CellVerdict | None = None
    unsteady_side: Side | None = None
    acquitted: bool = False


class ReferenceFinding(_OfOutputs):
    """What a reference run adds: its worst output, and the distances of the cell's worst output to it."""

    kind: ReferenceKind
    precision: Literal["float32", "float64"]
    policy: str | None
    change: Change | None = None
    reference: OutputFinding | None = None
    error: ReferenceDistance | None = None
    failure: Failure | None = None
    failed_side: Side | None = None


class NondeterministicFinding(_OfOutputs):
    """Two predictions of one side, one after the other, differ."""

    kind: Literal["nondeterministic"] = "nondeterministic"
    side: Side
    outputs: tuple[SelfDifference, ...]


class ObstacleFinding(_OfOutputs):
    """The captures of both sides must not be compared."""

    kind: Literal["not-comparable"] = "not-comparable"
    obstacles: tuple[Obstacle, ...]
