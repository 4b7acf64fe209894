"""Numbers of all outputs → findings, the reference run taken into account.

Either convicts: a reference sees what half-precision noise hides, and a cell's own drift sees what exists in
its precision alone. The rules for one output stand in the order in which they decide (docs/verdicts.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from validator.checks.bands import Bands, CellVerdict, ReferenceBands
from validator.checks.loading.types import SIDES
from validator.checks.outputs.types import (
    Change,
    NondeterministicFinding,
    ObstacleFinding,
    OutputFinding,
    OutputNumbers,
    OutputRule,
    OutputsComparison,
    ReferenceComparison,
    ReferenceDistance,
    ReferenceFinding,
    ReferenceKind,
)
from validator.checks.protocol import Finding
from validator.numbers.distance import TensorComparison
from validator.numbers.drift import Drift
from validator.numbers.tolerances import TOLERANCES
from validator.runner.captures import SelfDifference

#: What a clean reference says of a cell that moved.
_CLEAN: dict[Change, ReferenceKind] = {
    "rounding": "reference-acquits",
    "precision": "reference-precision",
    "semantic": "reference-semantic",
}


def find_outputs(comparison: OutputsComparison, bands: Bands) -> Iterator[Finding]:
    """One finding an output, and what else decides the verdict or is worth knowing."""
    for side in reversed(SIDES):
        if side in comparison.nondeterministic:
            yield NondeterministicFinding(side=side, outputs=comparison.nondeterministic[side])
    if comparison.obstacles:
        yield ObstacleFinding(verdict="not-compared", obstacles=comparison.obstacles)
    else:
        yield from _of_outputs(comparison, bands)


def change_of(findings: Sequence[Finding]) -> Change | None:
    """The kind of a cell's change; None where nothing tells, or nothing differs."""
    own = [finding for finding in findings if finding.check == "outputs"]
    known = [finding.change for finding in own if isinstance(finding, ReferenceFinding) and finding.change]
    if known:
        return known[0]
    verdicts = {finding.verdict for finding in own if finding.verdict is not None}
    return "rounding" if verdicts in ({"rounding"}, {"rounding", "identical"}) else None


def worst_output(outputs: Sequence[OutputFinding], bands: Bands) -> OutputFinding:
    """The first of the worst outputs."""
    return max(outputs, key=lambda output: bands.severity.index(output.verdict or "identical"))


def _of_outputs(comparison: OutputsComparison, bands: Bands) -> Iterator[Finding]:
    outputs = [judge_output(numbers, bands) for numbers in comparison.outputs]
    unsteady = any(numbers.unsteady for numbers in comparison.outputs)
    reference = comparison.reference
    adds = None if reference is None else _of_reference(outputs, reference, bands, unsteady)
    acquits = adds is not None and adds.kind == "reference-acquits"
    for output in outputs:
        acquitted = acquits and output.verdict == "suspicious"
        update = {"verdict": "rounding", "acquitted": True}
        yield output.model_copy(update=update) if acquitted else output
    if adds is not None:
        yield adds


def _of_reference(
    outputs: Sequence[OutputFinding], reference: ReferenceComparison, bands: Bands, unsteady: bool
) -> ReferenceFinding | None:
    """What the reference run adds to the outputs' own verdicts; None where it has nothing to add."""
    adds = partial(ReferenceFinding, precision=reference.precision, policy=reference.policy)
    if reference.failure is not None or reference.unmatched:
        failed_side = reference.failed_side
        return adds(kind="reference-missing", failure=reference.failure, failed_side=failed_side)
    if unsteady or not reference.outputs:
        return None  # a difference by chance says nothing about precision
    own = worst_output(outputs, bands)
    worst = worst_output([judge_output(numbers, bands) for numbers in reference.outputs], bands)
    adds = partial(adds, reference=worst)
    if worst.verdict not in bands.green:
        kind: ReferenceKind = "reference-convicts" if own.verdict in bands.green else "reference-confirms"
        change: Change | None = "semantic" if worst.verdict == "changed" else None
        return adds(kind=kind, verdict=worst.verdict, change=change)
    if own.verdict in bands.green:
        return None
    errors = {error.output: error for error in reference.errors}
    if own.output not in errors:
        return adds(kind="reference-agrees")
    change = _change(outputs, errors, own, bands)
    return adds(kind=_CLEAN[change], change=change, error=errors[own.output])


def _change(
    outputs: Sequence[OutputFinding],
    errors: Mapping[str, ReferenceDistance],
    own: OutputFinding,
    bands: Bands,
) -> Change:
    """What differs in the cell's precision alone.

    A clean reference acquits nothing above the cell's own noise but a suspicious cell whose outputs are about
    as far from it as the baseline's.
    """
    suspicious = [errors.get(output.output) for output in outputs if output.verdict == "suspicious"]
    near = bands.reference.near
    if own.verdict == "suspicious" and all(
        each and each.candidate <= near * each.baseline for each in suspicious
    ):
        return "rounding"
    return "precision" if _is_precision(errors[own.output], bands.reference) else "semantic"


def _is_precision(error: ReferenceDistance, bands: ReferenceBands) -> bool:
    """Errors of one size, or lost precision: some digits stay right, and it errs both ways."""
    if 1 / bands.alike <= error.ratio <= bands.alike:
        return True
    return min(error.bits) >= bands.bits and error.bias <= bands.bias


def judge_output(numbers: OutputNumbers, bands: Bands) -> OutputFinding:
    """The verdict of one output with the first rule that applies."""
    decided = partial(OutputFinding, output=numbers.name, numbers=numbers)
    comparison = numbers.comparison
    if comparison is None:
        return decided(verdict="changed", rule=_absent(numbers))
    certain = _certain(comparison)
    if certain is not None:
        return decided(verdict=certain[0], rule=certain[1])
    for side in reversed(SIDES):
        if side in numbers.unsteady and _within(comparison, numbers.unsteady[side], bands.outputs.unsteady):
            return decided(verdict="suspicious", rule="unsteady", unsteady_side=side)
    within: CellVerdict = "changed" if comparison.mismatched else "rounding"
    by_noise, rule = by_drift(numbers.drift, bands) if numbers.drift else (None, None)
    if numbers.tolerance is not None:
        return decided(verdict=within, rule="tolerance", by_noise=by_noise)
    floating = comparison.baseline_dtype in TOLERANCES
    if not floating or rule is None:
        return decided(verdict=within, rule="dtype-tolerance" if floating else "exact")
    band = bands.outputs.sample if rule == "sample-noise" else bands.outputs.overall
    return decided(verdict=by_noise, rule=rule, band=(band.rounding, band.changed))


def by_drift(drift: Drift, bands: Bands) -> tuple[CellVerdict, OutputRule]:
    """The worse of what everything together and the worst sample come to."""
    whole = bands.outputs.overall.verdict(drift.ratio)
    if drift.sample_ratio is None:
        return whole, "noise"
    single = bands.outputs.sample.verdict(drift.sample_ratio)
    if bands.severity.index(single) <= bands.severity.index(whole):
        return whole, "noise"
    return single, "sample-noise"


def _absent(numbers: OutputNumbers) -> OutputRule:
    if numbers.renamed_to:
        return "renamed"
    return "extra" if numbers.only_in == "candidate" else "missing"


def _certain(comparison: TensorComparison) -> tuple[CellVerdict, OutputRule] | None:
    """What needs no noise and no tolerance."""
    if any(problem.kind == "empty" for problem in comparison.problems):
        return "not-compared", "empty"
    if comparison.problems:
        return "changed", "structure"
    if comparison.identical:
        return "identical", "bytes"
    return ("changed", "nonfinite") if comparison.nonfinite_mismatched else None


def _within(comparison: TensorComparison, own: SelfDifference, most: float) -> bool:
    """Whether the difference is no larger than `most` times what one side differs from itself.

    The root mean square of a self-difference is at most max_abs · sqrt(elements / size).
    """
    if comparison.max_abs is None or comparison.rms is None:
        return comparison.mismatched <= most * own.elements
    if own.max_abs is None:
        return False
    rms = own.max_abs * math.sqrt(min(1.0, own.elements / comparison.size))
    return comparison.max_abs <= most * own.max_abs and comparison.rms <= most * rms
