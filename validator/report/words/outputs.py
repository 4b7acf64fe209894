"""What a report says about predictions: how far apart they are, compared with what, and by which rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from validator.base import finite
from validator.checks.outputs.types import (
    NoiseGap,
    NondeterministicFinding,
    Obstacle,
    ObstacleFinding,
    OutputFinding,
    OutputsComparison,
    ReferenceDistance,
    ReferenceFinding,
    ReferenceKind,
)
from validator.checks.protocol import Finding
from validator.numbers.distance import PairProblem, TensorComparison, Worst
from validator.numbers.drift import Drift
from validator.report import figures
from validator.report.document import Block, Entry, Heading, Table
from validator.report.phrases import Words, name, words
from validator.report.words import CheckWords, Column, Place
from validator.report.words.failures import error_line
from validator.runner.captures import SelfDifference
from validator.verdict.bands import GREEN

_GAPS: dict[NoiseGap, str] = {
    "not-measured": "it was not measured",
    "failed": "measuring it failed",
    "no-weights": "the model has no floating-point weights to perturb",
    "not-floating": "the output is not floating-point",
    "not-finite": "no element is finite on both sides, or the output's shape varies",
    "unmoved": "the weights do not affect this output",
    "unsteady-baseline": "the baseline is nondeterministic",
    "unpaired": "dtype or shape differ",
}
_PROBLEMS = {
    "dtype": "dtype changed from {sides.baseline_dtype} to {sides.candidate_dtype}",
    "kind": "the dtypes have no common values",
    "shape": "shape changed from {sides.baseline_shape} to {sides.candidate_shape}",
    "samples": "the number of samples changed from {this.baseline} to {this.candidate}",
    "empty": "both sides are empty",
    "ragged": "{subject} changed from {this.baseline} to {this.candidate}",
}
_OBSTACLES = {
    "inputs": "both sides received different inputs",
    "samples": "the baseline predicted {this.baseline} samples, the candidate {this.candidate}",
    "no-outputs": "the model returned no output that could be compared",
    "batch-size": "the batch size is {this.baseline} in the baseline and {this.candidate} in the candidate",
}
_PLACES: dict[str, Place] = {
    "not-comparable": "lead",
    "reference-convicts": "lead",
    "reference-confirms": "why",
    "reference-precision": "why",
    "reference-semantic": "why",
}
_ABSENT = {
    "missing": "missing in the candidate",
    "extra": "new: the baseline does not have it",
    "renamed": "missing in the candidate; an output with its shape and dtype has a new name: ",
}


def _sentence(finding: Finding) -> Words:
    match finding:
        case OutputFinding():
            return words("output ", name(finding.output), ": ", _rule(finding))
        case ReferenceFinding():
            return words(f"{finding.precision} reference run: ", _reference(finding))
        case NondeterministicFinding():
            parts = [part for own in finding.outputs for part in ("; ", name(own.output), f" {_self(own)}")]
            return words(f"two consecutive predictions of the {finding.side} differ: ", *parts[1:])
        case ObstacleFinding():
            return words("; ".join(map(_obstacle, finding.obstacles)))
    return words(finding.kind)


def _place(finding: Finding) -> Place:
    if isinstance(finding, OutputFinding):
        return "hidden" if finding.verdict in GREEN else "lead"
    return _PLACES.get(finding.kind, "note")


def _rule(finding: OutputFinding) -> Words:
    """Which rule decided, with its numbers."""
    comparison = finding.numbers.comparison
    if comparison is None:
        other = finding.numbers.renamed_to
        return words(_ABSENT[finding.rule], name(other) if other else "")
    return words("; ".join(_decided(finding, comparison)))


def _decided(finding: OutputFinding, comparison: TensorComparison) -> list[str]:
    size, numbers = comparison.max_abs, finding.numbers
    largest = [] if size is None else [f"max abs diff {figures.number(size)}"]
    match finding.rule:
        case "bytes":
            return ["bit-identical"]
        case "structure" | "empty":
            return [_problem(problem, comparison) for problem in comparison.problems]
        case "nonfinite":
            return [_nonfinite(comparison)]
        case "unsteady":
            side = finding.unsteady_side or "candidate"
            much = f"differ as much, {_self(numbers.unsteady[side])}"
            return [f"nondeterministic: two runs of the {side} {much}", *largest]
    drift = numbers.drift if finding.rule in {"noise", "sample-noise"} else None
    why = _tolerance(finding, comparison) if drift is None else _noise(finding, drift)
    return [*largest, *why, *_changed(finding, comparison)]


def _changed(finding: OutputFinding, comparison: TensorComparison) -> Iterator[str]:
    """Where the largest difference is, and predictions that changed."""
    if comparison.flips:
        yield f"top-1 prediction changed in {figures.share(comparison.flips, comparison.rows)} rows"
    if comparison.worst is not None and finding.verdict not in GREEN:
        rank = "first" if comparison.max_abs is None else "largest"
        yield f"{rank} difference at {_at(comparison.worst)}"


def _at(worst: Worst) -> str:
    before, after = worst.baseline, worst.candidate
    change = f"{before!r} → {after!r}"
    if isinstance(before, float | None) and isinstance(after, float | None):
        change = figures.moved_value(finite(before), finite(after))
    return f"{list(worst.index)}: {change}"


def _problem(problem: PairProblem, comparison: TensorComparison) -> str:
    if problem.kind == "batched":
        return f"one value per {'sample' if problem.baseline else 'batch'} in the baseline only"
    subject = "the number of ragged dimensions"
    if problem.dimension is not None:
        subject = "the number of rows" if problem.row is None else f"the length of row {problem.row}"
        subject += f" in ragged dimension {problem.dimension}"
    return _PROBLEMS[problem.kind].format(sides=comparison, this=problem, subject=subject)


def _nonfinite(comparison: TensorComparison) -> str:
    before = f"{comparison.nan_baseline:,} NaN and {comparison.inf_baseline:,} infinite values"
    after = f"{comparison.nan_candidate:,} and {comparison.inf_candidate:,}"
    first = f", first at {_at(comparison.first_nonfinite)}" if comparison.first_nonfinite else ""
    return f"{before} became {after}{first}"


def _self(own: SelfDifference) -> str:
    largest = "" if own.max_abs is None else f"by up to {figures.number(own.max_abs)} "
    return f"{largest}in {own.elements:,} values"


def _noise(finding: OutputFinding, drift: Drift) -> Iterator[str]:
    low, high = finding.band or (0, 0)
    band = f"(rounding below {low:g}, changed above {high:g})"
    whole = f"drift is {figures.ratio(drift.ratio)} the noise"
    if finding.rule == "sample-noise":
        sample = f"sample {drift.sample} drifts {figures.ratio(drift.sample_ratio)} its own noise"
        yield f"{sample} of {figures.number(drift.sample_noise)} {band}; over all samples, {whole}"
    else:
        yield f"{whole} of {figures.number(drift.noise_rms)} {band}"
    if finding.acquitted:
        yield "the reference run shows that this is rounding"


def _tolerance(finding: OutputFinding, comparison: TensorComparison) -> Iterator[str]:
    """Exactness, the configured tolerance, or that of the dtype, which needs a reason."""
    share = figures.share(comparison.mismatched, comparison.size)
    if finding.rule == "exact":
        yield f"{share} values differ; integers, booleans and strings must be equal"
        return
    used, numbers = comparison.tolerance, finding.numbers
    where = f"{share} values outside" if comparison.mismatched else "all values within"
    which = "configured" if finding.rule == "tolerance" else comparison.baseline_dtype
    yield f"{where} the {which} tolerance (rtol {used.rtol:g}, atol {used.atol:g})"
    if finding.by_noise is not None and numbers.drift is not None:
        ratio = figures.ratio(numbers.drift.ratio)
        looser = "looser" if finding.verdict == "rounding" else "stricter"
        than = "" if finding.by_noise == finding.verdict else f"the tolerance is {looser} than the noise: "
        yield f"{than}drift is {ratio} the noise, which alone means {finding.by_noise}"
    if finding.rule == "dtype-tolerance" and numbers.gap is not None:
        failure = f" ({error_line(numbers.gap_failure)})" if numbers.gap_failure else ""
        yield f"less certain without a noise floor: {_GAPS[numbers.gap]}{failure}"


def _reference(finding: ReferenceFinding) -> Words:
    policy, error = finding.policy or "half precision", finding.error
    worst = _sentence(finding.reference) if finding.reference else ()
    if finding.kind == "reference-convicts":
        return words(f"the candidate differs, which {policy} hides: ", worst)
    if finding.kind == "reference-confirms":
        return words("the candidate differs in it too: ", worst)
    if finding.kind == "reference-missing":
        reason = "its outputs are not the same on both sides"
        if finding.failure is not None:
            reason = f"it failed in the {finding.failed_side}: {error_line(finding.failure)}"
        return words(f"none to compare ({reason}); the cell's own noise decides, with less certainty")
    identical = finding.reference is not None and finding.reference.verdict == "identical"
    clean = "both sides are bit-identical" if identical else "both sides agree up to rounding"
    return words(clean, f"; {_beside(finding.kind, error, policy)}" if error else "")


def _beside(kind: ReferenceKind, error: ReferenceDistance, policy: str) -> str:
    """What a clean reference says of the cell's own precision."""
    if kind == "reference-semantic":
        return f"the difference exists only in {policy}"
    if kind == "reference-acquits":
        distance = f"{figures.ratio(error.ratio)} as far from it as the baseline"
        return f"the candidate is {distance}, so the difference is rounding"
    before, after = error.bits
    quality = "as accurate as" if abs(after - before) <= 1 else "more accurate than"
    quality = "less accurate than" if after < before - 1 else quality
    bits = f"{before:.1f} effective bits became {after:.1f}"
    return f"the precision changed: the candidate is {quality} the baseline ({bits})"


def _obstacle(obstacle: Obstacle) -> str:
    if obstacle.failure is not None:
        return f"the outputs cannot be read: {error_line(obstacle.failure)}"
    return _OBSTACLES[obstacle.kind].format(this=obstacle)


def _max_abs(comparison: OutputsComparison) -> str:
    parts = (output.comparison for output in comparison.outputs)
    known = (part.max_abs for part in parts if part and part.max_abs is not None)
    return figures.number(max(known, default=None))


def _times_noise(comparison: OutputsComparison) -> str:
    known = (output.drift.ratio for output in comparison.outputs if output.drift is not None)
    return figures.ratio(max(known, default=None))


def _top1(comparison: OutputsComparison) -> str:
    parts = (output.comparison for output in comparison.outputs)
    known = [(part.flips, part.rows) for part in parts if part and part.flips is not None]
    worst = max(known, key=lambda pair: pair[0] / (pair[1] or 1), default=(None, None))
    return figures.share(*worst)


_COLUMNS = (
    Column("max abs diff", _max_abs),
    Column("drift ÷ noise", _times_noise),
    Column("top-1 changed", _top1),
)


def _details(comparison: OutputsComparison, findings: Sequence[Finding]) -> tuple[Block, ...]:
    """Every output with its numbers; nothing where all are identical, as the main table shows."""
    outputs = [finding for finding in findings if isinstance(finding, OutputFinding)]
    if all(output.verdict == "identical" for output in outputs):
        return ()
    numeric = (Heading(column.heading, numeric=True) for column in _COLUMNS)
    headings = (Heading("output"), *numeric, Heading("result"))
    return (Table(headings, tuple(_row(output) for output in outputs)),)


def _row(finding: OutputFinding) -> tuple[Entry, ...]:
    alone = OutputsComparison(outputs=(finding.numbers,))
    sides = finding.numbers.comparison
    layout = f"{figures.shape(sides.candidate_shape)} {sides.candidate_dtype}" if sides else ""
    numbers = (Entry(words(column.show(alone))) for column in _COLUMNS)
    result = Entry(words(str(finding.verdict)), _rule(finding))
    return (Entry(words(name(finding.output)), words(layout)), *numbers, result)


WORDS = CheckWords(sentence=_sentence, place=_place, columns=_COLUMNS, details=_details)
