"""What a twin says: the same model and weights in a higher precision, on both sides.

Either convicts: a twin sees what half-precision noise hides, and a cell's own drift sees what exists only in
its precision. docs/verdicts.md has the rules and where they come from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from validator.results import SEVERITY, CellVerdict, Change, OutputResult
from validator.verdict.gate import GREEN
from validator.verdict.outputs import OutputEvidence, judge_output

#: A candidate no further from the float64 reference than this many times the baseline is rounding: the rule
#: of PyTorch's `torch._dynamo.utils.same`, which takes 2 to 3.
REFERENCE = 2.0
#: Errors of both sides against the twin within this factor are of one precision.
ALIKE = 4.0
#: Precision that got lost leaves some digits right and errs both ways; another computation does neither.
_LEAST_BITS, _MOST_BIAS = 4.0, 0.1


@dataclass(frozen=True)
class ErrorPair:
    """How far both sides of one output are from the baseline's twin: root mean squares, in its unit.

    `reference` is the twin's own root mean square; `bias` is |mean| ÷ rms of the difference of both sides.
    """

    output: str
    baseline: float
    candidate: float
    reference: float
    bias: float

    @property
    def bits(self) -> tuple[float, float]:
        """Effective bits, −log2 of the relative error, of baseline and candidate."""
        sides = (self.baseline, self.candidate)
        return (_bits(sides[0], self.reference), _bits(sides[1], self.reference))


@dataclass(frozen=True)
class TwinEvidence:
    """The twins of a cell and of its baseline.

    Attributes:
        precision: of the twins: float32 or float64.
        policy: of the cell itself.
        outputs: the twins' outputs against each other.
        errors: the cell's own outputs against the baseline's twin, where the cell is not green.
        problem: why there is no twin.
    """

    precision: str
    policy: str
    outputs: tuple[OutputEvidence, ...] = ()
    errors: tuple[ErrorPair, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class TwinVerdict:
    """The cell's verdict with the twin taken into account, the kind of change, and a sentence on both."""

    verdict: CellVerdict
    change: Change | None
    sentence: str = ""


def judge_twin(outputs: Sequence[OutputResult], twin: TwinEvidence) -> TwinVerdict:
    """The verdict of a cell with its twin. A clean twin acquits nothing above its own noise but one thing.

    That is a suspicious output which is no further from the twin than the baseline is, about.
    """
    own = max(outputs, key=lambda output: SEVERITY.index(output.verdict))
    results = [judge_output(output) for output in twin.outputs]
    worst = max(results, key=lambda result: SEVERITY.index(result.verdict))
    if worst.verdict not in GREEN:
        return _convicted(own, worst, twin)
    name = f"its {twin.precision} twin"
    agrees = f"{name} {'is bit-identical' if worst.verdict == 'identical' else 'agrees up to rounding'}"
    if own.verdict in GREEN:
        return TwinVerdict(own.verdict, None if own.verdict == "identical" else "rounding")
    errors = {error.output: error for error in twin.errors}
    if own.name not in errors:
        return TwinVerdict(own.verdict, None, agrees)
    error = errors[own.name]
    suspicious = [errors.get(output.name) for output in outputs if output.verdict == "suspicious"]
    if own.verdict == "suspicious" and all(one is not None and _near(one) for one in suspicious):
        sentence = f"{agrees}, and this side is {_ratio(error):.2g}× as far from it as the baseline"
        return TwinVerdict("rounding", "rounding", sentence)
    if _is_precision(error):
        return TwinVerdict(own.verdict, "precision", f"{agrees}: {_precision(error)}")
    only = f"what differs exists only in {twin.policy}, as a cast or a mask that this precision brings about"
    return TwinVerdict(own.verdict, "semantic", f"{agrees}: {only}")


def _convicted(own: OutputResult, worst: OutputResult, twin: TwinEvidence) -> TwinVerdict:
    """The twin differs beyond its own noise."""
    verdict = max(own.verdict, worst.verdict, key=SEVERITY.index)
    change: Change | None = "semantic" if worst.verdict == "changed" else None
    if own.verdict in GREEN:
        sentence = f"hidden by {twin.policy}, but not in its {twin.precision} twin: {worst.message}"
        return TwinVerdict(verdict, change, sentence)
    times = f", by {worst.noise_ratio:.3g} times its noise" if worst.noise_ratio is not None else ""
    return TwinVerdict(verdict, change, f"its {twin.precision} twin differs too{times}")


def _near(error: ErrorPair) -> bool:
    return error.candidate <= REFERENCE * error.baseline


def _is_precision(error: ErrorPair) -> bool:
    ratio = _ratio(error)
    if 1 / ALIKE <= ratio <= ALIKE:
        return True
    return min(error.bits) >= _LEAST_BITS and error.bias <= _MOST_BIAS


def _precision(error: ErrorPair) -> str:
    before, after = error.bits
    ratio = _ratio(error)
    side = "as good as in the baseline"
    if ratio > REFERENCE:
        side = "worse than in the baseline"
    elif ratio < 1 / REFERENCE:
        side = "better than in the baseline"
    return f"another precision, {side} ({before:.1f} effective bits became {after:.1f})"


def _ratio(error: ErrorPair) -> float:
    return error.candidate / error.baseline if error.baseline > 0 else math.inf


def _bits(error: float, reference: float) -> float:
    return -math.log2(error / reference) if error > 0 and reference > 0 else 53.0
