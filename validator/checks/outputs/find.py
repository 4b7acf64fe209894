"""Numbers of all outputs → findings. The rules for one output stand in the order in which they decide.

The float64 runs then say whether both sides compute the same function (docs/verdicts.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TypeVar

from validator.checks.bands import Band, Bands, CellVerdict, OutputBands
from validator.checks.loading.types import SIDES
from validator.checks.outputs.types import (
    Change,
    NamesFinding,
    NondeterministicFinding,
    ObstacleFinding,
    OutputFinding,
    OutputNumbers,
    OutputRule,
    OutputsComparison,
    ReferenceComparison,
    ReferenceFinding,
)
from validator.checks.protocol import Finding
from validator.numbers.distance import TensorComparison
from validator.numbers.drift import Drift, GrainDrift
from validator.numbers.places import Places
from validator.numbers.reference import ReferenceDistance
from validator.numbers.tolerances import TOLERANCES
from validator.runner.captures import SelfDifference

_F = TypeVar("_F", bound=Finding)
#: Rules that a float64 run can overrule: what they measure is rounding, of numbers that can be compared.
_MEASURED: frozenset[OutputRule] = frozenset({"noise", "units", "dtype-tolerance", "places"})


def find_outputs(comparison: OutputsComparison, bands: Bands) -> Iterator[Finding]:
    """One finding an output, and what else decides the verdict or is worth knowing."""
    for side in reversed(SIDES):
        if side in comparison.nondeterministic:
            yield NondeterministicFinding(side=side, outputs=comparison.nondeterministic[side])
    if comparison.obstacles:
        yield ObstacleFinding(verdict="not-compared", obstacles=comparison.obstacles)
    else:
        yield from _of_outputs(comparison, bands)


def unproven(finding: _F) -> _F:
    """The same finding where both sides ran on other processors: equal bytes prove no identity there."""
    if isinstance(finding, OutputFinding) and finding.rule == "bytes":
        return finding.model_copy(update={"verdict": "rounding", "rule": "processor"})
    return finding


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
    exact = comparison.reference is not None and comparison.reference.policy == "float64"
    outputs = [judge_output(numbers, bands) for numbers in comparison.outputs]
    outputs = outputs if exact else [_acquitted(output, bands.outputs) for output in outputs]
    yield from outputs
    if comparison.names:
        names, sides = comparison.names, ("baseline", "candidate")
        missing, extra = (
            tuple(each.name for each in comparison.outputs if each.only_in == side) for side in sides
        )
        yield NamesFinding(
            names=names,
            missing=tuple(name for name in missing if name not in names),
            extra=tuple(name for name in extra if name not in names.values()),
        )
    if comparison.reference is None or not outputs or exact:
        return  # the cell itself ran in float64
    failed = comparison.reference.failure is not None or comparison.reference.unmatched
    adds = _of_missing if failed else _of_reference
    yield from adds(outputs, comparison.reference, bands)


def _acquitted(output: OutputFinding, bands: OutputBands) -> OutputFinding:
    """What is suspicious is rounding where both sides compute the same function."""
    distance = output.numbers.reference
    if output.verdict != "suspicious" or output.rule not in _MEASURED or distance is None:
        return output
    update = {"verdict": "rounding", "acquitted": True}
    return output.model_copy(update=update) if _is_same(distance, bands) else output


def _of_missing(
    outputs: Sequence[OutputFinding], reference: ReferenceComparison, bands: Bands
) -> Iterator[ReferenceFinding]:
    if worst_output(outputs, bands).verdict != "identical":
        yield ReferenceFinding(
            kind="reference-missing",
            policy=reference.policy,
            failure=reference.failure,
            failed_side=reference.failed_side,
        )


def _of_reference(
    outputs: Sequence[OutputFinding], reference: ReferenceComparison, bands: Bands
) -> Iterator[ReferenceFinding]:
    """What the float64 runs add to the outputs' own verdicts."""
    adds, own = partial(ReferenceFinding, policy=reference.policy), worst_output(outputs, bands)
    other = [output.numbers for output in outputs if _computes_another(output, bands.outputs)]
    acquitted = [output.numbers for output in outputs if output.acquitted]
    if other:
        distance = max((each.reference for each in other if each.reference), key=lambda each: each.delta)
        if own.verdict == "changed":
            yield adds(kind="reference-confirms", change="semantic", distance=distance)
        elif any(each.tolerance is None for each in other):
            yield adds(kind="reference-convicts", verdict="changed", change="semantic", distance=distance)
    elif own.verdict == "changed" and own.numbers.reference and own.rule in _MEASURED:
        if _is_same(own.numbers.reference, bands.outputs):
            yield adds(kind="reference-precision", change="precision", distance=own.numbers.reference)
    elif acquitted and own.verdict == "rounding":
        yield adds(kind="reference-acquits", change="rounding", distance=acquitted[0].reference)


def _is_same(distance: ReferenceDistance, bands: OutputBands) -> bool:
    """Whether both sides compute the same function."""
    if distance.discrete:
        return distance.delta == 0
    parts = max(distance.row_delta, distance.column_delta)
    return distance.delta < bands.same and parts < bands.part


def _computes_another(output: OutputFinding, bands: OutputBands) -> bool:
    """Whether the sides compute different functions. Where noise is all, float64 is noise as well."""
    distance, drift = output.numbers.reference, output.numbers.drift
    if distance is None or (drift is not None and drift.chaos > bands.chaos):
        return False
    if distance.discrete or math.isnan(distance.delta):
        # At a tie, and near a pole where NaN begins, rounding decides in float64 as well.
        places = output.numbers.places
        return distance.delta != 0 and places is not None and by_places(places, bands) != "rounding"
    return distance.delta > bands.other or max(distance.row_delta, distance.column_delta) > bands.part


def judge_output(numbers: OutputNumbers, bands: Bands) -> OutputFinding:
    """The verdict of one output with the first rule that applies."""
    decided = partial(OutputFinding, output=numbers.name, numbers=numbers)
    comparison = numbers.comparison
    if comparison is None:
        return decided(verdict="changed", rule=_absent(numbers))
    certain = _certain(comparison)
    if certain is not None:
        return decided(verdict=certain[0], rule=certain[1])
    own = numbers.unsteady.get("baseline")
    if own is not None and _within(comparison, own, bands.outputs.unsteady):
        return decided(verdict="not-compared", rule="unsteady")
    measured = _by_noise(numbers, comparison, bands)
    if numbers.tolerance is not None:
        by_noise = None if measured is None else measured.verdict
        return decided(verdict=_by_tolerance(comparison), rule="tolerance", by_noise=by_noise)
    return measured or decided(verdict=_by_tolerance(comparison), rule=_unmeasured(comparison))


def _by_noise(numbers: OutputNumbers, comparison: TensorComparison, bands: Bands) -> OutputFinding | None:
    """The worst of what the noise says of an output; None where nothing was measured."""
    if numbers.drift is None and numbers.places is None:
        return None
    findings = list(_measured(numbers, comparison, bands.outputs))
    return max(findings, key=lambda finding: bands.severity.index(finding.verdict or "identical"))


def _measured(
    numbers: OutputNumbers, comparison: TensorComparison, bands: OutputBands
) -> Iterator[OutputFinding]:
    decided = partial(OutputFinding, output=numbers.name, numbers=numbers)
    if 2 * comparison.nan_baseline > comparison.size:
        yield decided(verdict="suspicious", rule="mostly-nan")
    drift = numbers.drift
    if drift is not None:
        if drift.chaos > bands.chaos or drift.column_chaos > bands.column_chaos:
            yield decided(verdict="suspicious", rule="chaos")
        yield by_drift(numbers, drift, bands)
        if drift.method == "none" and comparison.mismatched:
            yield decided(verdict="suspicious", rule="dtype-tolerance")
    if comparison.nonfinite_mismatched and (numbers.places is None or not numbers.places.flips):
        yield decided(verdict="changed", rule="nonfinite")  # no rounding is known that makes NaN of a number
    elif numbers.places is not None:
        yield decided(
            verdict=by_places(numbers.places, bands), rule="places" if drift is None else "nonfinite"
        )


def by_drift(numbers: OutputNumbers, drift: Drift, bands: OutputBands) -> OutputFinding:
    """The verdict of the grain that is furthest beyond its band."""
    worst = max(drift.grains, key=lambda grain: _beyond(grain, bands.grains[grain.grain]))
    band = bands.grains[worst.grain]
    return OutputFinding(
        output=numbers.name,
        numbers=numbers,
        verdict=band.verdict(worst.ratio),
        rule="units" if drift.method == "none" else "noise",
        grain=worst,
        band=(band.rounding, band.changed),
    )


def by_places(places: Places, bands: OutputBands) -> CellVerdict:
    """Rounding flips ties: values that no member has are held against what a member has alone, and all that
    moved against what a member moves: where everything ties, nothing is a new value.
    """
    sides = (places.novel, places.reach), (places.moved, places.flips)
    if all(moved <= bands.places.rounding * members for moved, members in sides):
        return "rounding"
    doubtful = all(moved <= bands.places.changed * members + bands.slack for moved, members in sides)
    return "suspicious" if doubtful else "changed"


def _beyond(grain: GrainDrift, band: Band) -> tuple[int, float]:
    """The order of grains: by verdict, then by how far it is up to the band's edge."""
    verdict = band.verdict(grain.ratio)
    return ("rounding", "suspicious", "changed").index(verdict), grain.ratio / band.rounding


def _by_tolerance(comparison: TensorComparison) -> CellVerdict:
    return "changed" if comparison.mismatched else "rounding"


def _unmeasured(comparison: TensorComparison) -> OutputRule:
    if comparison.nonfinite_mismatched:
        return "nonfinite"
    return "dtype-tolerance" if comparison.baseline_dtype in TOLERANCES else "exact"


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
    if min(comparison.nan_baseline, comparison.nan_candidate) == comparison.size:
        return "not-compared", "not-a-number"
    if comparison.identical:
        mostly = 2 * comparison.nan_baseline > comparison.size
        return ("suspicious", "mostly-nan") if mostly else ("identical", "bytes")
    return None


def _within(comparison: TensorComparison, own: SelfDifference, most: float) -> bool:
    """Whether the difference is no larger than `most` times what one side differs from itself.

    The root mean square of a self-difference is at most max_abs · sqrt(elements / size).
    Chance excuses no NaN.
    """
    if comparison.nonfinite_mismatched:
        return False
    if not comparison.mismatched:
        return True
    if comparison.max_abs is None or comparison.rms is None:
        return comparison.mismatched <= most * own.elements
    if own.max_abs is None:
        return False
    rms = own.max_abs * math.sqrt(min(1.0, own.elements / comparison.size))
    return comparison.max_abs <= most * own.max_abs and comparison.rms <= most * rms
